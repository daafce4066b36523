package cookie_test

import (
	"testing"

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
			logInAndOut(t, app.URL, authenticator(t, server.URL, c.stack), c.inCookie)
		})
	}
}
