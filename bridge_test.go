// Package sessionbridge_test holds the acceptance tests: real PHP with
// phpredis, real Express with express-session, connect-redis and passport, and
// a real redis-server, through the public API only. Where one of them is
// missing, the tests that need it skip with a line that says how to get it,
// unless BRIDGE_REQUIRE ("redis,php,node") names it.
package sessionbridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/sessions"
	"github.com/gorilla/websocket"
	"github.com/rbcervilla/redisstore/v9"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/internal/parts"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/jwtmode"
	"github.com/sessionbridge/sessionbridge/stores"
	"github.com/sessionbridge/sessionbridge/stores/php"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	newSecret = "the secret that signs now"
	oldSecret = "the secret that signed before"
	goCookie  = "go-session"
)

var jwtSecret = []byte("0123456789abcdef0123456789abcdef")

// service is a socket service over one Redis.
type service struct {
	url    string
	client *redis.Client
	bridge *bridge.Bridge
}

// newService serves /ws for the given stacks, their sessions by rediskey, and
// JWTs; the stacks' names are unique.
func newService(t *testing.T, redisURL string, stacks ...cookie.Stack) *service {
	t.Helper()
	opts, err := redis.ParseURL(redisURL)
	if err != nil {
		t.Fatal(err)
	}
	opts.ContextTimeoutEnabled = true
	client := redis.NewClient(opts)
	t.Cleanup(func() { client.Close() })
	store, err := stores.NewRedis(client, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwtmode.New(jwtmode.Options{Algorithms: []string{"HS256"}, Key: jwtSecret, Audience: []string{"socket"}})
	if err != nil {
		t.Fatal(err)
	}
	chain := []bridge.Authenticator{token}
	var auths []*cookie.Authenticator
	for _, s := range stacks {
		a, err := cookie.New(store, s)
		if err != nil {
			t.Fatal(err)
		}
		auths = append(auths, a)
		chain = append(chain, a)
	}
	key, err := cookie.RedisKey(auths...)
	if err != nil {
		t.Fatal(err)
	}
	b, err := bridge.New(bridge.First(append(chain, key)...), &bridge.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/ws", b.Handler(func(c *bridge.Conn) {
		for {
			kind, p, err := c.ReadMessage()
			if err != nil || c.WriteMessage(kind, p) != nil {
				return
			}
		}
	}))
	mux.Handle("/whoami", b.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := bridge.FromContext(r.Context())
		_ = json.NewEncoder(w).Encode(id.Session.Map())
	})))
	srv := httptest.NewServer(mux)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := b.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		srv.Close()
	})
	return &service{srv.URL, client, b}
}

// outcome is what came of a handshake: an identity, or a status and a code, or
// a code and a close code.
type outcome struct {
	User, Via string
	Status    int
	Code      string
	Close     int
}

type event struct {
	Event string
	Data  struct{ User, Via, Code string }
}

// dial connects and reports what came of it. Without a message in first, a
// handshake that is left waiting for one is sent something else.
func (s *service) dial(t *testing.T, header http.Header, first string) outcome {
	t.Helper()
	ws, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(s.url, "http")+"/ws", header)
	if err != nil {
		if resp == nil {
			t.Fatal(err)
		}
		var e event
		if err := json.NewDecoder(resp.Body).Decode(&e); err != nil {
			t.Fatalf("the body of a %s is no event: %v", resp.Status, err)
		}
		if resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") == "" {
			t.Error("503 without Retry-After")
		}
		return outcome{Status: resp.StatusCode, Code: e.Data.Code}
	}
	defer ws.Close()
	if err := ws.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	text := first
	if text == "" {
		text = "hello"
	}
	if err := ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		t.Fatal(err)
	}
	var e event
	if err := ws.ReadJSON(&e); err != nil {
		t.Fatal(err)
	}
	o := outcome{User: e.Data.User, Via: e.Data.Via, Code: e.Data.Code}
	if e.Event == "unauthorized" && first == "" {
		_, _, err := ws.ReadMessage()
		closed := (*websocket.CloseError)(nil)
		if !errors.As(err, &closed) {
			t.Fatalf("not closed: %v", err)
		}
		o.Close = closed.Code
	}
	return o
}

