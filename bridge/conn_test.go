package bridge_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
)

func TestConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		conns := make(chan *bridge.Conn, 1)
		b, _ := newBridge(t, stub{bridge.Traits{Subprotocols: []string{"bearer"}}, says(user("ann"), nil)}, bridge.Options{
			ConnContext: func(ctx context.Context, r *http.Request) context.Context {
				ctx, cancel := context.WithCancel(context.WithValue(ctx, key{}, r.Header.Get("Trace")))
				cancel() // is not the connection's end
				return ctx
			}})
		s := inMemory(t, b.Handler(handOver(conns)))
		client := s.open("Trace", "a value", "Sec-WebSocket-Protocol", "bearer, the-token")
		if got, want := client.read(), `{"event":"authenticated","data":{"user":"ann","via":"test"}}`; got != want {
			t.Errorf("event %s, want %s", got, want)
		}
		c := <-conns
		if c.Context().Err() != nil {
			t.Errorf("the context has ended: %v", context.Cause(c.Context()))
		}
		if c.Context().Value(http.ServerContextKey) != nil {
			t.Error("the context keeps the request's")
		}
		id, ok := bridge.FromContext(c.Context())
		if !ok || id != c.Identity() || id.User != "ann" {
			t.Errorf("identity of the context: %v, %t", id, ok)
		}
		if c.Context().Value(key{}) != "a value" {
			t.Error("the application's values are lost")
		}
		if c.Subprotocol() != "bearer" || client.ws.Subprotocol() != "bearer" {
			t.Errorf("subprotocol %q, at the client %q", c.Subprotocol(), client.ws.Subprotocol())
		}
		if c.RemoteAddr() == nil {
			t.Error("no remote address")
		}
	})
}

func TestAuthenticatedEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := user("<ann>")
		id.Expires = time.Now().Add(time.Hour).In(time.FixedZone("", 7200))
		for omit, want := range map[bool]string{
			false: `{"event":"authenticated","data":{"user":"\u003cann\u003e","via":"test","expires":"` + id.Expires.UTC().Format(time.RFC3339) + `"}}`,
			true:  `"hello"`,
		} {
			b, _ := newBridge(t, says(id, nil), bridge.Options{OmitEvents: omit})
			c := inMemory(t, b.Handler(func(c *bridge.Conn) { _ = c.WriteJSON("hello") })).open()
			if got := c.read(); got != want {
				t.Errorf("first frame %s, want %s", got, want)
			}
		}
	})
}

func TestJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBridge(t, says(user("ann"), nil), bridge.Options{OmitEvents: true})
		c := inMemory(t, b.Handler(func(c *bridge.Conn) {
			var n int
			if err := c.ReadJSON(&n); err == nil {
				t.Error("text was read as a number")
			}
			if err := c.ReadJSON(&n); err != nil { // the connection lives on
				t.Error(err)
			}
			if err := c.WriteJSON(func() {}); err == nil {
				t.Error("a function was written")
			}
			if err := c.WriteJSON(n + 1); err != nil {
				t.Error(err)
			}
		})).open()
		c.send(`"text"`, `41`)
		if got := c.read(); got != "42" {
			t.Errorf("got %s", got)
		}
	})
}

func TestManyWriters(t *testing.T) {
	const writers, each = 16, 50
	b, _ := newBridge(t, says(user("ann"), nil), bridge.Options{OmitEvents: true})
	c := loopback(t, b.Handler(func(c *bridge.Conn) {
		c.CloseRead()
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				for range each {
					if err := c.WriteMessage(websocket.TextMessage, []byte(strings.Repeat(strconv.Itoa(w%10), 1+w*100))); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
	})).open()
	frames, code := c.rest()
	if len(frames) != writers*each || code != 1000 {
		t.Errorf("%d frames and close code %d, want %d and 1000", len(frames), code, writers*each)
	}
	for _, f := range frames {
		if strings.Trim(f, f[:1]) != "" {
			t.Fatalf("two frames in one: %s", f)
		}
	}
}

func TestCloseRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := make(chan error, 1)
		b, _ := newBridge(t, says(user("ann"), nil), bridge.Options{OmitEvents: true})
		c := inMemory(t, b.Handler(func(c *bridge.Conn) {
			ctx := c.CloseRead()
			if ctx != c.Context() {
				t.Error("not the connection's context")
			}
			<-ctx.Done()
			cause <- context.Cause(ctx)
		})).open()
		c.send("discarded", "this too")
		_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4000, "bye"), time.Time{})
		if err := <-cause; !websocket.IsCloseError(err, 4000) {
			t.Errorf("cause %v, want the client's close", err)
		}
	})
}

func TestHandlerCloses(t *testing.T) {
	tests := map[string]struct {
		serve func(*bridge.Conn)
		code  int
	}{
		"when it returns": {func(*bridge.Conn) {}, 1000},
		"when it panics":  {func(*bridge.Conn) { panic("a bug in the service") }, 1011},
		"not twice":       {func(c *bridge.Conn) { _ = c.Close(4321, "by the service"); _ = c.Close(4322, "") }, 4321},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, _ := newBridge(t, says(user("ann"), nil), bridge.Options{OmitEvents: true})
				start := time.Now()
				c := inMemory(t, b.Handler(tt.serve)).open()
				c.closes(tt.code)
				synctest.Wait()
				if d := time.Since(start); b.Len() != 0 || d != 0 {
					t.Errorf("%d connections are counted after %v; the closing handshake was over at once", b.Len(), d)
				}
			})
		})
	}
}

