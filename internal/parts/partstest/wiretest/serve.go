package wiretest

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// Serve serves a bridge's adapter until the test ends. It returns the server
// and its port.
func Serve(t testing.TB, b *bridge.Bridge, h http.Handler) (*httptest.Server, int) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := b.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		srv.Close()
	})
	return srv, srv.Listener.Addr().(*net.TCPAddr).Port
}

// InMemory connects a client to an adapter without an operating system, as a
// bubble of synctest needs it, which the test must be in. The function that it
// returns ends the connection and the bridge.
func InMemory(t *testing.T, b *bridge.Bridge, h http.Handler, path string) (*websocket.Conn, func()) {
	t.Helper()
	l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	hs := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	served := make(chan struct{})
	go func() { defer close(served); _ = hs.Serve(l) }()
	d := websocket.Dialer{NetDialContext: func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		l.conns <- far
		return near, nil
	}}
	ws, _, err := d.Dial("ws://service.example"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ws, func() {
		ws.Close()
		if err := b.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		_ = hs.Close()
		<-served
		synctest.Wait()
	}
}

// pipes is a listener without an operating system.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// Want reads frames and compares them with what is wanted.
func Want(t testing.TB, next func() (string, error), frames ...string) {
	t.Helper()
	for _, want := range frames {
		got, err := next()
		if err != nil {
			t.Fatalf("waiting for %s: %v", want, err)
		}
		if got != want {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
	}
}

// WantClose reads until the connection is closed, with a code.
func WantClose(t testing.TB, next func() (string, error), code int) {
	t.Helper()
	for {
		_, err := next()
		if err == nil {
			continue
		}
		closed := (*websocket.CloseError)(nil)
		if !errors.As(err, &closed) || closed.Code != code {
			t.Fatalf("ended with %v, want the close code %d", err, code)
		}
		return
	}
}
