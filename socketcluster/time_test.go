package socketcluster_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/socketcluster"
)

// pipes is a listener without an operating system, as a bubble needs it.
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

// inMemory connects a client to a server with the default times.
func inMemory(t *testing.T) (*websocket.Conn, func()) {
	t.Helper()
	b, err := bridge.New(tokens(t), &bridge.Options{Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	s, err := socketcluster.New(b, &socketcluster.Options{Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	hs := &http.Server{Handler: s, ErrorLog: log.New(io.Discard, "", 0)}
	served := make(chan struct{})
	go func() { defer close(served); _ = hs.Serve(l) }()
	d := websocket.Dialer{NetDialContext: func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		l.conns <- far
		return near, nil
	}}
	ws, _, err := d.Dial("ws://service.example/socketcluster/", nil)
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

// The times of the original: a handshake within 10 s, a ping every 8 s, and a
// client that is silent for 20 s is closed.
func TestDefaultTimes(t *testing.T) {
	closedAfter := func(t *testing.T, ws *websocket.Conn, began time.Time) (int, time.Duration) {
		t.Helper()
		for {
			_, p, err := ws.ReadMessage()
			if closed := (*websocket.CloseError)(nil); errors.As(err, &closed) {
				return closed.Code, time.Since(began)
			}
			if err != nil || len(p) > 0 {
				t.Fatalf("got %s, %v", p, err)
			}
		}
	}
	t.Run("no handshake", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ws, stop := inMemory(t)
			defer stop()
			code, after := closedAfter(t, ws, time.Now())
			equal(t, "close code", socketcluster.CloseNoHandshake, code)
			equal(t, "after", 10*time.Second, after)
		})
	})
	t.Run("pings", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ws, stop := inMemory(t)
			defer stop()
			if err := ws.WriteMessage(websocket.TextMessage, []byte(`{"event":"#handshake","cid":1}`)); err != nil {
				t.Fatal(err)
			}
			if _, _, err := ws.ReadMessage(); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				began := time.Now()
				_, p, err := ws.ReadMessage()
				if err != nil || len(p) > 0 {
					t.Fatalf("got %s, %v", p, err)
				}
				equal(t, "ping after", 8*time.Second, time.Since(began))
				if err := ws.WriteMessage(websocket.TextMessage, nil); err != nil {
					t.Fatal(err)
				}
			}
			code, after := closedAfter(t, ws, time.Now())
			equal(t, "close code", socketcluster.ClosePongTimeout, code)
			equal(t, "after", 20*time.Second, after)
		})
	})
}
