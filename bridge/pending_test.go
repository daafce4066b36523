package bridge_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// login is an authenticator of sessions and tokens for the tests of this file.
func login() (*store, bridge.Authenticator) {
	s := newStore(map[string]bridge.Identity{"anns": {User: "ann", Via: "test"}})
	return s, bridge.First(s, tokens{})
}

func TestFirstMessage(t *testing.T) {
	const unauthorized = "unauthorized "
	tests := map[string]struct {
		frames []string
		events []string
		code   int // 0: the connection is served
	}{
		"rediskey":                        {[]string{keyFrame("anns")}, []string{"authenticated ann"}, 0},
		"token":                           {[]string{tokenFrame("bob")}, []string{"authenticated bob"}, 0},
		"a bad one, then a good one":      {[]string{keyFrame("x"), keyFrame("anns")}, []string{unauthorized + "credentials_bad_format", "authenticated ann"}, 0},
		"a bad token, then a good one":    {[]string{tokenFrame("bad"), tokenFrame("bob")}, []string{unauthorized + "invalid_token", "authenticated bob"}, 0},
		"two bad ones, then a good one":   {[]string{tokenFrame("bad"), tokenFrame("bad"), tokenFrame("bob")}, []string{unauthorized + "invalid_token", unauthorized + "invalid_token", "authenticated bob"}, 0},
		"as many bad ones as are allowed": {[]string{tokenFrame("bad"), tokenFrame("bad"), tokenFrame("bad")}, []string{unauthorized + "invalid_token", unauthorized + "invalid_token", unauthorized + "invalid_token"}, 3000},
		"a credential of the wrong type":  {[]string{`{"rediskey":5}`, keyFrame("anns")}, []string{unauthorized + "credentials_bad_format", "authenticated ann"}, 0},
		"an outage":                       {[]string{tokenFrame("outage")}, []string{unauthorized + "unavailable"}, 1013},
		"an outage after a bad one":       {[]string{tokenFrame("bad"), tokenFrame("outage")}, []string{unauthorized + "invalid_token", unauthorized + "unavailable"}, 1013},
		"an application's frame":          {[]string{`{"event":"hello"}`}, []string{unauthorized + "credentials_required"}, 3000},
		"Rediskey is not rediskey":        {[]string{`{"Rediskey":"anns"}`}, []string{unauthorized + "credentials_required"}, 3000},
		"text that is no JSON":            {[]string{`anns`}, []string{unauthorized + "credentials_required"}, 3000},
		"an empty frame":                  {[]string{``}, []string{unauthorized + "credentials_required"}, 3000},
		"deauthenticate":                  {[]string{`{"event":"deauthenticate"}`}, []string{unauthorized + "credentials_required"}, 3000},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, a := login()
				b, book := newBridge(t, a, bridge.Options{})
				c := inMemory(t, b.Handler(echo)).open()
				var events []string
				for _, f := range tt.frames {
					c.send(f)
					events = append(events, c.event())
				}
				if diff := cmp.Diff(tt.events, events); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
				if tt.code != 0 {
					c.closes(tt.code)
					pass(0)
					if b.Len() != 0 {
						t.Errorf("%d connections are still counted", b.Len())
					}
				} else if c.send("hello"); c.read() != "hello" {
					t.Error("the connection is not served")
				}
				if log := book.String(); strings.Contains(log, "anns") {
					t.Errorf("a session id in the log: %s", log)
				}
			})
		})
	}
}

// An unknown session is no credential, and no other authenticator knows it.
func TestFirstMessageOfAnUnknownSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := login()
		b, _ := newBridge(t, s, bridge.Options{})
		c := inMemory(t, b.Handler(echo)).open()
		c.send(keyFrame("unknown"))
		c.expect("unauthorized invalid_session")
		c.send(tokenFrame("bob"))
		c.expect("unauthorized invalid_token")
	})
}

func TestBinaryFirstMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a := login()
		b, _ := newBridge(t, a, bridge.Options{})
		c := inMemory(t, b.Handler(echo)).open()
		if err := c.ws.WriteMessage(websocket.BinaryMessage, []byte(keyFrame("anns"))); err != nil {
			t.Fatal(err)
		}
		c.expect("unauthorized credentials_required")
		c.closes(3000)
	})
}

func TestSilentClientIsTurnedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a := login()
		b, book := newBridge(t, a, bridge.Options{OmitEvents: true})
		start := time.Now()
		c := inMemory(t, b.Handler(echo)).open()
		c.expect("unauthorized authentication_timeout")
		c.closes(3008)
		if d := time.Since(start); d != 15*time.Second {
			t.Errorf("after %v, want 15s", d)
		}
		pass(0)
		if !strings.Contains(book.String(), "code=authentication_timeout") {
			t.Errorf("log: %s", book)
		}
	})
}

// A client that gives up after it was refused is not refused once more.
func TestPendingClientLeaves(t *testing.T) {
	for name, c := range map[string]struct {
		attempts int
		want     []string // in the lines of the log
	}{
		"without a word":   {0, []string{"the client left before it was authenticated"}},
		"after an attempt": {1, []string{"code=invalid_token"}},
		"after two":        {2, []string{"code=invalid_token", "code=invalid_token"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, a := login()
				b, book := newBridge(t, a, bridge.Options{MaxAttempts: 5})
				client := inMemory(t, b.Handler(echo)).open()
				for range c.attempts {
					client.send(tokenFrame("bad"))
					client.expect("unauthorized invalid_token")
				}
				_ = client.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseGoingAway, ""), time.Now().Add(time.Second))
				pass(2 * time.Second) // this client does not read the answer
				lines := slices.Collect(strings.Lines(book.String()))
				if len(lines) != len(c.want) {
					t.Fatalf("%d lines, want %d:\n%s", len(lines), len(c.want), book)
				}
				for i, want := range c.want {
					if !strings.Contains(lines[i], want) {
						t.Errorf("line %d: %s, no %q", i, lines[i], want)
					}
				}
			})
		})
	}
}

func TestBadAttemptsDoNotMoveTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a := login()
		b, _ := newBridge(t, a, bridge.Options{MaxAttempts: 100})
		start := time.Now()
		c := inMemory(t, b.Handler(echo)).open()
		for range 2 {
			pass(7 * time.Second)
			c.send(tokenFrame("bad"))
			c.expect("unauthorized invalid_token")
		}
		c.expect("unauthorized authentication_timeout")
		c.closes(3008)
		if d := time.Since(start); d != 15*time.Second {
			t.Errorf("after %v, want 15s", d)
		}
	})
}

// A client that came in time is not blamed for a store that does not answer.
func TestHangingStoreDuringTheFirstMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, a := login()
		s.hang = true
		b, _ := newBridge(t, a, bridge.Options{})
		c := inMemory(t, b.Handler(echo)).open()
		pass(14 * time.Second)
		c.send(keyFrame("anns"))
		c.expect("unauthorized unavailable")
		c.closes(1013)
	})
}

// The read limit of a pending connection is not that of a live one.
func TestLongFirstMessage(t *testing.T) {
	_, a := login()
	b, _ := newBridge(t, a, bridge.Options{})
	s := loopback(t, b.Handler(echo))
	for name, size := range map[string]int{"one byte too long": 8<<10 + 1, "far too long": 128 << 10} {
		t.Run(name, func(t *testing.T) {
			c := s.open()
			c.send(keyFrame(strings.Repeat("x", size-len(keyFrame("")))))
			c.closes(1009)
		})
	}
	t.Run("as long as is allowed", func(t *testing.T) {
		c := s.open()
		c.send(keyFrame(strings.Repeat("x", 8<<10-len(keyFrame("")))))
		c.expect("unauthorized credentials_bad_format")
		c.send(tokenFrame("bob"))
		c.expect("authenticated bob")
		long := strings.Repeat("x", 64<<10)
		c.send(long)
		if got := c.read(); got != long {
			t.Errorf("%d bytes came back, want %d", len(got), len(long))
		}
	})
}

func TestMaxPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a := login()
		b, book := newBridge(t, a, bridge.Options{MaxPending: 2})
		s := inMemory(t, b.Handler(echo))
		one, two := s.open(), s.open()
		full := func() {
			t.Helper()
			_, resp, err := s.try()
			if err == nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "5" {
				t.Errorf("error %v, response %v; want 503 and Retry-After", err, resp)
			}
		}
		full()
		if !strings.Contains(book.String(), "MaxPending") {
			t.Errorf("log: %s", book)
		}
		// Those who have authenticated need no slot.
		withKey := s.open("Sid", "anns")
		withKey.expect("authenticated ann")
		// A slot is freed by an identity, and by a refusal.
		one.send(keyFrame("anns"))
		one.expect("authenticated ann")
		pass(0)
		three := s.open()
		full()
		two.send("hello")
		two.expect("unauthorized credentials_required")
		two.closes(3000)
		pass(0)
		s.open()
		full()
		_ = three.ws.Close() // or by leaving
		pass(0)
		s.open()
		full()
	})
}

func TestMaxPendingAfterUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a := login()
		b, _ := newBridge(t, a, bridge.Options{MaxPending: 1, RefuseAfterUpgrade: true})
		s := inMemory(t, b.Handler(echo))
		s.open()
		c := s.open()
		c.expect("unauthorized unavailable")
		c.closes(1013)
	})
}

// An authenticator that rejects with the code of an absent credential has
// still rejected: nothing more may be presented.
func TestRejectionIsNotPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBridge(t, stub{bridge.Traits{Message: true}, says(nil, bridge.Reject(bridge.CodeCredentialsRequired, "no", nil))}, bridge.Options{})
		_, resp, err := inMemory(t, b.Handler(echo)).try()
		if err == nil || resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("error %v, want status 401", err)
		}
	})
}

// The close code reaches a client that is still sending a long message.
func TestTurnedAwayWhileSending(t *testing.T) {
	_, a := login()
	b, _ := newBridge(t, a, bridge.Options{})
	c := loopback(t, b.Handler(echo)).open()
	go func() {
		_ = c.ws.WriteMessage(websocket.TextMessage, []byte("hello"))
		_ = c.ws.WriteMessage(websocket.BinaryMessage, make([]byte, 128<<10))
	}()
	c.expect("unauthorized credentials_required")
	c.closes(3000)
}

// corkedConn holds back what is written while it is corked.
type corkedConn struct {
	net.Conn
	corked bool
	buf    bytes.Buffer
}

func (c *corkedConn) Write(p []byte) (int, error) {
	if c.corked {
		return c.buf.Write(p)
	}
	return c.Conn.Write(p)
}

// Frames that come with the authentication message in one TCP segment are
// buffered by then, and must not be lost.
func TestFramesBehindTheFirstMessage(t *testing.T) {
	_, a := login()
	b, _ := newBridge(t, a, bridge.Options{})
	s := loopback(t, b.Handler(echo))
	var cork *corkedConn
	dial := s.dial
	s.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		cork = &corkedConn{Conn: c}
		return cork, err
	}
	c := s.open()
	cork.corked = true
	c.send(keyFrame("anns"))
	var want []string
	for i := range 50 {
		want = append(want, strings.Repeat("x", i+1))
	}
	c.send(want...)
	if _, err := cork.Conn.Write(cork.buf.Bytes()); err != nil {
		t.Fatal(err)
	}
	c.expect("authenticated ann")
	var got []string
	for range want {
		got = append(got, c.read())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
