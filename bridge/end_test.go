package bridge_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// expiring is an identity by token that holds for a second.
func expiring(context.Context, *bridge.Handshake) (*bridge.Identity, error) {
	return &bridge.Identity{User: "ann", Via: "jwt", Expires: time.Now().Add(time.Second), Claims: map[string]any{}}, nil
}

// For each way that a connection can end, its context has the cause, and so
// have reading and writing from then on.
func TestCause(t *testing.T) {
	tests := map[string]struct {
		auth bridge.AuthenticatorFunc
		end  func(*client, *bridge.Conn)
		want func(error) bool
	}{
		"the client closes": {says(user("ann"), nil),
			func(c *client, _ *bridge.Conn) {
				_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1001, ""), time.Time{})
				c.closes(1001)
			},
			func(err error) bool { return websocket.IsCloseError(err, 1001) }},
		"the network is cut": {says(user("ann"), nil),
			func(c *client, _ *bridge.Conn) { _ = c.ws.Close() },
			func(err error) bool { return websocket.IsCloseError(err, 1006) || errors.Is(err, io.EOF) }},
		"the service closes": {says(user("ann"), nil),
			func(c *client, conn *bridge.Conn) {
				go func() { _ = conn.Close(1000, "") }()
				c.closes(1000)
			},
			func(err error) bool { return errors.Is(err, bridge.ErrClosed) }},
		"the identity ends": {expiring,
			func(c *client, _ *bridge.Conn) { c.closes(3000) },
			func(err error) bool {
				e := (*bridge.EndError)(nil)
				return errors.As(err, &e) && e.Code == bridge.CodeTokenExpired
			}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, _ := newBridge(t, tt.auth, bridge.Options{OmitEvents: true})
				conns, read := make(chan *bridge.Conn, 1), make(chan error, 1)
				client := inMemory(t, b.Handler(func(c *bridge.Conn) {
					conns <- c
					_, _, err := c.ReadMessage()
					read <- err
				})).open()
				c := <-conns
				tt.end(client, c)
				<-c.Context().Done()
				cause := context.Cause(c.Context())
				if !tt.want(cause) {
					t.Errorf("cause %v", cause)
				}
				if err := <-read; !errors.Is(err, cause) {
					t.Errorf("reading: %v, want the cause", err)
				}
				if err := c.WriteMessage(websocket.TextMessage, []byte("late")); !errors.Is(err, cause) {
					t.Errorf("writing: %v, want the cause", err)
				}
			})
		})
	}
}

// A client that has not noticed the end yet goes on sending, and so does the
// service: none of it is delivered.
func TestNothingIsDeliveredAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBridge(t, bridge.AuthenticatorFunc(expiring), bridge.Options{})
		var received atomic.Int64
		wrote := make(chan error, 1)
		c := inMemory(t, b.Handler(func(c *bridge.Conn) {
			go func() {
				<-c.Context().Done()
				wrote <- c.WriteMessage(websocket.TextMessage, []byte("late"))
			}()
			for {
				if _, _, err := c.ReadMessage(); err != nil {
					return
				}
				received.Add(1)
			}
		})).open()
		c.expect("authenticated ann")
		c.send("in time")
		pass(time.Second) // the end; its event waits for a reader
		c.send("late", "late again")
		if n := received.Load(); n != 1 {
			t.Errorf("%d frames were delivered, want the one sent in time", n)
		}
		c.expect("deauthenticated token_expired")
		c.closes(3000)
		if err := <-wrote; err == nil {
			t.Error("writing after the end succeeded")
		}
	})
}

func TestWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBridge(t, says(user("ann"), nil), bridge.Options{OmitEvents: true})
		wrote := make(chan error, 1)
		inMemory(t, b.Handler(func(c *bridge.Conn) {
			wrote <- c.WriteMessage(websocket.TextMessage, []byte("nobody reads this"))
			<-c.Context().Done()
		})).open()
		start := time.Now()
		err := <-wrote
		if e := net.Error(nil); !errors.As(err, &e) || !e.Timeout() || time.Since(start) != 10*time.Second {
			t.Errorf("error %v after %v, want a timeout after 10s", err, time.Since(start))
		}
		synctest.Wait()
		if b.Len() != 0 {
			t.Error("the connection is still there")
		}
	})
}

// The end of a connection does not depend on its peer, which may have stopped
// to read.
func TestEndWithoutAReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBridge(t, bridge.AuthenticatorFunc(expiring), bridge.Options{OmitEvents: true})
		inMemory(t, b.Handler(echo)).open()
		pass(time.Second) // the end
		if b.Len() != 1 {
			t.Fatal("the close frame was not waited for")
		}
		pass(time.Second) // of grace
		if b.Len() != 0 {
			t.Error("the connection is still there")
		}
	})
}

// The same while a writer is stuck. A mutex that is waited for holds virtual
// time, so the sockets and the second of grace are real.
func TestEndWithAStuckWriter(t *testing.T) {
	t.Parallel()
	b, _ := newBridge(t, says(user("ann"), nil), bridge.Options{WriteTimeout: time.Minute})
	conns, wrote, served := make(chan *bridge.Conn, 1), make(chan error, 1), make(chan struct{})
	c := loopback(t, b.Handler(func(c *bridge.Conn) {
		defer close(served)
		c.CloseRead()
		conns <- c
		block := []byte(strings.Repeat("x", 1<<20))
		for {
			if err := c.WriteMessage(websocket.BinaryMessage, block); err != nil {
				wrote <- err
				return
			}
		}
	})).open()
	c.expect("authenticated ann")
	conn := <-conns
	start := time.Now()
	if err := b.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if got := endCode(conn.Context()); got != bridge.CodeDraining {
		t.Errorf("ended with %q", got)
	}
	if err := <-wrote; !errors.Is(err, context.Cause(conn.Context())) {
		t.Errorf("writing: %v", err)
	}
	<-served
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("the end took %v", d)
	}
}