// mustTurn dials until it has that outcome. A handshake in the moment between a
// change in Redis and its push may still find the session in the cache, and is
// ended by that push.
func (s *service) mustTurn(t *testing.T, header http.Header, first string, want outcome) {
	t.Helper()
	deadline := time.Now().Add(time.Second)
	for {
		diff := cmp.Diff(want, s.dial(t, header, first))
		if diff == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("outcome (-want +got):\n%s", diff)
			return
		}
	}
}

func with(h http.Header, name, value string) http.Header {
	h = h.Clone()
	h.Set(name, value)
	return h
}

func rediskey(id string) string { return `{"rediskey":"` + id + `"}` }

// app is one web application, and how its stack is set up here.
type app struct {
	name  string
	start func(testing.TB, *parts.Process) string
	stack func() cookie.Stack
}

func phpApp(name string, h php.Handler, flags ...string) app {
	return app{name,
		func(t testing.TB, r *parts.Process) string { return partstest.PHP(t, r, flags...).URL },
		func() cookie.Stack {
			s := cookie.PHP()
			s.Keyspace.Codec = stores.PHP(h)
			return s
		}}
}

var apps = []app{
	phpApp("php", php.HandlerPHP),
	phpApp("php", php.HandlerSerialize, "-d", "session.serialize_handler=php_serialize"),
	{"express",
		func(t testing.TB, r *parts.Process) string { return partstest.Express(t, r, newSecret, oldSecret).URL },
		func() cookie.Stack { return cookie.Express(newSecret, oldSecret) }},
	{"express", // the application has rotated its secret, the service is a step ahead
		func(t testing.TB, r *parts.Process) string { return partstest.Express(t, r, oldSecret).URL },
		func() cookie.Stack { return cookie.Express(newSecret, oldSecret) }},
	{"go", startGoApp, func() cookie.Stack { return cookie.Gorilla(goCookie) }},
}