// A client that does not answer the close frame is let go all the same.
func TestHandlerClosesOnASilentPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBridge(t, says(user("ann"), nil), bridge.Options{OmitEvents: true})
		inMemory(t, b.Handler(func(*bridge.Conn) {})).open()
		pass(time.Second)
		if b.Len() != 0 {
			t.Error("the connection is still there after a second")
		}
	})
}

func TestLongCloseReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBridge(t, says(user("ann"), nil), bridge.Options{OmitEvents: true})
		conns := make(chan *bridge.Conn, 1)
		c := inMemory(t, b.Handler(handOver(conns))).open()
		closed := make(chan error, 1)
		go func() { closed <- (<-conns).Close(4000, strings.Repeat("x", 124)) }()
		c.closes(4000)
		if <-closed == nil {
			t.Error("no error")
		}
	})
}

func TestReadLimit(t *testing.T) {
	b, _ := newBridge(t, says(user("ann"), nil), bridge.Options{ReadLimit: 1 << 10, OmitEvents: true})
	for name, size := range map[string]int{"one byte too long": 1<<10 + 1, "far too long": 128 << 10} {
		t.Run(name, func(t *testing.T) {
			cause := make(chan error, 1)
			c := loopback(t, b.Handler(func(c *bridge.Conn) {
				echo(c)
				cause <- context.Cause(c.Context())
			})).open()
			c.send(strings.Repeat("x", 1<<10))
			c.read()
			c.send(strings.Repeat("x", size))
			c.closes(1009)
			_ = c.ws.Close()
			if err := <-cause; !errors.Is(err, websocket.ErrReadLimit) {
				t.Errorf("cause %v", err)
			}
		})
	}
}

// The code 1009 reaches a client whose long message is still on its way while
// the service keeps writing.
func TestReadLimitWhileWriting(t *testing.T) {
	b, _ := newBridge(t, says(user("ann"), nil), bridge.Options{ReadLimit: 1 << 10, OmitEvents: true})
	cause := make(chan error, 1)
	c := loopback(t, b.Handler(func(c *bridge.Conn) {
		c.CloseRead()
		for c.WriteMessage(websocket.TextMessage, []byte("tick")) == nil {
		}
		<-c.Context().Done()
		cause <- context.Cause(c.Context())
	})).open()
	go func() { _ = c.ws.WriteMessage(websocket.BinaryMessage, make([]byte, 256<<10)) }()
	if _, code := c.rest(); code != 1009 {
		t.Errorf("closed with %d, want 1009", code)
	}
	_ = c.ws.Close()
	if err := <-cause; !errors.Is(err, websocket.ErrReadLimit) {
		t.Errorf("cause %v", err)
	}
}

func TestDeauthenticate(t *testing.T) {
	for _, omit := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b, book := newBridge(t, tokens{}, bridge.Options{OmitEvents: omit})
			conns := make(chan *bridge.Conn, 1)
			c := inMemory(t, b.Handler(handOver(conns))).open("Token", "ann")
			if !omit {
				c.expect("authenticated ann")
			}
			c.send(`{"event":"deauthenticate"}`)
			if !omit {
				c.expect("deauthenticated client_request")
			}
			c.closes(1000)
			if got := endCode((<-conns).Context()); got != bridge.CodeClientRequest {
				t.Errorf("ended with %q", got)
			}
			if !strings.Contains(book.String(), "code=client_request") {
				t.Errorf("log: %s", book)
			}
		})
	}
}

// endCode waits for a connection's end and returns the code of its cause, or
// "" if that is no EndError.
func endCode(ctx context.Context) bridge.Code {
	<-ctx.Done()
	if e := (*bridge.EndError)(nil); errors.As(context.Cause(ctx), &e) {
		return e.Code
	}
	return ""
}

// Where no authenticator reads messages, all frames are the application's.
func TestWithoutMessagesEveryFrameIsTheApplications(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBridge(t, says(user("ann"), nil), bridge.Options{OmitEvents: true})
		c := inMemory(t, b.Handler(echo)).open()
		var got []string
		want := []string{keyFrame("x"), tokenFrame("bob"), `{"event":"deauthenticate"}`}
		for _, f := range want {
			c.send(f)
			got = append(got, c.read())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

// A service that reads on after an error gets the same cause every time.
func TestReadingAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBridge(t, says(user("ann"), nil), bridge.Options{OmitEvents: true})
		done := make(chan struct{})
		c := inMemory(t, b.Handler(func(c *bridge.Conn) {
			defer close(done)
			for range 2000 {
				if _, _, err := c.ReadMessage(); !errors.Is(err, context.Cause(c.Context())) || err == nil {
					t.Errorf("error %v, want the cause %v", err, context.Cause(c.Context()))
					return
				}
			}
		})).open()
		_ = c.ws.Close()
		<-done
	})
}

// Upgrade leaves the connection to its caller.
func TestUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBridge(t, says(user("ann"), nil), bridge.Options{})
		conns := make(chan *bridge.Conn, 1)
		client := inMemory(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := b.Upgrade(w, r)
			if err != nil {
				t.Error(err)
			}
			conns <- c
		})).open()
		client.expect("authenticated ann")
		c := <-conns
		synctest.Wait() // the handler has returned, and the request's context is over
		if err := c.Context().Err(); err != nil {
			t.Errorf("the connection ended with its handler: %v", err)
		}
		go func() { _ = c.WriteMessage(websocket.TextMessage, []byte("hello")) }()
		if got := client.read(); got != "hello" {
			t.Errorf("got %q", got)
		}
		go func() { _ = c.Close(1000, "") }()
		client.closes(1000)
		if _, _, err := c.ReadMessage(); !errors.Is(err, bridge.ErrClosed) {
			t.Errorf("error %v, want ErrClosed", err)
		}
		if b.Len() != 0 {
			t.Error("still counted, though both sides have closed")
		}
	})
}
