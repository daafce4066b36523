package socketcluster_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/remote"
	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/internal/parts"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/socketcluster"
	"github.com/sessionbridge/sessionbridge/stores"
)

// logoutBound is how soon after the web application's logout the client's own
// event must come: that of a plain socket.
const logoutBound = time.Second

// stacks are the web applications.
var stacks = []struct {
	name  string
	start func(testing.TB, *parts.Process) *parts.Process
	stack func() cookie.Stack
}{
	{"php", func(t testing.TB, r *parts.Process) *parts.Process { return partstest.PHP(t, r) }, cookie.PHP},
	{"express",
		func(t testing.TB, r *parts.Process) *parts.Process { return partstest.Express(t, r, "a secret") },
		func() cookie.Stack { return cookie.Express("a secret") }},
}

// sessionAuth reads a stack's sessions, by cookie and by rediskey, and tokens.
func sessionAuth(t testing.TB, redisURL string, stack cookie.Stack) bridge.Authenticator {
	t.Helper()
	opts, err := redis.ParseURL(redisURL)
	if err != nil {
		t.Fatal(err)
	}
	opts.ContextTimeoutEnabled = true
	client := redis.NewClient(opts)
	t.Cleanup(func() { client.Close() })
	store, err := stores.NewRedis(client, &stores.RedisOptions{Watch: stores.WatchOptions{Logger: silent}})
	if err != nil {
		t.Fatal(err)
	}
	app, err := cookie.New(store, stack)
	if err != nil {
		t.Fatal(err)
	}
	key, err := cookie.RedisKey(app)
	if err != nil {
		t.Fatal(err)
	}
	return bridge.First(app, key, tokens(t))
}

// visitor is a browser's session with a web application.
type visitor struct {
	t      testing.TB
	app    string
	client *http.Client
	key    string
}

func newVisitor(t testing.TB, app string) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &visitor{t: t, app: app, client: &http.Client{Jar: jar, Transport: transport}}
}

func (v *visitor) post(path string, form url.Values) {
	v.t.Helper()
	resp, err := v.client.PostForm(v.app+path, form)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		v.t.Fatalf("POST %s: %s %s %v", path, resp.Status, body, err)
	}
	var answer struct{ RedisKey string }
	if err := json.Unmarshal(body, &answer); err != nil {
		v.t.Fatal(err)
	}
	if answer.RedisKey != "" {
		v.key = answer.RedisKey
	}
}

func (v *visitor) login() http.Header {
	v.t.Helper()
	v.post("/login", url.Values{"user": {"alice"}, "password": {"demo"}})
	u, err := url.Parse(v.app)
	if err != nil {
		v.t.Fatal(err)
	}
	h := http.Header{}
	for _, c := range v.client.Jar.Cookies(u) {
		h.Add("Cookie", c.Name+"="+c.Value)
	}
	if len(h) == 0 || v.key == "" {
		v.t.Fatal("the login gave neither cookie nor rediskey")
	}
	return h
}

// The logout of a web application ends the authentication of the socket that
// its cookie, or its rediskey, opened, and the client's own events say so.
func TestWebLogout(t *testing.T) {
	for _, app := range stacks {
		t.Run(app.name, func(t *testing.T) {
			server := partstest.Redis(t)
			web := app.start(t, server)
			for _, tc := range []struct {
				name   string
				issuer bool
				key    bool
				closes bool
			}{
				{name: "cookie"},
				{name: "cookie, with a token issued", issuer: true},
				{name: "rediskey", key: true},
				{name: "rediskey, with a token issued", key: true, issuer: true},
				{name: "cookie, closing", issuer: true, closes: true},
			} {
				t.Run(tc.name, func(t *testing.T) {
					o := newOptions()
					o.CloseOnEnd = tc.closes
					if !tc.issuer {
						o.Issuer = nil
					}
					s := newService(t, sessionAuth(t, server.URL, app.stack()), o)
					alice := newVisitor(t, web.URL)
					cookies := alice.login()
					w := with{Headers: cookies}
					if tc.key {
						w.Headers = nil
					}
					c := s.node(t, w)
					status := c.start()
					equal(t, "isAuthenticated", any(!tc.key), status["isAuthenticated"])
					if tc.key {
						unknown := c.do(map[string]any{"do": "invoke", "name": "rediskey", "data": map[string]string{"rediskey": "0123456789abcdef0123456789"}})
						equal(t, "an unknown rediskey", any("AuthError"), unknown.Error["name"])
						c.must(map[string]any{"do": "invoke", "name": "rediskey", "data": map[string]string{"rediskey": alice.key}})
					}
					equal(t, "newAuthState", any("authenticated"), c.wait("authStateChange")["newAuthState"])
					equal(t, "whoami", any("42"), c.must(map[string]any{"do": "invoke", "name": "whoami"}))
					if tc.issuer {
						issued := c.waitFor("authenticate", func(d map[string]any) bool { return d["authToken"] != nil })
						equal(t, "sub", any("42"), issued["authToken"].(map[string]any)["sub"])
					}
					c.subscribe("news")

					alice.post("/logout", nil)
					began := time.Now()
					equal(t, "newAuthState", any("unauthenticated"), c.wait("authStateChange")["newAuthState"])
					if d := time.Since(began); d > logoutBound {
						t.Errorf("the client was told after %v", d)
					}
					c.wait("deauthenticate")
					if tc.closes {
						equal(t, "disconnect", map[string]any{"code": 4500.0, "reason": "session_ended"}, c.wait("disconnect"))
						equal(t, "pendingReconnect", any(false), c.state()["pendingReconnect"])
						return
					}
					equal(t, "kickOut", map[string]any{"channel": "news", "message": "session_ended"}, c.wait("kickOut"))
					equal(t, "whoami", nil, c.must(map[string]any{"do": "invoke", "name": "whoami"}))
					equal(t, "stored", any(map[string]any{}), c.state()["stored"])
				})
			}
		})
	}
}

