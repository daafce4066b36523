package bridge_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// What an authenticator reads of the request to judge a handshake, it can read
// to judge a message on the open connection.
func TestRequestOfAMessage(t *testing.T) {
	tests := map[string]struct {
		path  string // in the mux; "" for /
		alter func(r *http.Request)
	}{
		"plain":                      {},
		"with wildcards in its path": {path: "/of/acme/a/b/"},
		"with a query":               {alter: func(r *http.Request) { r.URL.RawQuery = "room=a%20b&x" }},
		"with an escaped path": {alter: func(r *http.Request) {
			r.URL.Path, r.URL.RawPath = "/ws/a/b", "/ws/a%2Fb"
		}},
		"stripped of its path": {path: "/of/acme/", alter: func(r *http.Request) { r.URL = &url.URL{Path: "/"} }},
		"through a proxy": {alter: func(r *http.Request) {
			r.URL.Scheme, r.URL.Host, r.Host, r.RemoteAddr = "https", "app.example", "app.example", "203.0.113.7:1"
		}},
		"through another router": {alter: func(r *http.Request) {
			r.Pattern = "/of/{tenant:[a-z]{1,9}}/{rest}"
			r.SetPathValue("tenant", "acme")
			r.SetPathValue("rest", "a")
		}},
		"through a router that has a rest without a name": {alter: func(r *http.Request) {
			r.Pattern = "/of/{tenant}/*"
			r.SetPathValue("tenant", "acme")
			r.SetPathValue("*", "a/b")
		}},
		"over TLS": {alter: func(r *http.Request) { r.TLS = &tls.ConnectionState{ServerName: "app.example"} }},
		"with the fields of a browser": {alter: func(r *http.Request) {
			for _, name := range []string{"Origin", "Cookie", "User-Agent", "X-Forwarded-For", "Via", "X-Request-Id", "Sec-Fetch-Mode"} {
				r.Header[name] = append(r.Header[name], name, "again")
			}
		}},
		"over TLS, stripped of its path": {alter: func(r *http.Request) {
			r.TLS, r.URL = &tls.ConnectionState{ServerName: "app.example"}, &url.URL{Scheme: "wss", Path: "/"}
		}},
		"with header fields of all kinds": {alter: func(r *http.Request) {
			r.Header["Two"] = []string{"1", "", "2"}
			r.Header["None"] = nil
			r.Header["lower-case"] = []string{"caf\xe9", strings.Repeat("long ", 1000)}
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				type key struct{}
				var requests []*http.Request
				var within []context.Context
				b, _ := newBridge(t, stub{bridge.Traits{Message: true}, func(ctx context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
					requests, within = append(requests, h.Request), append(within, h.Request.Context())
					return tokens{}.Authenticate(ctx, h)
				}}, bridge.Options{ConnContext: func(ctx context.Context, r *http.Request) context.Context {
					return context.WithValue(ctx, key{}, "a value")
				}})
				mux := http.NewServeMux()
				handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if tt.alter != nil {
						tt.alter(r)
					}
					b.Handler(echo).ServeHTTP(w, r)
				})
				mux.Handle("/{$}", handler)
				mux.Handle("/of/{tenant}/{rest...}", handler)
				client := inMemory(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if tt.path != "" {
						r.URL.Path = tt.path
					}
					mux.ServeHTTP(w, r)
				})).open("Token", "ann")
				client.expect("authenticated ann")
				for range 2 {
					client.send(tokenFrame("ann"))
					client.expect("authenticated ann")
				}
				if len(requests) != 3 {
					t.Fatalf("the authenticator was asked %d times, not 3", len(requests))
				}
				for _, later := range requests[1:] {
					if diff := cmp.Diff(requests[0], later, cmpopts.IgnoreUnexported(http.Request{}, tls.ConnectionState{}),
						cmpopts.IgnoreFields(http.Request{}, "Body"), cmpopts.EquateEmpty()); diff != "" {
						t.Errorf("the request of a message is not the handshake's (-handshake +message):\n%s", diff)
					}
					for _, name := range []string{"tenant", "rest", "*"} {
						if got, want := later.PathValue(name), requests[0].PathValue(name); got != want {
							t.Errorf("the path's %s is %q, was %q", name, got, want)
						}
					}
					if body, err := io.ReadAll(later.Body); len(body) > 0 || err != nil {
						t.Errorf("body %q, %v", body, err)
					}
				}
				if got := within[2].Value(key{}); got != "a value" {
					t.Errorf("the application's value is %v", got)
				}
				if id, ok := bridge.FromContext(within[2]); !ok || id.User != "ann" {
					t.Errorf("the context's identity is %v", id)
				}
			})
		})
	}
}
