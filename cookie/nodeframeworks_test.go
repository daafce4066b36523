package cookie_test

import (
	"errors"
	"maps"
	"testing"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
)

// A login and a logout on the real software.
func TestNodeFrameworks(t *testing.T) {
	secrets := []string{"new-secret-new-secret-new-secret-32b", "old-secret-old-secret-old-secret-32b"}
	prefixed := cookie.Fastify(secrets...)
	prefixed.Opener = cookie.FastifySigned("s:", secrets...)
	for _, c := range []struct {
		name, app string
		env       []string
		stack     cookie.Stack
		inCookie  bool
	}{
		{"cookie-session", "cookie-session", nil, cookie.CookieSession(secrets...), true},
		{"koa-session", "koa-session", nil, cookie.KoaSession(secrets...), true},
		{"koa-session with koa-redis", "koa-redis", nil, cookie.KoaRedis(secrets...), false},
		{"koa-generic-session", "koa-generic", nil, cookie.KoaGeneric(secrets...), false},
		{"fastify", "fastify", nil, cookie.Fastify(secrets...), false},
		{"fastify with a cookiePrefix", "fastify", []string{"COOKIE_PREFIX=s:"}, prefixed, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := partstest.Redis(t)
			app := partstest.NodeFramework(t, c.app, server, secrets, c.env...)
			auth := authenticator(t, server.URL, c.stack)
			browser := browser{t: t, url: app.URL, cookies: map[string]string{}}

			browser.get("/")
			if identity, err := browser.ask(auth); !errors.Is(err, bridge.ErrNoCredential) {
				t.Errorf("before the login: %+v, %v, want ErrNoCredential", identity, err)
			}
			browser.get("/login")
			if identity, err := browser.ask(auth); err != nil || identity.User != "42" {
				t.Fatalf("after the login: %+v, %v, want user 42", identity, err)
			}
			stale := maps.Clone(browser.cookies)
			browser.get("/logout")
			if identity, err := browser.ask(auth); !errors.Is(err, bridge.ErrNoCredential) {
				t.Errorf("after the logout: %+v, %v, want ErrNoCredential", identity, err)
			}
			browser.cookies = stale
			identity, err := browser.ask(auth)
			if c.inCookie { // nothing ends a copy of the cookie
				if err != nil || identity.User != "42" {
					t.Errorf("with a copy of the cookie: %+v, %v, want user 42, as in the application", identity, err)
				}
			} else if !errors.Is(err, bridge.ErrNoCredential) {
				t.Errorf("with the cookies from before the logout: %+v, %v, want ErrNoCredential", identity, err)
			}
		})
	}
}
