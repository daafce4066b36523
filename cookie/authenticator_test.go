package cookie_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/stores"
	"github.com/sessionbridge/sessionbridge/stores/php"
)

// Each state of a session is one of an authenticator's outcomes, and its error
// says at which step.
func TestOutcomes(t *testing.T) {
	for _, c := range []struct {
		name, value string // the session; "\x00" for none
		want        verdict
		says        string
		is          error
	}{
		{"logged in", login42, accepted, "", nil},
		{"user 0", `{"cookie":{},"passport":{"user":0}}`, accepted, "", nil},
		{"missing", "\x00", noCredential, "express: no such session", stores.ErrNotFound},
		{"null", "null", noCredential, "express: no such session", stores.ErrNotFound},
		{"nobody", `{"cookie":{}}`, noCredential, `nobody is logged in to the session: nothing at "passport.user"`, stores.ErrNoUser},
		{"logged out", `{"cookie":{},"passport":{"user":null}}`, noCredential, "null at", stores.ErrNoUser},
		{"over", `{"cookie":{"expires":"2000-01-01T00:00:00.000Z"},"passport":{"user":42}}`, noCredential, "time is over", stores.ErrExpired},
		{"damaged", `{"cookie":{},"hunter2`, unknown, "express: the session cannot be decoded as json", nil},
		{"too long", strings.Repeat(" ", stores.MaxValue+1), unknown, "larger than 8 MiB", stores.ErrTooLarge},
		{"object", `{"cookie":{},"passport":{"user":{"id":42}}}`, unknown, `inside it are "passport.user.id"`, nil},
		{"true", `{"cookie":{},"passport":{"user":true}}`, unknown, "true at", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // begins on 2000-01-01
				m := stores.NewMemory()
				if c.value != "\x00" {
					m.Set("sess:"+sid, []byte(c.value), 0)
				}
				user := "42"
				if c.name == "user 0" {
					user = "0"
				}
				cookies := handshake(t, "connect.sid="+encoded("secret", sid))
				a := newAuth(t, m, cookie.Express("secret"))
				k, err := cookie.RedisKey(a)
				if err != nil {
					t.Fatal(err)
				}
				for _, c2 := range []struct {
					a bridge.Authenticator
					h *bridge.Handshake
				}{{a, cookies}, {k, rediskey(t, sid, "")}} {
					err := expect(t, c2.a, c2.h, c.want, user, sid, "hunter2", "secret")
					says := c.says
					if _, byMessage := c2.a.(*cookie.KeyAuthenticator); byMessage && c.name == "missing" {
						says = `rediskey: no such session under "sess:"`
					}
					if err != nil && !strings.Contains(err.Error(), says) {
						t.Errorf("error %q, want one with %q", err, says)
					}
					if c.is != nil && !errors.Is(err, c.is) {
						t.Errorf("error %v, want %v", err, c.is)
					}
				}
			})
		})
	}
}

func TestOutage(t *testing.T) {
	down := errors.New("connection refused")
	s := &spy{Store: expressLogin(), err: down}
	a := newAuth(t, s, cookie.Express("secret"))
	err := expect(t, a, handshake(t, "connect.sid="+encoded("secret", sid)), unknown, "", sid)
	if !errors.Is(err, down) || !strings.HasPrefix(err.Error(), "express: ") {
		t.Errorf("error %v", err)
	}
	// A cookie that is no credential, or a bad one, needs no store.
	expect(t, a, handshake(t), noCredential, "")
	expect(t, a, handshake(t, "connect.sid="+encoded("other", sid)), rejected, "", sid)
	if len(s.fetches) != 1 {
		t.Errorf("%d lookups", len(s.fetches))
	}
	expect(t, a, rediskey(t, sid, ""), noCredential, "", sid) // a cookie reads no messages
}

func TestExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		const expires = `{"cookie":{"expires":"2000-01-01T00:10:00.000Z"},"passport":{"user":42}}`
		for _, c := range []struct {
			value string
			ttl   time.Duration
			want  time.Time
		}{
			{login42, time.Hour, now.Add(time.Hour)},
			{expires, time.Hour, now.Add(time.Hour)},
			{expires, 0, now.Add(10 * time.Minute)},
			{login42, 0, time.Time{}},
		} {
			m := stores.NewMemory()
			m.Set("sess:"+sid, []byte(c.value), c.ttl)
			id, _, err := authenticate(t, newAuth(t, m, cookie.Express("secret")), handshake(t, "connect.sid="+encoded("secret", sid)))
			if err != nil || !id.Expires.Equal(c.want) {
				t.Errorf("%s for %v: until %v, %v, want %v", c.value, c.ttl, id.Expires, err, c.want)
			}
		}
	})
}

