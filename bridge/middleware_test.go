package bridge_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	coder "github.com/coder/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
)

func TestMiddleware(t *testing.T) {
	tests := map[string]struct {
		auth   bridge.AuthenticatorFunc
		origin string
		status int
	}{
		"identity":            {says(user("ann"), nil), "", http.StatusOK},
		"nobody is logged in": {says(nil, bridge.ErrNoCredential), "", http.StatusUnauthorized},
		"rejected":            {says(nil, bridge.ErrRejected), "", http.StatusUnauthorized},
		"another origin":      {says(user("ann"), nil), "https://evil.example", http.StatusForbidden},
		"outage":              {says(nil, errOutage), "", http.StatusServiceUnavailable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			// A credential may still come in a message elsewhere; not here.
			b, _ := newBridge(t, stub{bridge.Traits{Ambient: true, Message: true, Challenge: "Bearer"}, tt.auth}, bridge.Options{})
			var ctx context.Context
			h := b.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctx = r.Context()
				if id, ok := bridge.FromContext(ctx); ok && b.Len() == 1 {
					_, _ = fmt.Fprint(w, id.User)
				}
			}))
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			if tt.origin != "" {
				r.Header.Set("Origin", tt.origin)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.status || (w.Header().Get("Retry-After") != "") != (tt.status == 503) ||
				(w.Header().Get("WWW-Authenticate") != "") != (tt.status == 401) {
				t.Errorf("status %d, header %v; want %d", w.Code, w.Header(), tt.status)
			}
			if served := ctx != nil; served != (tt.status == http.StatusOK) {
				t.Errorf("served: %t", served)
			} else if served && (w.Body.String() != "ann" || ctx.Err() == nil) {
				t.Errorf("body %q; context after the request: %v", w.Body, ctx.Err())
			}
			if b.Len() != 0 {
				t.Error("the request is still counted")
			}
		})
	}
}

func TestFromContextWithoutIdentity(t *testing.T) {
	if id, ok := bridge.FromContext(t.Context()); id != nil || ok {
		t.Errorf("%v, %t", id, ok)
	}
}

// A stream of server-sent events ends with its identity, and says why.
func TestEventStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(map[string]bridge.Identity{"anns": {User: "ann"}})
		b, _ := newBridge(t, s, bridge.Options{})
		srv := inMemory(t, b.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id, _ := bridge.FromContext(r.Context())
			_, _ = fmt.Fprintf(w, "data: %s\n", id.User)
			_ = http.NewResponseController(w).Flush()
			_, _ = fmt.Fprintf(w, "data: %s\n", endCode(r.Context()))
		})))
		transport := &http.Transport{DialContext: srv.dial}
		defer transport.CloseIdleConnections()
		r, _ := http.NewRequest(http.MethodGet, "http://"+srv.addr, nil)
		r.Header.Set("Sid", "anns")
		resp, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		lines := bufio.NewScanner(resp.Body)
		if lines.Scan(); lines.Text() != "data: ann" {
			t.Errorf("line %q", lines.Text())
		}
		s.set("anns", "", time.Time{}) // the user logs out
		if lines.Scan(); lines.Text() != "data: session_ended" {
			t.Errorf("line %q", lines.Text())
		}
		synctest.Wait()
		if b.Len() != 0 {
			t.Error("the stream is still counted")
		}
	})
}

// Another WebSocket library inside the middleware: the identity is there, and
// its context ends what the library does.
func TestCoderWebSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBridge(t, bridge.AuthenticatorFunc(expiring), bridge.Options{})
		s := inMemory(t, b.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ws, err := coder.Accept(w, r, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = ws.CloseNow() }()
			id, _ := bridge.FromContext(r.Context())
			if err := ws.Write(r.Context(), coder.MessageText, []byte("hello "+id.User)); err != nil {
				t.Error(err)
			}
			ctx := ws.CloseRead(context.WithoutCancel(r.Context()))
			if got := endCode(r.Context()); got != bridge.CodeTokenExpired {
				t.Errorf("ended with %q", got)
			}
			if err := ctx.Err(); err != nil {
				t.Errorf("the socket ended first: %v", err)
			}
			_ = ws.Close(3000, string(bridge.CodeTokenExpired))
		})))
		c := s.open()
		if got := c.read(); got != "hello ann" {
			t.Errorf("got %q", got)
		}
		c.closes(3000)
	})
}

// A client that leaves ends the request as ever; that is no EndError.
func TestMiddlewareClientLeaves(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	b, _ := newBridge(t, says(user("ann"), nil), bridge.Options{})
	b.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		leave()
		if code := endCode(r.Context()); code != "" || !errors.Is(context.Cause(r.Context()), context.Canceled) {
			t.Errorf("ended with %q: %v", code, context.Cause(r.Context()))
		}
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx))
}
