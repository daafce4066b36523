package cookie_test

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/stores"
)

// A login and a logout on the real software.
func TestPHPFrameworks(t *testing.T) {
	const appKey = "base64:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	for _, c := range []struct {
		name, part string
		env        []string
		stack      cookie.Stack
	}{
		{"Predis", "predis", nil, cookie.Predis("sessions:")},
		{"Symfony", "symfony", nil, cookie.Symfony()},
		{"Laravel", "laravel", []string{"DRIVER=redis", "CIPHER=AES-256-CBC", "ENCRYPT=0"}, cookie.Laravel(appKey)},
		{"Laravel with session.encrypt", "laravel", []string{"DRIVER=redis", "CIPHER=AES-256-GCM", "ENCRYPT=1"}, cookie.Laravel(appKey)},
		{"Laravel with the cookie driver", "laravel", []string{"DRIVER=cookie", "CIPHER=AES-256-CBC", "ENCRYPT=0"}, cookie.LaravelCookieDriver(appKey)},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := partstest.Redis(t)
			app := partstest.PHPFramework(t, c.part, server, append(c.env, "APP_KEY="+appKey)...)
			logInAndOut(t, app.URL, authenticator(t, server.URL, c.stack), strings.HasSuffix(c.name, "cookie driver"))
		})
	}
}

// logInAndOut has a browser log in to an application and out again. A session
// that is all in the cookie outlives the logout in a copy of it, as it does in
// the application.
func logInAndOut(t *testing.T, app string, auth bridge.Authenticator, inCookie bool) {
	t.Helper()
	browser := browser{t: t, url: app, cookies: map[string]string{}}
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
	if inCookie {
		if err != nil || identity.User != "42" {
			t.Errorf("with a copy of the cookie: %+v, %v, want user 42", identity, err)
		}
	} else if !errors.Is(err, bridge.ErrNoCredential) {
		t.Errorf("with the cookies from before the logout: %+v, %v, want ErrNoCredential", identity, err)
	}
}

// authenticator returns the stack's authenticator over a Redis.
func authenticator(t *testing.T, url string, stack cookie.Stack) *cookie.Authenticator {
	t.Helper()
	opts, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(opts)
	t.Cleanup(func() { _ = client.Close() })
	store, err := stores.NewRedis(client, &stores.RedisOptions{Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	auth, err := cookie.New(store, stack)
	if err != nil {
		t.Fatal(err)
	}
	return auth
}

// browser keeps an application's cookies as they were sent.
type browser struct {
	t       *testing.T
	url     string
	cookies map[string]string
}

func (b *browser) request(path string) *http.Request {
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.url+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(b.cookies)) {
		pairs = append(pairs, name+"="+b.cookies[name])
	}
	if len(pairs) > 0 {
		r.Header.Set("Cookie", strings.Join(pairs, "; "))
	}
	return r
}

func (b *browser) get(path string) {
	b.t.Helper()
	b.do(b.request(path))
}

func (b *browser) do(r *http.Request) {
	b.t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil || response.StatusCode != http.StatusOK {
		b.t.Fatalf("%s: %s, %v: %s", r.URL.Path, response.Status, err, body)
	}
	for _, line := range response.Header["Set-Cookie"] {
		pair, _, _ := strings.Cut(line, ";")
		name, value, _ := strings.Cut(pair, "=")
		b.cookies[name] = value
		if c, err := http.ParseSetCookie(line); err == nil && c.MaxAge < 0 {
			delete(b.cookies, name)
		}
	}
}

func (b *browser) ask(auth bridge.Authenticator) (*bridge.Identity, error) {
	return auth.Authenticate(b.t.Context(), &bridge.Handshake{Request: b.request("/socket")})
}