// The connection is registered under every key that the session may have
// before it is read, so that no change between the two is missed; and the
// session can be read again by what was registered.
func TestBindsBeforeReading(t *testing.T) {
	m := stores.NewMemory()
	m.Set("old:"+sid, []byte(login42), time.Hour)
	bound := map[string]bridge.Binding{}
	s := &spy{Store: m}
	s.before = func(keys []stores.Key) {
		for _, k := range keys {
			if !slices.ContainsFunc(slices.Collect(maps.Values(bound)), func(b bridge.Binding) bool {
				return slices.ContainsFunc(append(b.Aliases, b.Key), func(key string) bool {
					return strings.HasPrefix(key, m.Name()+"/") && strings.HasSuffix(key, "/"+k.String())
				})
			}) {
				t.Errorf("%v is read before the connection is registered under it", k)
			}
		}
	}
	stack := cookie.Express("secret")
	stack.Keyspace.Alternatives = []string{"old:"}
	a := newAuth(t, s, stack)
	k := newRedisKey(t, a, newAuth(t, s, app("app", "app:")))
	for _, c := range []struct {
		name     string
		a        bridge.Authenticator
		h        *bridge.Handshake
		sessions int // that are bound
	}{{"cookie", a, handshake(t, "connect.sid="+encoded("secret", sid)), 1}, {"rediskey", k, rediskey(t, sid, ""), 2}} {
		t.Run(c.name, func(t *testing.T) {
			clear(bound)
			s.fetches = nil
			c.h.Bound = func(b bridge.Binding) { bound[b.Key] = b }
			id, _, err := authenticate(t, c.a, c.h)
			if err != nil || len(s.fetches) != 1 || len(bound) != c.sessions {
				t.Fatalf("%v, after the lookups %v and the bindings %v", err, s.fetches, bound)
			}
			b, ok := bound[id.Key]
			if !ok || !strings.HasSuffix(id.Key, "/sess:"+sid) { // the first, wherever it is
				t.Fatalf("the identity's key %q is not bound", id.Key)
			}
			again, err := b.Reload(t.Context())
			if err != nil || again.User != "42" || again.Key != id.Key {
				t.Errorf("read again: %+v, %v", again, err)
			}
			m.Delete("old:" + sid)
			if again, err := b.Reload(t.Context()); again != nil || !errors.Is(err, bridge.ErrNoCredential) {
				t.Errorf("read again after the logout: %+v, %v", again, err)
			}
			m.Set("old:"+sid, []byte(login42), time.Hour)
		})
	}
}

// A hook takes the identity, which it does not if its session is not bound.
func TestBehindAHook(t *testing.T) {
	b, err := bridge.New(newAuth(t, expressLogin(), cookie.Express("secret")), &bridge.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for header, want := range map[string]int{
		"connect.sid=" + encoded("secret", sid):  http.StatusOK,
		"connect.sid=" + encoded("secret", sid2): http.StatusUnauthorized,
		"connect.sid=" + encoded("other", sid):   http.StatusUnauthorized,
	} {
		h := b.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if id, ok := bridge.FromContext(r.Context()); !ok || id.User != "42" || id.Via != "express" {
				t.Errorf("identity %+v", id)
			}
		}))
		r := httptest.NewRequest("GET", "http://app.test/events", nil)
		r.Header.Set("Origin", "http://app.test")
		r.Header.Set("Cookie", header)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want || strings.Contains(w.Body.String(), sid) {
			t.Errorf("status %d, want %d: %s", w.Code, want, w.Body)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := b.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// holding opens a cookie that holds the session itself.
type holding struct{ signed bool }

func (holding) Validate() error { return nil }

func (o holding) Open(jar cookie.Jar, name string) (cookie.Opened, error) {
	value, ok := jar.Get(name)
	if !ok {
		return cookie.Opened{}, cookie.ErrNoCookie
	}
	return cookie.Opened{Value: []byte(value), Signed: o.signed}, nil
}

// A session in the cookie is read from there, if something vouches for it.
func TestSessionInTheCookie(t *testing.T) {
	s := &spy{Store: stores.NewMemory()}
	stack := cookie.PHP()
	stack.Keyspace.Codec = stores.PHP(php.HandlerSerialize)
	stack.Opener = holding{signed: true}
	a := newAuth(t, s, stack)
	id, got, err := authenticate(t, a, handshake(t, `PHPSESSID=i:1`))
	if got != unknown {
		t.Errorf("a damaged session: %v, %v", id, err)
	}
	stack.Keyspace.Codec = bareUser{}
	a = newAuth(t, s, stack)
	id, got, err = authenticate(t, a, handshake(t, `PHPSESSID=42`))
	if got != accepted || id.User != "42" || id.Key != "" || !id.Expires.IsZero() {
		t.Errorf("= %+v, %v", id, err)
	}
	stack.Opener = holding{}
	expect(t, newAuth(t, s, stack), handshake(t, `PHPSESSID=42`), rejected, "")
	if len(s.fetches) > 0 {
		t.Errorf("%d lookups", len(s.fetches))
	}
}

// bareUser is a session that is its user and nothing else.
type bareUser struct{}

func (bareUser) Name() string { return "user" }

func (bareUser) Decode(value []byte) (stores.Values, time.Time, error) {
	return userValues(value), time.Time{}, nil
}

type userValues string

func (u userValues) Lookup(string) (any, bool) { return string(u), true }
func (u userValues) Map() map[string]any       { return map[string]any{"user": string(u)} }