// startGoApp is a web application on gorilla/sessions and redisstore.
func startGoApp(t testing.TB, r *parts.Process) string {
	opts, err := redis.ParseURL(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(opts)
	t.Cleanup(func() { client.Close() })
	store, err := redisstore.NewRedisStore(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]int{"alice": 42, "bob": 7, "zero": 0}
	save := func(w http.ResponseWriter, req *http.Request, maxAge int) *sessions.Session {
		s, err := store.Get(req, goCookie)
		if err != nil {
			t.Error(err)
		}
		s.Options.MaxAge = maxAge
		s.Values["user_id"], s.Values["name"] = ids[req.FormValue("user")], req.FormValue("user")
		if err := s.Save(req, w); err != nil {
			t.Error(err)
		}
		return s
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, req *http.Request) {
		s := save(w, req, 3600)
		_ = json.NewEncoder(w).Encode(map[string]string{"rediskey": s.ID})
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, req *http.Request) {
		save(w, req, -1)
		_, _ = io.WriteString(w, "{}")
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestLogin(t *testing.T) {
	for _, a := range apps {
		s := a.stack()
		t.Run(a.name+"/"+s.Keyspace.Codec.Name(), func(t *testing.T) {
			server := partstest.Redis(t)
			web := a.start(t, server)
			svc := newService(t, server.URL, a.stack())

			alice := partstest.NewVisitor(t, web)
			alice.Login("alice")
			cookies := http.Header{"Cookie": {alice.Cookie()}}
			zero := partstest.NewVisitor(t, web)
			zero.Login("zero")

			for _, tc := range []struct {
				name   string
				header http.Header
				first  string
				want   outcome
			}{
				{"cookie", cookies, "", outcome{User: "42", Via: a.name}},
				{"cookie of user 0", http.Header{"Cookie": {zero.Cookie()}}, "", outcome{User: "0", Via: a.name}},
				{"rediskey", nil, rediskey(alice.Key), outcome{User: "42", Via: a.name}},
				{"rediskey of user 0", nil, rediskey(zero.Key), outcome{User: "0", Via: a.name}},
				{"rediskey with its stack", nil, `{"rediskey":"` + alice.Key + `","stack":"` + a.name + `"}`, outcome{User: "42", Via: a.name}},
				{"rediskey of another stack", nil, `{"rediskey":"` + alice.Key + `","stack":"other"}`, outcome{Code: "invalid_session"}},
				{"rediskey with a prefix", nil, rediskey(s.Keyspace.Prefix + alice.Key), outcome{Code: "invalid_session"}},
				{"same origin", with(cookies, "Origin", svc.url), "", outcome{User: "42", Via: a.name}},
				{"foreign origin", with(cookies, "Origin", "https://evil.example"), "", outcome{Status: 403, Code: "origin_not_allowed"}},
				{"no cookie", nil, "", outcome{Code: "credentials_required", Close: 3000}},
				{"two cookies, the first good", http.Header{"Cookie": {cookies.Get("Cookie") + "; " + zero.Cookie()}}, "", outcome{User: "42", Via: a.name}},
				{"two cookies, the first of user 0", http.Header{"Cookie": {zero.Cookie(), cookies.Get("Cookie")}}, "", outcome{User: "0", Via: a.name}},
			} {
				t.Run(tc.name, func(t *testing.T) {
					if diff := cmp.Diff(tc.want, svc.dial(t, tc.header, tc.first)); diff != "" {
						t.Errorf("outcome (-want +got):\n%s", diff)
					}
				})
			}

			t.Run("session data", func(t *testing.T) {
				resp, err := http.DefaultClient.Do(&http.Request{URL: mustURL(t, svc.url+"/whoami"), Header: cookies})
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				var data map[string]any
				if err := json.NewDecoder(resp.Body).Decode(&data); err != nil {
					t.Fatal(err)
				}
				switch a.name {
				case "express":
					data = data["passport"].(map[string]any)
					data["user_id"] = data["user"]
				default:
					if data["name"] != "alice" {
						t.Errorf(`name = %v, want "alice"`, data["name"])
					}
				}
				if data["user_id"] != float64(42) {
					t.Errorf("the user in the session is %v, want 42", data["user_id"])
				}
			})

			t.Run("logged out", func(t *testing.T) {
				alice.Logout()
				svc.mustTurn(t, cookies, "", outcome{Code: "credentials_required", Close: 3000})
				svc.mustTurn(t, nil, rediskey(alice.Key), outcome{Code: "invalid_session"})
			})

			t.Run("expired", func(t *testing.T) {
				key := s.Keyspace.Prefix + zero.Key
				if n, err := svc.client.PExpire(t.Context(), key, time.Millisecond).Result(); err != nil || !n {
					t.Fatalf("PEXPIRE: %v, %v", n, err)
				}
				for {
					if n, err := svc.client.Exists(t.Context(), key).Result(); err != nil {
						t.Fatal(err)
					} else if n == 0 {
						break
					}
				}
				svc.mustTurn(t, http.Header{"Cookie": {zero.Cookie()}}, "", outcome{Code: "credentials_required", Close: 3000})
			})
		})
	}
}

func mustURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestExpressSignature(t *testing.T) {
	server := partstest.Redis(t)
	web := partstest.Express(t, server, newSecret).URL
	alice := partstest.NewVisitor(t, web)
	alice.Login("alice")
	header := alice.Cookie()
	i := strings.LastIndex(header, ".") + 1
	tampered := header[:i] + flip(header[i:])
	otherID := strings.Replace(header, alice.Key, flip(alice.Key), 1)

	good := newService(t, server.URL, cookie.Express(newSecret))
	wrong := newService(t, server.URL, cookie.Express(oldSecret))
	rejected := outcome{Status: 401, Code: "invalid_session"}
	for _, tc := range []struct {
		name    string
		service *service
		cookie  []string
		first   string
		want    outcome
	}{
		{"good", good, []string{header}, "", outcome{User: "42", Via: "express"}},
		{"wrong secret", wrong, []string{header}, "", rejected},
		{"tampered signature", good, []string{tampered}, "", rejected},
		{"tampered id", good, []string{otherID}, "", rejected},
		{"unsigned", good, []string{"connect.sid=" + alice.Key}, "", rejected},
		{"forged before good", good, []string{tampered + "; " + header}, "", rejected},
		{"good before forged", good, []string{header + "; " + tampered}, "", outcome{User: "42", Via: "express"}},
		{"forged in the first of two headers", good, []string{tampered, header}, "", rejected},
		{"a forged cookie is not outweighed by a message", good, []string{tampered}, rediskey(alice.Key), rejected},
		{"another letter case", good, []string{strings.Replace(header, "connect.sid", "Connect.sid", 1)}, "", outcome{Code: "credentials_required", Close: 3000}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, tc.service.dial(t, http.Header{"Cookie": tc.cookie}, tc.first)); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
		})
	}
}

// flip changes the first letter or digit of s into another.
func flip(s string) string {
	if s[0] == 'a' {
		return "b" + s[1:]
	}
	return "a" + s[1:]
}

func TestUnknownSession(t *testing.T) {
	server := partstest.Redis(t)
	svc := newService(t, server.URL, cookie.PHP(), cookie.Gorilla(goCookie))
	for _, tc := range []struct {
		name, cookie string
		want         outcome
	}{
		{"well-formed PHP id", "PHPSESSID=abcdefghij0123456789abcdef", outcome{Code: "credentials_required", Close: 3000}},
		{"PHP's mark of a logout", "PHPSESSID=deleted", outcome{Code: "credentials_required", Close: 3000}},
		{"lock key", "PHPSESSID=abcdefghij0123456789abcdef_LOCK", outcome{Status: 401, Code: "invalid_session"}},
		{"too short", "PHPSESSID=abc", outcome{Status: 401, Code: "invalid_session"}},
		{"path", "PHPSESSID=../../../../../etc/passwd/x", outcome{Status: 401, Code: "invalid_session"}},
		{"redis glob", "PHPSESSID=**************************", outcome{Status: 401, Code: "invalid_session"}},
		{"line break", "PHPSESSID=abcdefghij0123456789abc%0d%0aDEL", outcome{Status: 401, Code: "invalid_session"}},
		{"well-formed gorilla id", goCookie + "=" + strings.Repeat("ABCDEFG2", 12) + "ABCDEFG", outcome{Code: "credentials_required", Close: 3000}},
		{"gorilla id in lower case", goCookie + "=" + strings.Repeat("abcdefg2", 12), outcome{Status: 401, Code: "invalid_session"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, svc.dial(t, http.Header{"Cookie": {tc.cookie}}, "")); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
		})
	}
}

