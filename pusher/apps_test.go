package pusher_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/remote"
	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/internal/parts"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/pusher"
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

// login logs in and returns the Cookie header that the browser then sends.
func (v *visitor) login() string {
	v.t.Helper()
	v.post("/login", url.Values{"user": {"alice"}, "password": {"demo"}})
	u, err := url.Parse(v.app)
	if err != nil {
		v.t.Fatal(err)
	}
	var all []string
	for _, c := range v.client.Jar.Cookies(u) {
		all = append(all, c.Name+"="+c.Value)
	}
	if len(all) == 0 || v.key == "" {
		v.t.Fatal("the login gave no cookie, or no rediskey")
	}
	return strings.Join(all, "; ")
}

// The logout of a web application reaches the client's own events, whichever
// way it was known.
func TestWebLogout(t *testing.T) {
	for _, app := range stacks {
		t.Run(app.name, func(t *testing.T) {
			server := partstest.Redis(t)
			web := app.start(t, server)
			for _, tc := range []struct {
				name    string
				upgrade bool // the cookie comes with the upgrade request
				key     bool // the rediskey comes with the requests to be authorized
				signin  bool
				signs   bool // the application signs
				closes  bool
			}{
				{name: "cookie", upgrade: true, closes: true},
				{name: "cookie, signed by the application", upgrade: true, signs: true, closes: true},
				{name: "rediskey", key: true},
				{name: "rediskey, signed in", key: true, signin: true, closes: true},
			} {
				t.Run(tc.name, func(t *testing.T) {
					s := newService(t, sessionAuth(t, server.URL, app.stack()), pusher.Options{AcceptSignatures: tc.signs})
					alice := newVisitor(t, web.URL)
					cookies := alice.login()
					port, w := s.port, with{Signs: tc.signs}
					if tc.upgrade {
						port = s.jar(t, cookies)
					}
					if tc.key {
						w.Params = map[string]string{"rediskey": alice.key}
					}
					c := s.connected(t, port, w)
					c.subscribe("private-user-42")
					c.subscribe("public")
					if tc.signin {
						c.must(map[string]any{"do": "signin"})
						equal(t, "user", any(`{"id":"42"}`), c.wait("signin_success")["user_data"])
					}

					alice.post("/logout", nil)
					began := time.Now()
					c.waitFor("error", isError(4009, "session_ended"))
					if d := time.Since(began); d > logoutBound {
						t.Errorf("the client was told after %v", d)
					}
					if tc.closes {
						c.waitState("disconnected")
						equal(t, "state", any("disconnected"), c.state()["state"])
					} else {
						ended := map[string]any{"type": "AuthError", "error": "session_ended", "status": 401.0}
						equal(t, "subscription_error", any(ended), c.on("private-user-42", "pusher:subscription_error"))
						equal(t, "state", any("connected"), c.state()["state"])
					}
					eventually(t, "nobody is subscribed", func() bool { return s.server.Subscribers("private-user-42") == 0 })
				})
			}
		})
	}
}

