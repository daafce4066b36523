package bridge_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
)

func TestForwardAuth(t *testing.T) {
	tests := map[string]struct {
		auth    bridge.Authenticator
		fields  []string
		status  int
		id, via string
	}{
		"a user":                   {says(user("42"), nil), nil, 200, "42", "test"},
		"with a space inside":      {says(user("ann b"), nil), nil, 200, "ann b", "test"},
		"nobody":                   {says(nil, bridge.ErrNoCredential), nil, 401, "", ""},
		"an outage":                {says(nil, errOutage), nil, 503, "", ""},
		"another origin":           {says(user("42"), nil), []string{"Origin", "https://evil.example"}, 403, "", ""},
		"a line break in the user": {says(user("42\r\nX-Admin: 1"), nil), nil, 503, "", ""},
		"not ASCII":                {says(user("jürgen"), nil), nil, 503, "", ""},
		"a space around":           {says(user(" 42"), nil), nil, 503, "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b, _ := newBridge(t, tt.auth, bridge.Options{})
			w := httptest.NewRecorder()
			b.ForwardAuth().ServeHTTP(w, request(append(tt.fields, "X-User-Id", "1", "X-Auth-Via", "forged")...))
			if w.Code != tt.status || w.Header().Get("X-User-Id") != tt.id || w.Header().Get("X-Auth-Via") != tt.via {
				t.Errorf("status %d, %q; want %d, %q via %q", w.Code, w.Header(), tt.status, tt.id, tt.via)
			}
			if w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("a proxy may store it: %q", w.Header())
			}
			if b.Len() != 0 {
				t.Errorf("%d are left", b.Len())
			}
		})
	}
}

func TestCentrifugoConnect(t *testing.T) {
	sessions := map[string]bridge.Identity{"anns": *user("ann"), "bobs": *user("bob")}
	tests := map[string]struct {
		fields []string
		body   string
		status int
		want   string // of the body
	}{
		"a cookie":                 {[]string{"Sid", "anns"}, `{"client":"x","transport":"websocket","protocol":"json","encoding":"json"}`, 200, `{"result":{"user":"ann","expire_at":946684860,"info":{"via":"test"}}}`},
		"without an end":           {[]string{"Sid", "bobs"}, `{}`, 200, `{"result":{"user":"bob","expire_at":946684860,"info":{"via":"test"}}}`},
		"a rediskey in the data":   {nil, `{"data":{"rediskey":"bobs"}}`, 200, `{"result":{"user":"bob","expire_at":946684860,"info":{"via":"test"}}}`},
		"a bad rediskey":           {nil, `{"data":{"rediskey":7}}`, 200, `{"disconnect":{"code":4501,"reason":"credentials_bad_format"}}`},
		"nobody":                   {nil, `{"data":{"room":1}}`, 200, `{"disconnect":{"code":4501,"reason":"credentials_required"}}`},
		"another origin":           {[]string{"Sid", "anns", "Origin", "https://evil.example"}, `{}`, 200, `{"disconnect":{"code":4503,"reason":"origin_not_allowed"}}`},
		"an outage":                {[]string{"Sid", "outage"}, `{}`, 503, `unavailable`},
		"a refresh":                {[]string{"Sid", "anns"}, `{"user":"ann"}`, 200, `{"result":{"expire_at":946684860}}`},
		"a refresh after a logout": {[]string{"Sid", "gone"}, `{"user":"ann"}`, 200, `{"result":{"expired":true}}`},
		"a refresh of another":     {[]string{"Sid", "bobs"}, `{"user":"ann"}`, 200, `{"result":{"expired":true}}`},
		"no JSON":                  {[]string{"Sid", "anns"}, `user=ann`, 400, `no request of Centrifugo`},
		"too long":                 {[]string{"Sid", "anns"}, `{"x":"` + strings.Repeat("x", 1<<17) + `"}`, 400, `no request of Centrifugo`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(sessions)
				s.set("anns", "ann", time.Now().Add(time.Hour))
				if name == "an outage" {
					s.fail(errOutage)
				}
				b, _ := newBridge(t, s, bridge.Options{})
				r := httptest.NewRequest(http.MethodPost, "http://service.example/centrifugo/connect", strings.NewReader(tt.body))
				for i := 0; i+1 < len(tt.fields); i += 2 {
					r.Header.Set(tt.fields[i], tt.fields[i+1])
				}
				w := httptest.NewRecorder()
				b.CentrifugoConnect().ServeHTTP(w, r)
				if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
					t.Errorf("%d %s, want %d %s", w.Code, w.Body, tt.status, tt.want)
				}
				if b.Len() != 0 {
					t.Errorf("%d are left", b.Len())
				}
			})
		})
	}
	t.Run("GET", func(t *testing.T) {
		b, _ := newBridge(t, newStore(sessions), bridge.Options{})
		w := httptest.NewRecorder()
		b.CentrifugoConnect().ServeHTTP(w, request("Sid", "anns"))
		if w.Code != http.StatusMethodNotAllowed {
			t.Errorf("status %d", w.Code)
		}
	})
	t.Run("a token in the data", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, _ := newBridge(t, tokens{}, bridge.Options{})
			w := httptest.NewRecorder()
			b.CentrifugoConnect().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"data":{"token":"ann/30s"}}`)))
			if want := `{"result":{"user":"ann","expire_at":946684830,"info":{"via":"jwt"}}}`; strings.TrimSpace(w.Body.String()) != want {
				t.Errorf("%s, want %s", w.Body, want)
			}
		})
	})
}