// With an Issuer, the session counts more than a token: an old one in the
// client's store does no harm, and another's does not win.
func TestSessionBeforeToken(t *testing.T) {
	for _, tc := range []struct {
		name    string
		token   string
		session string
		want    any
		err     any
	}{
		{"an expired token", sign(t, "42", -time.Hour, nil), "42", "42", nil},
		{"another's token", sign(t, "7", time.Hour, nil), "42", "42", nil},
		{"no session", sign(t, "7", time.Hour, nil), "", "7", nil},
		{"neither", "nonsense", "", nil, "AuthTokenInvalidError"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			sessions := newSessions("42")
			s := newService(t, bridge.First(sessions, tokens(t)), newOptions())
			w := with{Token: &tc.token}
			if tc.session != "" {
				w.Headers = http.Header{"Cookie": {"user=" + tc.session}}
			}
			c := s.node(t, w)
			status := c.start()
			authError, _ := status["authError"].(map[string]any)
			equal(t, "authError", tc.err, authError["name"])
			equal(t, "whoami", tc.want, c.must(map[string]any{"do": "invoke", "name": "whoami"}))
			if tc.session == "" {
				return
			}
			fresh := c.waitFor("authenticate", func(d map[string]any) bool { return d["signedAuthToken"] != tc.token })
			equal(t, "sub", any(tc.session), fresh["authToken"].(map[string]any)["sub"])
			// A token of its own does not loosen the tie to the session.
			c.must(map[string]any{"do": "authenticate", "token": fresh["signedAuthToken"]})
			sessions.logout("42")
			c.wait("deauthenticate")
		})
	}
}

// The same in a browser, with the client's own bundle, as a page of the web
// application would have it: log in, get messages, log out.
func TestChromium(t *testing.T) {
	bundle := filepath.Join(nodeModules(t), "socketcluster-client", "socketcluster-client.min.js")
	for _, app := range stacks {
		t.Run(app.name, func(t *testing.T) {
			browser := partstest.Chromium(t)
			server := partstest.Redis(t)
			web := app.start(t, server)
			s := newService(t, sessionAuth(t, server.URL, app.stack()), newOptions())
			page := httptest.NewServer(onePage(t, bundle, web.URL, s.server))
			t.Cleanup(page.Close)

			ctx, stop := remote.NewAllocator(t.Context(), browser.URL, remote.NoModifyURL)
			defer stop()
			ctx, stop = chromedp.NewContext(ctx)
			defer stop()
			if err := chromedp.Do(ctx, chromedp.Navigate(page.URL)); err != nil {
				t.Fatal(err)
			}
			for _, step := range []struct {
				do   string
				then []string
			}{
				{"", []string{"connect false"}},
				{"logIn()", []string{"connect true", "authenticated 42", "subscribe news"}},
				{"socket.invokePublish('news', 'hello')", []string{"message hello"}},
				{"logOut()", []string{"unauthenticated", "kickOut news session_ended", "stored 0"}},
			} {
				if step.do != "" {
					if _, err := chromedp.Run(ctx, chromedp.Evaluate[any](step.do+"; 0")); err != nil {
						t.Fatalf("%s: %v", step.do, err)
					}
				}
				for _, text := range step.then {
					_, err := chromedp.Run(ctx, chromedp.Poll[bool](fmt.Sprintf("window.happened?.includes(%q)", text),
						chromedp.WithPollingTimeout(15*time.Second), chromedp.WithPollingInterval(20*time.Millisecond)))
					if err != nil {
						log, logErr := chromedp.Run(ctx, chromedp.Evaluate[[]string]("window.happened"))
						t.Fatalf("waiting for %q: %v; the page noted %q, %v", text, err, log, logErr)
					}
				}
			}
		})
	}
}

// onePage serves the page, the web application and the socket on one origin.
func onePage(t *testing.T, bundle, web string, s *socketcluster.Server) http.Handler {
	t.Helper()
	target, err := url.Parse(web)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/socketcluster/", s)
	mux.Handle("/app/", http.StripPrefix("/app", newProxy(target)))
	mux.HandleFunc("/client.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, bundle) })
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, pageText)
	})
	return mux
}