// The same in a browser, with the clients' own bundles, as a page of the web
// application would have them: log in, get messages, log out.
func TestChromium(t *testing.T) {
	modules := nodeModules(t)
	for _, app := range stacks {
		t.Run(app.name, func(t *testing.T) {
			browser := partstest.Chromium(t)
			server := partstest.Redis(t)
			web := app.start(t, server)
			s := newService(t, sessionAuth(t, server.URL, app.stack()), pusher.Options{ClientEvents: true})
			page := httptest.NewServer(onePage(t, modules, web.URL, s.handler))
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
				send string // the channel that must have the client by then
				then []string
			}{
				// Known by the request to be authorized alone.
				{do: "start()", then: []string{"connected"}},
				{do: "listen()", then: []string{"refused 401"}},
				{do: "logIn()", then: []string{"logged in"}},
				{do: "listenAgain()", then: []string{"subscribed", "here 1"}},
				{send: "private-news", then: []string{"message hello"}},
				{do: "logOut()", then: []string{"error 4009 session_ended", "refused 401 session_ended", "still connected"}},
				// Known by the upgrade request.
				{do: "logIn()", then: []string{"logged in"}},
				{do: "restart()", then: []string{"connected", "subscribed", "here 1"}},
				{do: "echo.connector.pusher.signin()", then: []string{"signed in 42"}},
				{send: "#server-to-user-42", then: []string{"message hello", "notice for you"}},
				{do: "logOut()", then: []string{"error 4009 session_ended", "disconnected"}},
			} {
				if step.do != "" {
					if _, err := chromedp.Run(ctx, chromedp.Evaluate[any]("window.happened = []; "+step.do+"; 0")); err != nil {
						t.Fatalf("%s: %v", step.do, err)
					}
				}
				if step.send != "" {
					eventually(t, "the subscription", func() bool { return s.server.Subscribers(step.send) == 1 })
					if err := s.server.Trigger("private-news", "Said", map[string]string{"text": "hello"}); err != nil {
						t.Fatal(err)
					}
					if err := s.server.SendToUser("42", "notice", "for you"); err != nil {
						t.Fatal(err)
					}
				}
				for _, text := range step.then {
					_, err := chromedp.Run(ctx, chromedp.Poll[bool](fmt.Sprintf("window.happened?.includes(%q)", text),
						chromedp.WithPollingTimeout(15*time.Second), chromedp.WithPollingInterval(20*time.Millisecond)))
					if err != nil {
						log, logErr := chromedp.Run(ctx, chromedp.Evaluate[[]string]("window.happened"))
						t.Fatalf("after %q, waiting for %q: %v; the page noted %q, %v", step.do, text, err, log, logErr)
					}
				}
			}
		})
	}
}

// onePage serves the page, the web application and the socket on one origin.
func onePage(t *testing.T, modules, web string, service http.Handler) http.Handler {
	t.Helper()
	target, err := url.Parse(web)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/app/", service)
	mux.Handle("/pusher/", service)
	mux.Handle("/web/", http.StripPrefix("/web", &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
		r.SetXForwarded()
	}}))
	for path, file := range map[string][]string{
		"/pusher.js": {"pusher-js", "dist", "web", "pusher.min.js"},
		"/echo.js":   {"laravel-echo", "dist", "echo.js"},
	} {
		name := filepath.Join(append([]string{modules}, file...)...)
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, name) })
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, pageText)
	})
	return mux
}

// pageText is a page with the clients as their documentation shows them.
const pageText = `<!doctype html><meta charset="utf-8"><script src="/pusher.js"></script><script type="module">
import Echo from '/echo.js';
window.happened = [];
const note = (...words) => happened.push(words.filter((w) => w !== undefined).join(' '));
let echo;
const start = window.start = () => {
  echo = window.echo = new Echo({
    broadcaster: 'pusher', key: '` + appKey + `', cluster: '', wsHost: location.hostname, wsPort: location.port,
    forceTLS: false, enabledTransports: ['ws'], authEndpoint: '/pusher/auth',
    userAuthentication: { endpoint: '/pusher/user-auth' },
  });
  const { connection, user } = echo.connector.pusher;
  connection.bind('connected', () => note('connected'));
  connection.bind('disconnected', () => note('disconnected'));
  connection.bind('error', (e) => e.type === 'PusherError' && note('error', e.data.code, e.data.message));
  echo.connector.pusher.bind('pusher:signin_success', (e) => note('signed in', JSON.parse(e.user_data).id));
  user.bind('notice', (text) => note('notice', text));
};
const listen = window.listen = () => {
  echo.private('news').subscribed(() => note('subscribed')).listen('.Said', (e) => note('message', e.text)).error((e) => {
    note('refused', e.status, e.error.startsWith('Unable') ? undefined : e.error);
    note('still', echo.connectionStatus());
  });
  echo.join('room').here((members) => note('here', members.length));
};
const listenAgain = window.listenAgain = () => { echo.leave('news'); echo.leave('room'); listen(); };
const restart = window.restart = () => { echo.disconnect(); start(); listen(); };
const post = (path, form) => fetch('/web' + path, { method: 'POST', body: new URLSearchParams(form) });
const logIn = window.logIn = () => post('/login', { user: 'alice', password: 'demo' }).then(() => note('logged in'));
const logOut = window.logOut = () => post('/logout', {});
</script>`
