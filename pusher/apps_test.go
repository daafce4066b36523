package pusher_test

import (
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest/wiretest"
	"github.com/sessionbridge/sessionbridge/pusher"
)

// The logout of a web application reaches the client's own events, whichever
// way it was known.
func TestWebLogout(t *testing.T) {
	for _, app := range wiretest.Apps() {
		t.Run(app.Name, func(t *testing.T) {
			server := partstest.Redis(t)
			web := app.Start(t, server)
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
					s := newService(t, app.Auth(t, server.URL), pusher.Options{AcceptSignatures: tc.signs})
					alice := partstest.NewVisitor(t, web.URL)
					alice.Login("alice")
					cookies := alice.Cookie()
					port, w := s.port, with{Signs: tc.signs}
					if tc.upgrade {
						port = s.jar(t, cookies)
					}
					if tc.key {
						w.Params = map[string]string{"rediskey": alice.Key}
					}
					c := s.connected(t, port, w)
					c.subscribe("private-user-42")
					c.subscribe("public")
					if tc.signin {
						c.Must(map[string]any{"do": "signin"})
						wiretest.Equal(t, "user", any(`{"id":"42"}`), c.Wait("signin_success")["user_data"])
					}

					alice.Logout()
					began := time.Now()
					c.WaitFor("error", isError(4009, "session_ended"))
					if d := time.Since(began); d > wiretest.LogoutBound {
						t.Errorf("the client was told after %v", d)
					}
					if tc.closes {
						c.waitState("disconnected")
						wiretest.Equal(t, "state", any("disconnected"), c.State()["state"])
					} else {
						ended := map[string]any{"type": "AuthError", "error": "session_ended", "status": 401.0}
						wiretest.Equal(t, "subscription_error", any(ended), c.on("private-user-42", "pusher:subscription_error"))
						wiretest.Equal(t, "state", any("connected"), c.State()["state"])
					}
					wiretest.Eventually(t, "nobody is subscribed", func() bool { return s.server.Subscribers("private-user-42") == 0 })
				})
			}
		})
	}
}

// The same in a browser, with the clients' own bundles, as a page of the web
// application would have them: log in, get messages, log out.
func TestChromium(t *testing.T) {
	modules := nodeModules(t)
	for _, app := range wiretest.Apps() {
		t.Run(app.Name, func(t *testing.T) {
			browser := partstest.Chromium(t)
			server := partstest.Redis(t)
			web := app.Start(t, server)
			s := newService(t, app.Auth(t, server.URL), pusher.Options{ClientEvents: true})
			tab := wiretest.Site{
				Page: pageText,
				Files: map[string]string{
					"/pusher.js": filepath.Join(modules, "pusher-js", "dist", "web", "pusher.min.js"),
					"/echo.js":   filepath.Join(modules, "laravel-echo", "dist", "echo.js"),
				},
				WebApp:  web.URL,
				Service: map[string]http.Handler{"/app/": s.handler, "/pusher/": s.handler},
			}.Open(t, browser)
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
					tab.Do("window.happened = []; " + step.do)
				}
				if step.send != "" {
					wiretest.Eventually(t, "the subscription", func() bool { return s.server.Subscribers(step.send) == 1 })
					if err := s.server.Trigger("private-news", "Said", map[string]string{"text": "hello"}); err != nil {
						t.Fatal(err)
					}
					if err := s.server.SendToUser("42", "notice", "for you"); err != nil {
						t.Fatal(err)
					}
				}
				tab.Notes(step.then...)
			}
		})
	}
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
