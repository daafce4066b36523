package bridge_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
)

func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a := login()
		b, book := newBridge(t, a, bridge.Options{RefuseAfterUpgrade: true})
		conns := make(chan *bridge.Conn, 1)
		s := inMemory(t, b.Handler(handOver(conns)))
		live, pending := s.open("Sid", "anns"), s.open()
		live.expect("authenticated ann")

		done := make(chan error, 1)
		go func() { done <- b.Shutdown(t.Context()) }()
		live.expect("deauthenticated draining")
		live.closes(1001)
		pending.expect("unauthorized draining")
		pending.closes(1001)
		if err := <-done; err != nil || b.Len() != 0 {
			t.Errorf("error %v with %d connections left", err, b.Len())
		}
		if got := endCode((<-conns).Context()); got != bridge.CodeDraining {
			t.Errorf("ended with %q", got)
		}

		_, resp, err := s.try("Sid", "anns")
		if err == nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "5" {
			t.Errorf("a new handshake: error %v, response %v; want 503", err, resp)
		}
		if err := b.Shutdown(t.Context()); err != nil {
			t.Errorf("a second time: %v", err)
		}
		for _, code := range []string{"unavailable", "authentication_timeout", "credentials_required"} {
			if log := book.String(); strings.Contains(log, "code="+code) {
				t.Errorf("a drained connection was logged as %s: %s", code, log)
			}
		}
	})
}

// A peer that does not read or close takes as long as the grace of its close,
// however many there are; a request takes as long as its handler.
func TestShutdownWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBridge(t, says(user("ann"), nil), bridge.Options{OmitEvents: true})
		s := inMemory(t, b.Handler(echo))
		for range 200 {
			s.open()
		}
		stream := inMemory(t, b.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if got := endCode(r.Context()); got != bridge.CodeDraining {
				t.Errorf("ended with %q", got)
			}
			<-time.After(5 * time.Second)
		})))
		transport := &http.Transport{DialContext: stream.dial}
		defer transport.CloseIdleConnections()
		go func() {
			r, _ := http.NewRequest(http.MethodGet, "http://"+stream.addr, nil)
			if resp, err := transport.RoundTrip(r); err == nil {
				_ = resp.Body.Close()
			}
		}()
		synctest.Wait()
		if b.Len() != 201 {
			t.Fatalf("%d are served, want 201", b.Len())
		}

		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if err := b.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || b.Len() != 1 {
			t.Errorf("error %v with %d left, want the context's with only the request left", err, b.Len())
		}
		if err := b.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("all were gone after %v, want 5s", d)
		}
	})
}

func TestShutdownOfNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b, _ := newBridge(t, says(user("ann"), nil), bridge.Options{})
	if err := b.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}
