package cookie_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/internal/parts"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/stores"
)

// post logs in to, or out of, the application of an example.
func (b *browser) post(path, form string) {
	b.t.Helper()
	r := b.request(path)
	r.Method = http.MethodPost
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Body = io.NopCloser(strings.NewReader(form))
	b.do(r)
}

// touch does what a hook does when the client of a cookie is active.
func touch(t *testing.T, a bridge.Authenticator, h *bridge.Handshake) func() error {
	t.Helper()
	var bound []bridge.Binding
	h.Bound = func(b bridge.Binding) { bound = append(bound, b) }
	if _, err := a.Authenticate(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	if len(bound) != 1 || bound[0].Touch == nil {
		t.Fatalf("%d bindings, or no Touch in them", len(bound))
	}
	return func() error { return bound[0].Touch(context.Background()) }
}

// Touch extends a session as the application's own request does that changes
// nothing, and does not bring one back that is gone.
func TestTouchIsAsTheStack(t *testing.T) {
	const appKey = "base64:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	byForm := func(b *browser) { b.post("/login", "user=alice&password=demo") }
	byPath := func(b *browser) { b.get("/login") }
	rewritten := func(cookie string) func(*testing.T, *redis.Client, string) {
		return func(t *testing.T, client *redis.Client, key string) {
			var session map[string]json.RawMessage
			value, err := client.Get(t.Context(), key).Bytes()
			if err == nil {
				err = json.Unmarshal(value, &session)
			}
			if err != nil {
				t.Fatal(err)
			}
			session["cookie"] = json.RawMessage(cookie)
			if value, err = json.Marshal(session); err != nil {
				t.Fatal(err)
			}
			if err := client.Set(t.Context(), key, value, 100*time.Second).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	longLived := cookie.PHP()
	longLived.Keyspace.Lifetime = 10000 * time.Second
	for _, c := range []struct {
		name   string
		app    func(*testing.T, *parts.Process) *parts.Process
		login  func(*browser)
		logout func(*browser)
		read   string
		stack  cookie.Stack
		change func(*testing.T, *redis.Client, string) // of the stored session
	}{
		{"PHP", func(t *testing.T, r *parts.Process) *parts.Process { return partstest.PHP(t, r) },
			byForm, func(b *browser) { b.post("/logout", "") }, "/me", cookie.PHP(), nil},
		{"PHP with a lifetime of its own", func(t *testing.T, r *parts.Process) *parts.Process {
			return partstest.PHP(t, r, "-d", "session.gc_maxlifetime=10000")
		}, byForm, func(b *browser) { b.post("/logout", "") }, "/me", longLived, nil},
		{"Predis", func(t *testing.T, r *parts.Process) *parts.Process { return partstest.PHPFramework(t, "predis", r) },
			byPath, func(b *browser) { b.get("/logout") }, "/", cookie.Predis("sessions:"), nil},
		{"Symfony", func(t *testing.T, r *parts.Process) *parts.Process { return partstest.PHPFramework(t, "symfony", r) },
			byPath, func(b *browser) { b.get("/logout") }, "/", cookie.Symfony(), nil},
		{"Laravel", func(t *testing.T, r *parts.Process) *parts.Process {
			return partstest.PHPFramework(t, "laravel", r, "DRIVER=redis", "CIPHER=AES-256-CBC", "ENCRYPT=0", "APP_KEY="+appKey)
		}, byPath, func(b *browser) { b.get("/logout") }, "/", cookie.Laravel(appKey), nil},
		{"Express", func(t *testing.T, r *parts.Process) *parts.Process { return partstest.Express(t, r, "secret") },
			byForm, func(b *browser) { b.post("/logout", "") }, "/me", cookie.Express("secret"), nil},
		// A request that changes nothing leaves cookie.expires as it was
		// written half an hour and more ago.
		{"Express, cookie.expires has passed", func(t *testing.T, r *parts.Process) *parts.Process { return partstest.Express(t, r, "secret") },
			byForm, func(b *browser) { b.post("/logout", "") }, "/me", cookie.Express("secret"),
			rewritten(`{"originalMaxAge":1800000,"expires":"2020-01-01T00:00:00.000Z","httpOnly":true,"path":"/"}`)},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := partstest.Redis(t)
			app := c.app(t, server)
			auth := authenticator(t, server.URL, c.stack)
			opts, err := redis.ParseURL(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			client := redis.NewClient(opts)
			t.Cleanup(func() { _ = client.Close() })
			browser := browser{t: t, url: app.URL, cookies: map[string]string{}}
			c.login(&browser)
			keys, err := client.Keys(t.Context(), "*").Result()
			if err != nil {
				t.Fatal(err)
			}
			keys = slices.DeleteFunc(keys, func(k string) bool { return strings.HasSuffix(k, "_LOCK") })
			if len(keys) != 1 {
				t.Fatalf("%d sessions", len(keys))
			}
			key := keys[0]
			if c.change != nil {
				c.change(t, client, key)
			}
			shorten := func() {
				if err := client.Expire(t.Context(), key, 100*time.Second).Err(); err != nil {
					t.Fatal(err)
				}
			}
			lives := func() time.Duration { return client.TTL(t.Context(), key).Val() }

			shorten()
			browser.get(c.read)
			want := lives()
			if identity, err := browser.ask(auth); err != nil || identity.User == "" {
				t.Fatalf("the application accepts what is refused here: %v", err)
			}
			shorten()
			extend := touch(t, auth, &bridge.Handshake{Request: browser.request("/socket")})
			if err := extend(); err != nil {
				t.Fatal(err)
			}
			if got := lives(); (got-want).Abs() > 20*time.Second || want <= 100*time.Second {
				t.Errorf("it lives for %v, and after a request to the application for %v", got, want)
			}

			const longer = 100 * 24 * time.Hour
			if err := client.Expire(t.Context(), key, longer).Err(); err != nil {
				t.Fatal(err)
			}
			if err := extend(); err != nil || lives() < longer-time.Minute {
				t.Errorf("%v, it lives for %v, want %v", err, lives(), longer)
			}
			if err := client.Persist(t.Context(), key).Err(); err != nil {
				t.Fatal(err)
			}
			if err := extend(); err != nil || lives() != -1 {
				t.Errorf("%v, it lives for %v, want no end", err, lives())
			}
			shorten()
			c.logout(&browser)
			if err := extend(); err != nil {
				t.Errorf("after the logout: %v", err)
			}
			if n, err := client.Exists(t.Context(), key).Result(); n != 0 || err != nil {
				t.Errorf("after the logout the session is there, %v", err)
			}
		})
	}
}

// Touch is offered where a request that only reads extends a session, and
// where the store can do it.
func TestTouchIsOffered(t *testing.T) {
	set := func(stack cookie.Stack, lifetime time.Duration) cookie.Stack {
		stack.Keyspace.Lifetime = lifetime
		return stack
	}
	for _, c := range []struct {
		name  string
		store stores.Store
		stack cookie.Stack
		want  bool
	}{
		{"php", stores.NewMemory(), cookie.PHP(), true},
		{"predis", stores.NewMemory(), cookie.Predis(""), true},
		{"symfony", stores.NewMemory(), cookie.Symfony(), true},
		{"laravel", stores.NewMemory(), cookie.Laravel("base64:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="), true},
		{"codeigniter3", stores.NewMemory(), cookie.CodeIgniter3(), true},
		{"codeigniter4", stores.NewMemory(), cookie.CodeIgniter4(), true},
		{"express", stores.NewMemory(), cookie.Express("secret"), true},
		{"express with disableTouch", stores.NewMemory(), set(cookie.Express("secret"), 0), false},
		{"flask-session", stores.NewMemory(), cookie.FlaskSession(""), true},
		{"fastify", stores.NewMemory(), cookie.Fastify("secret"), false},
		{"koa-redis", stores.NewMemory(), cookie.KoaRedis("secret"), false},
		{"koa-generic", stores.NewMemory(), cookie.KoaGeneric("secret"), false},
		{"django", stores.NewMemory(), cookie.Django(), false},
		{"django with SESSION_SAVE_EVERY_REQUEST", stores.NewMemory(), set(cookie.Django(), 14*24*time.Hour), true},
		{"gorilla", stores.NewMemory(), cookie.Gorilla("session"), false},
		{"rails", stores.NewMemory(), cookie.RailsRedis("_session"), false},
		{"spring", stores.NewMemory(), cookie.Spring(), false},
		{"a store that cannot", struct{ stores.Store }{stores.NewMemory()}, cookie.PHP(), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			// The first id of the stack's rule: one of each length fits.
			rule := c.stack.Keyspace.ID
			id := strings.Repeat(rule.Chars[:1], rule.Min)
			auth := newAuth(t, c.store, c.stack)
			var bound []bridge.Binding
			h := rediskey(t, id, "")
			h.Bound = func(b bridge.Binding) { bound = append(bound, b) }
			expect(t, newRedisKey(t, auth), h, noCredential, "")
			if len(bound) != 1 || (bound[0].Touch != nil) != c.want {
				t.Fatalf("%d bindings; Touch is offered: %v, want %v", len(bound), len(bound) == 1 && bound[0].Touch != nil, c.want)
			}
			if c.want {
				if err := bound[0].Touch(t.Context()); err != nil {
					t.Errorf("of a session that is gone: %v", err)
				}
			}
		})
	}
}
