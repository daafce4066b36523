package socketcluster_test

import (
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest/wiretest"
)

// The logout of a web application ends the authentication of the socket that
// its cookie, or its rediskey, opened, and the client's own events say so.
func TestWebLogout(t *testing.T) {
	for _, app := range wiretest.Apps() {
		t.Run(app.Name, func(t *testing.T) {
			server := partstest.Redis(t)
			web := app.Start(t, server)
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
					s := newService(t, app.Auth(t, server.URL), o)
					alice := partstest.NewVisitor(t, web.URL)
					alice.Login("alice")
					cookies := alice.Cookie()
					w := with{Headers: http.Header{"Cookie": {cookies}}}
					if tc.key {
						w.Headers = nil
					}
					c := s.node(t, w)
					status := c.start()
					wiretest.Equal(t, "isAuthenticated", any(!tc.key), status["isAuthenticated"])
					if tc.key {
						unknown := c.Do(map[string]any{"do": "invoke", "name": "rediskey", "data": map[string]string{"rediskey": "0123456789abcdef0123456789"}})
						wiretest.Equal(t, "an unknown rediskey", any("AuthError"), unknown.Error["name"])
						c.Must(map[string]any{"do": "invoke", "name": "rediskey", "data": map[string]string{"rediskey": alice.Key}})
					}
					wiretest.Equal(t, "newAuthState", any("authenticated"), c.Wait("authStateChange")["newAuthState"])
					wiretest.Equal(t, "whoami", any("42"), c.Must(map[string]any{"do": "invoke", "name": "whoami"}))
					if tc.issuer {
						issued := c.WaitFor("authenticate", func(d map[string]any) bool { return d["authToken"] != nil })
						wiretest.Equal(t, "sub", any("42"), issued["authToken"].(map[string]any)["sub"])
					}
					c.subscribe("news")

					alice.Logout()
					began := time.Now()
					wiretest.Equal(t, "newAuthState", any("unauthenticated"), c.Wait("authStateChange")["newAuthState"])
					if d := time.Since(began); d > wiretest.LogoutBound {
						t.Errorf("the client was told after %v", d)
					}
					c.Wait("deauthenticate")
					if tc.closes {
						wiretest.Equal(t, "disconnect", map[string]any{"code": 4500.0, "reason": "session_ended"}, c.Wait("disconnect"))
						wiretest.Equal(t, "pendingReconnect", any(false), c.State()["pendingReconnect"])
						return
					}
					wiretest.Equal(t, "kickOut", map[string]any{"channel": "news", "message": "session_ended"}, c.Wait("kickOut"))
					wiretest.Equal(t, "whoami", nil, c.Must(map[string]any{"do": "invoke", "name": "whoami"}))
					wiretest.Equal(t, "stored", any(map[string]any{}), c.State()["stored"])
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
		{"an expired token", wiretest.Sign(t, "42", -time.Hour), "42", "42", nil},
		{"another's token", wiretest.Sign(t, "7", time.Hour), "42", "42", nil},
		{"no session", wiretest.Sign(t, "7", time.Hour), "", "7", nil},
		{"neither", "nonsense", "", nil, "AuthTokenInvalidError"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			sessions := wiretest.NewSessions("42")
			s := newService(t, bridge.First(sessions, wiretest.Tokens(t)), newOptions())
			w := with{Token: &tc.token}
			if tc.session != "" {
				w.Headers = http.Header{"Cookie": {"user=" + tc.session}}
			}
			c := s.node(t, w)
			status := c.start()
			authError, _ := status["authError"].(map[string]any)
			wiretest.Equal(t, "authError", tc.err, authError["name"])
			wiretest.Equal(t, "whoami", tc.want, c.Must(map[string]any{"do": "invoke", "name": "whoami"}))
			if tc.session == "" {
				return
			}
			fresh := c.WaitFor("authenticate", func(d map[string]any) bool { return d["signedAuthToken"] != tc.token })
			wiretest.Equal(t, "sub", any(tc.session), fresh["authToken"].(map[string]any)["sub"])
			// A token of its own does not loosen the tie to the session.
			c.Must(map[string]any{"do": "authenticate", "token": fresh["signedAuthToken"]})
			sessions.Logout("42")
			c.Wait("deauthenticate")
		})
	}
}

// The same in a browser, with the client's own bundle, as a page of the web
// application would have it: log in, get messages, log out.
func TestChromium(t *testing.T) {
	bundle := filepath.Join(nodeModules(t), "socketcluster-client", "socketcluster-client.min.js")
	for _, app := range wiretest.Apps() {
		t.Run(app.Name, func(t *testing.T) {
			browser := partstest.Chromium(t)
			server := partstest.Redis(t)
			web := app.Start(t, server)
			s := newService(t, app.Auth(t, server.URL), newOptions())
			tab := wiretest.Site{
				Page:    pageText,
				Files:   map[string]string{"/client.js": bundle},
				WebApp:  web.URL,
				Service: map[string]http.Handler{"/socketcluster/": s.server},
			}.Open(t, browser)
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
					tab.Do(step.do)
				}
				tab.Notes(step.then...)
			}
		})
	}
}