// A stale PHPSESSID beside a live connect.sid proves nothing: the next stack is
// asked.
func TestTwoStacksInOneBrowser(t *testing.T) {
	server := partstest.Redis(t)
	phpWeb, expressWeb := partstest.PHP(t, server).URL, partstest.Express(t, server, newSecret).URL
	svc := newService(t, server.URL, cookie.PHP(), cookie.Express(newSecret))
	inPHP, inExpress := partstest.NewVisitor(t, phpWeb), partstest.NewVisitor(t, expressWeb)
	inPHP.Login("alice")
	inExpress.Login("bob")
	both := http.Header{"Cookie": {inPHP.Cookie() + "; " + inExpress.Cookie()}}

	if diff := cmp.Diff(outcome{User: "42", Via: "php"}, svc.dial(t, both, "")); diff != "" {
		t.Errorf("both logged in (-want +got):\n%s", diff)
	}
	inPHP.Logout()
	if diff := cmp.Diff(outcome{User: "7", Via: "express"}, svc.dial(t, both, "")); diff != "" {
		t.Errorf("logged out of PHP (-want +got):\n%s", diff)
	}
	for _, v := range []*partstest.Visitor{inPHP, inExpress} {
		v.Login("alice")
	}
	if diff := cmp.Diff(outcome{User: "42", Via: "express"}, svc.dial(t, nil, rediskey(inExpress.Key))); diff != "" {
		t.Errorf("rediskey of Express (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(outcome{User: "42", Via: "php"}, svc.dial(t, nil, rediskey(inPHP.Key))); diff != "" {
		t.Errorf("rediskey of PHP (-want +got):\n%s", diff)
	}
}

// While Redis is away nobody is anonymous, nobody is told to log in again, and
// those who are connected stay.
func TestRedisDown(t *testing.T) {
	server := partstest.Redis(t)
	web := partstest.Express(t, server, newSecret).URL
	svc := newService(t, server.URL, cookie.Express(newSecret), cookie.PHP())
	alice := partstest.NewVisitor(t, web)
	alice.Login("alice")
	cookies := http.Header{"Cookie": {alice.Cookie()}}
	known := outcome{User: "42", Via: "express"}
	if diff := cmp.Diff(known, svc.dial(t, cookies, "")); diff != "" {
		t.Fatalf("before (-want +got):\n%s", diff)
	}

	server.Stop()
	away := outcome{Status: 503, Code: "unavailable"}
	// Until the service has noticed, the identity that it knows may stand, and
	// nothing else.
	got := svc.dial(t, cookies, "")
	for deadline := time.Now().Add(2 * time.Second); got == known && time.Now().Before(deadline); {
		got = svc.dial(t, cookies, "")
	}
	if diff := cmp.Diff(away, got); diff != "" {
		t.Errorf("cookie (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(outcome{Code: "unavailable"}, svc.dial(t, nil, rediskey(alice.Key))); diff != "" {
		t.Errorf("rediskey (-want +got):\n%s", diff)
	}
	// What needs no Redis goes on as before.
	if diff := cmp.Diff(outcome{User: "9", Via: "jwt"}, svc.dial(t, http.Header{"Authorization": {"Bearer " + token(t, "9", time.Hour)}}, "")); diff != "" {
		t.Errorf("JWT (-want +got):\n%s", diff)
	}

	u := mustURL(t, server.URL)
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	back, err := parts.StartRedisAt(t.Context(), port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(back.Stop)
	if diff := cmp.Diff(outcome{Code: "credentials_required", Close: 3000}, svc.dial(t, cookies, "")); diff != "" {
		t.Errorf("after an empty restart (-want +got):\n%s", diff)
	}
}

func token(t *testing.T, user string, d time.Duration) string {
	t.Helper()
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": user, "aud": "socket", "exp": time.Now().Add(d).Unix(),
	}).SignedString(jwtSecret)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestJWT(t *testing.T) {
	server := partstest.Redis(t)
	svc := newService(t, server.URL, cookie.PHP())
	good, expired := token(t, "9", time.Hour), token(t, "9", -time.Hour)
	message := func(s string) string { return `{"event":"authenticate","data":{"token":"` + s + `"}}` }
	for _, tc := range []struct {
		name   string
		header http.Header
		first  string
		want   outcome
	}{
		{"header", http.Header{"Authorization": {"Bearer " + good}}, "", outcome{User: "9", Via: "jwt"}},
		{"subprotocol", http.Header{"Sec-Websocket-Protocol": {"bearer, " + good}}, "", outcome{User: "9", Via: "jwt"}},
		{"message", nil, message(good), outcome{User: "9", Via: "jwt"}},
		{"expired header", http.Header{"Authorization": {"Bearer " + expired}}, "", outcome{Status: 401, Code: "invalid_token"}},
		{"expired message", nil, message(expired), outcome{Code: "invalid_token"}},
		{"tampered", http.Header{"Authorization": {"Bearer " + good[:len(good)-5] + flip(good[len(good)-5:])}}, "", outcome{Status: 401, Code: "invalid_token"}},
		{"not a string", nil, `{"event":"authenticate","data":{"token":5}}`, outcome{Code: "invalid_token"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, svc.dial(t, tc.header, tc.first)); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
		})
	}
}

// A logout reaches a socket that is open.
func TestLogoutEndsSocket(t *testing.T) {
	server := partstest.Redis(t)
	web := partstest.PHP(t, server).URL
	opts, err := redis.ParseURL(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(opts)
	t.Cleanup(func() { client.Close() })
	store, err := stores.NewRedis(client, nil)
	if err != nil {
		t.Fatal(err)
	}
	auth, err := cookie.New(store, cookie.PHP())
	if err != nil {
		t.Fatal(err)
	}
	b, err := bridge.New(auth, &bridge.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	cause := make(chan error, 1)
	t.Cleanup(func() { _ = b.Shutdown(context.Background()) })
	srv := httptest.NewServer(b.Handler(func(c *bridge.Conn) {
		<-c.CloseRead().Done()
		cause <- context.Cause(c.Context())
	}))
	t.Cleanup(srv.Close)

	alice := partstest.NewVisitor(t, web)
	alice.Login("alice")
	ws, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(srv.URL, "http"), http.Header{"Cookie": {alice.Cookie()}})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	var e event
	if err := ws.ReadJSON(&e); err != nil || e.Data.User != "42" {
		t.Fatalf("first event: %+v, %v", e, err)
	}
	alice.Logout()
	if err := ws.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	e = event{}
	if err := ws.ReadJSON(&e); err != nil || e.Event != "deauthenticated" || e.Data.Code != "session_ended" {
		t.Errorf("after the logout: %+v, %v", e, err)
	}
	if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, 3000) {
		t.Errorf("closed with %v, want 3000", err)
	}
	if end := (*bridge.EndError)(nil); !errors.As(<-cause, &end) || end.Code != bridge.CodeSessionEnded {
		t.Errorf("the context's cause is %v", end)
	}
}
