package socketio

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"sync"

	"github.com/zishang520/socket.io/servers/engine/v3"
	"github.com/zishang520/socket.io/servers/engine/v3/transports"
)

type gatedKey struct{}

// Handler serves a Socket.IO server, as its ServeHandler method gives it, and
// lets nothing be read from a WebSocket before the server is ready for it.
// [Use] refuses connections that do not come through it.
//
// The server begins to read while it still sets a connection up. A packet that
// arrives in that moment is lost, the client's request to connect for example;
// and a pong ends the process with a nil pointer.
//
// It also ends the queue of each connection that the client closes, which the
// server would keep, with its goroutine, for ever.
func Handler(server http.Handler) http.Handler {
	if e, ok := server.(engine.BaseServer); ok {
		_ = e.On("connection", func(args ...any) {
			if conn, ok := args[0].(engine.Socket); ok {
				// Not from within: the transport's own listener runs now.
				_ = conn.Once("close", func(...any) { go endQueue(conn.Transport()) })
			}
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g := &gate{ResponseWriter: w, ready: make(chan struct{})}
		defer close(g.ready)
		server.ServeHTTP(g, r.WithContext(context.WithValue(r.Context(), gatedKey{}, true)))
	})
}

// endQueue closes a transport as the server does one that the client has not
// closed before. Discarded, it waits for nothing.
func endQueue(t transports.Transport) {
	t.Discard()
	t.DoClose(nil)
}

// gated reports whether a request came through Handler.
func gated(r *http.Request) bool { return r.Context().Value(gatedKey{}) != nil }

// gate hands out a connection that cannot be read until ready is closed.
type gate struct {
	http.ResponseWriter
	ready chan struct{}
}

// Unwrap serves [http.ResponseController].
func (g *gate) Unwrap() http.ResponseWriter { return g.ResponseWriter }

func (g *gate) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(g.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	return &gatedConn{Conn: c, ready: g.ready, closed: make(chan struct{})}, rw, nil
}

type gatedConn struct {
	net.Conn
	ready  chan struct{}
	once   sync.Once
	closed chan struct{}
}

func (c *gatedConn) Read(p []byte) (int, error) {
	select {
	case <-c.ready:
		return c.Conn.Read(p)
	default:
	}
	select {
	case <-c.ready:
		return c.Conn.Read(p)
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

func (c *gatedConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
