package bridge_test

import (
	"context"
	"encoding/json"
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
)

// patience is how long a client of the tests waits for anything. It is virtual
// time in a synctest bubble, so that it may be longer than what is tested.
const patience = time.Hour

// realPatience is patience outside a bubble.
const realPatience = 10 * time.Second

// server is an HTTP server that can be dialled.
type server struct {
	t    *testing.T
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
	addr string
	wait time.Duration
}

// inMemory serves h over pipes, as a synctest bubble needs: nothing in it waits
// for the operating system. A pipe has no buffer, so a write waits for its
// reader.
func inMemory(t *testing.T, h http.Handler) *server {
	t.Helper()
	l := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
	s := &server{t: t, addr: "service.example", wait: patience, dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		near, far := net.Pipe()
		select {
		case l.conns <- far:
			return near, nil
		case <-l.done:
			return nil, net.ErrClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}
	s.start(h, l)
	return s
}

// loopback serves h over TCP.
func loopback(t testing.TB, h http.Handler) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	hs := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = hs.Serve(l) }()
	t.Cleanup(func() { _ = hs.Close() })
	s := &server{addr: l.Addr().String(), dial: new(net.Dialer).DialContext, wait: realPatience}
	s.t, _ = t.(*testing.T)
	return s
}

func (s *server) start(h http.Handler, l net.Listener) {
	hs := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = hs.Serve(l)
	}()
	s.t.Cleanup(func() {
		_ = hs.Close()
		<-served
	})
}

// client is the other end of a WebSocket.
type client struct {
	t  *testing.T
	ws *websocket.Conn
}

// open connects, with header fields given as name, value, name, value, ….
func (s *server) open(fields ...string) *client {
	s.t.Helper()
	c, resp, err := s.try(fields...)
	if err != nil {
		status := 0
		if resp != nil {
			status = resp.StatusCode
		}
		s.t.Fatalf("dial: %v (status %d)", err, status)
	}
	return c
}

// try connects and may fail.
func (s *server) try(fields ...string) (*client, *http.Response, error) {
	s.t.Helper()
	h := http.Header{}
	for i := 0; i+1 < len(fields); i += 2 {
		h.Add(fields[i], fields[i+1])
	}
	d := websocket.Dialer{NetDialContext: s.dial, HandshakeTimeout: s.wait}
	ws, resp, err := d.Dial("ws://"+s.addr+"/", h)
	if err != nil {
		return nil, resp, err
	}
	s.t.Cleanup(func() { _ = ws.Close() })
	_ = ws.SetReadDeadline(time.Now().Add(s.wait))
	_ = ws.SetWriteDeadline(time.Now().Add(s.wait))
	return &client{s.t, ws}, resp, nil
}

// send sends text frames.
func (c *client) send(frames ...string) {
	c.t.Helper()
	for _, f := range frames {
		if err := c.ws.WriteMessage(websocket.TextMessage, []byte(f)); err != nil {
			c.t.Fatalf("send %.80s: %v", f, err)
		}
	}
}

// read returns the next frame.
func (c *client) read() string {
	c.t.Helper()
	_, p, err := c.ws.ReadMessage()
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	return string(p)
}

// event reads a frame of the plain JSON dialect and returns its event and the
// data's code, or else its user.
func (c *client) event() string {
	c.t.Helper()
	var e struct {
		Event string
		Data  struct{ Code, User string }
	}
	frame := c.read()
	if err := json.Unmarshal([]byte(frame), &e); err != nil {
		c.t.Fatalf("%s: %v", frame, err)
	}
	return e.Event + " " + e.Data.Code + e.Data.User
}

// expect reads one event.
func (c *client) expect(event string) {
	c.t.Helper()
	if got := c.event(); got != event {
		c.t.Fatalf("event %q, want %q", got, event)
	}
}

// rest reads until the connection ends. It returns the frames and the close
// code.
func (c *client) rest() (frames []string, code int) {
	c.t.Helper()
	for {
		_, p, err := c.ws.ReadMessage()
		if err == nil {
			frames = append(frames, string(p))
			continue
		}
		if e := (*websocket.CloseError)(nil); errors.As(err, &e) {
			return frames, e.Code
		}
		c.t.Fatalf("the connection ended without a close code: %v", err)
	}
}

// closes expects no more frames, and a close code.
func (c *client) closes(code int) {
	c.t.Helper()
	frames, got := c.rest()
	if got != code || len(frames) > 0 {
		c.t.Fatalf("closed with %d after %q, want %d after nothing", got, frames, code)
	}
}

// pipeListener accepts the far ends of pipes.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

// pass lets virtual time pass, in a bubble.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// newBridge returns a hook, and what it logs.
func newBridge(t testing.TB, a bridge.Authenticator, o bridge.Options) (*bridge.Bridge, *logBook) {
	t.Helper()
	book := &logBook{}
	o.Logger = book.logger()
	b, err := bridge.New(a, &o)
	if err != nil {
		t.Fatal(err)
	}
	return b, book
}

// echo answers each message with itself.
func echo(c *bridge.Conn) {
	for {
		kind, p, err := c.ReadMessage()
		if err != nil {
			return
		}
		if c.WriteMessage(kind, p) != nil {
			return
		}
	}
}

// handOver serves connections by reading until they end; each is sent to the
// channel first.
func handOver(conns chan<- *bridge.Conn) func(*bridge.Conn) {
	return func(c *bridge.Conn) {
		conns <- c
		for {
			if _, _, err := c.ReadMessage(); err != nil {
				return
			}
		}
	}
}
