package bridge_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// frame is a client's frame (RFC 6455, section 5.2) of less than 126 bytes,
// masked with zeros.
func frame(first byte, payload string) []byte {
	return append([]byte{first, 0x80 | byte(len(payload)), 0, 0, 0, 0}, payload...)
}

func TestFramesAsTheyCome(t *testing.T) {
	const final, text, more, ping, pong = 0x80, websocket.TextMessage, 0, websocket.PingMessage, websocket.PongMessage
	long := strings.Repeat("long ", 20000)
	for name, test := range map[string]struct {
		frames [][]byte
		want   []string
	}{
		"one":          {[][]byte{frame(final|text, "a")}, []string{"a"}},
		"several":      {[][]byte{frame(final|text, "a"), frame(final|text, ""), frame(final|text, "c")}, []string{"a", "", "c"}},
		"in fragments": {[][]byte{frame(text, "a"), frame(more, "b"), frame(final|more, "c")}, []string{"abc"}},
		"a ping before": {
			[][]byte{frame(final|ping, "p"), frame(final|text, "a")},
			[]string{"pong p", "a"},
		},
		"a ping between fragments": {
			[][]byte{frame(text, "a"), frame(final|ping, strings.Repeat("p", 125)), frame(final|more, "b")},
			[]string{"pong " + strings.Repeat("p", 125), "ab"},
		},
		"pongs":          {[][]byte{frame(final|pong, ""), frame(final|pong, "p"), frame(final|text, "a")}, []string{"a"}},
		"a long message": {[][]byte{{final | text, 0xff, 0, 0, 0, 0, 0, 1, 0x86, 0xa0, 0, 0, 0, 0}, []byte(long), frame(final|text, "a")}, []string{long, "a"}},
	} {
		all := slices.Concat(test.frames...)
		for ways, pieces := range map[string][][]byte{
			"frame by frame": test.frames,
			"at once":        {all},
			"byte by byte":   slices.Collect(slices.Chunk(all, 1)),
		} {
			t.Run(name+", "+ways, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b, _ := newBridge(t, says(user("ann"), nil), bridge.Options{OmitEvents: true, ReadLimit: 1 << 20})
					client := inMemory(t, b.Handler(echo)).open()
					var got []string
					client.ws.SetPongHandler(func(data string) error {
						got = append(got, "pong "+data)
						return nil
					})
					go func() {
						for _, p := range pieces {
							_, _ = client.ws.NetConn().Write(p) // the reader sees it if that fails
						}
					}()
					for len(got) < len(test.want) {
						got = append(got, client.read())
					}
					if diff := cmp.Diff(test.want, got); diff != "" {
						t.Error(diff)
					}
				})
			})
		}
	}
}

// What is sent before the handshake is answered may be of another request: that
// is an attack's way.
func TestEarlyFramesAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBridge(t, says(user("ann"), nil), bridge.Options{})
		served := false
		s := inMemory(t, b.Handler(func(*bridge.Conn) { served = true }))
		conn, err := s.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		request := "GET / HTTP/1.1\r\nHost: service.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
		go func() { _, _ = conn.Write(append([]byte(request), frame(0x81, "early")...)) }()
		if answer, _ := io.ReadAll(conn); len(answer) > 0 {
			t.Errorf("answered %q", answer)
		}
		synctest.Wait()
		if served || b.Len() != 0 {
			t.Errorf("served: %t; %d connections", served, b.Len())
		}
	})
}

// plain hides what else a ResponseWriter can do.
type plain struct{ http.ResponseWriter }

// wrapped is the same, but for [http.ResponseController].
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestHijackBehindMiddleware(t *testing.T) {
	for name, test := range map[string]struct {
		wrap   func(http.ResponseWriter) http.ResponseWriter
		refuse bool
	}{
		"bare":                {func(w http.ResponseWriter) http.ResponseWriter { return w }, false},
		"unwrapped":           {func(w http.ResponseWriter) http.ResponseWriter { return wrapped{wrapped{w}} }, false},
		"a ResponseWriter":    {func(w http.ResponseWriter) http.ResponseWriter { return plain{w} }, true},
		"one behind a better": {func(w http.ResponseWriter) http.ResponseWriter { return wrapped{plain{w}} }, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, book := newBridge(t, says(user("ann"), nil), bridge.Options{})
				h := b.Handler(echo)
				s := inMemory(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(test.wrap(w), r) }))
				client, response, err := s.try()
				if !test.refuse {
					if err != nil {
						t.Fatal(err)
					}
					client.expect("authenticated ann")
					return
				}
				if err == nil || response == nil || response.StatusCode != http.StatusInternalServerError {
					t.Fatalf("%v, want the status 500", err)
				}
				if b.Len() != 0 {
					t.Error("still counted")
				}
				if log := book.String(); !strings.Contains(log, "ResponseWriter") || !strings.Contains(log, "Unwrap") {
					t.Errorf("log %q", log)
				}
			})
		})
	}
}

// failing is a response whose Hijack fails badly.
type failing struct{ http.ResponseWriter }

func (failing) Hijack() (net.Conn, *bufio.ReadWriter, error) { panic(http.ErrAbortHandler) }

// Middleware that panics does not leave a connection in the books for ever.
func TestHijackPanics(t *testing.T) {
	for name, a := range map[string]bridge.Authenticator{"with a login": says(user("ann"), nil), "waiting for one": tokens{}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, _ := newBridge(t, a, bridge.Options{})
				h := b.Handler(echo)
				s := inMemory(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(failing{w}, r) }))
				if _, _, err := s.try(); err == nil {
					t.Error("a connection")
				}
				synctest.Wait()
				if b.Len() != 0 {
					t.Error("still counted")
				}
			})
		})
	}
}

// A connection that breaks between two messages and one that breaks within one
// end alike.
func TestBrokenOff(t *testing.T) {
	for name, sent := range map[string][]byte{
		"between messages":   frame(0x81, "a"),
		"within a head":      frame(0x81, "a")[:1],
		"within a message":   frame(0x81, "abc")[:8],
		"between fragments":  frame(0x01, "a"),
		"before any message": nil,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, _ := newBridge(t, says(user("ann"), nil), bridge.Options{OmitEvents: true})
				conns := make(chan *bridge.Conn, 1)
				client := inMemory(t, b.Handler(handOver(conns))).open()
				c := <-conns
				if _, err := client.ws.NetConn().Write(sent); err != nil {
					t.Fatal(err)
				}
				_ = client.ws.NetConn().Close()
				<-c.Context().Done()
				synctest.Wait()
				_, _, err := c.ReadMessage()
				if e, ok := errors.AsType[*websocket.CloseError](err); !ok || e.Code != websocket.CloseAbnormalClosure {
					t.Errorf("error %#v, want a CloseError with 1006", err)
				}
			})
		})
	}
}
