package bridge_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/bridge"
)

func TestReauthentication(t *testing.T) {
	tests := map[string]struct {
		first   string // token of the handshake
		frame   string
		event   string
		expires time.Duration // of the identity afterwards; 0 for no end
		code    int           // 0: the connection lives on
	}{
		"a later token extends":              {"ann/1h", tokenFrame("ann/2h"), "authenticated ann", 2 * time.Hour, 0},
		"an earlier token does not shorten":  {"ann/2h", tokenFrame("ann/1h"), "authenticated ann", 2 * time.Hour, 0},
		"a token without an end extends":     {"ann/1h", tokenFrame("ann"), "authenticated ann", 0, 0},
		"an end does not shorten no end":     {"ann", tokenFrame("ann/1h"), "authenticated ann", 0, 0},
		"another user ends":                  {"ann/1h", tokenFrame("bob/2h"), "deauthenticated user_changed", time.Hour, 3000},
		"a bad token changes nothing":        {"ann/1h", tokenFrame("bad"), "unauthorized invalid_token", time.Hour, 0},
		"a malformed token changes nothing":  {"ann/1h", `{"event":"authenticate"}`, "unauthorized credentials_bad_format", time.Hour, 0},
		"a rediskey nobody reads is refused": {"ann/1h", keyFrame("anns"), "unauthorized credentials_bad_format", time.Hour, 0},
		"an outage changes nothing":          {"ann/1h", tokenFrame("outage"), "unauthorized unavailable", time.Hour, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, book := newBridge(t, tokens{}, bridge.Options{})
				conns := make(chan *bridge.Conn, 1)
				start := time.Now()
				client := inMemory(t, b.Handler(func(c *bridge.Conn) {
					conns <- c
					echo(c)
				})).open("Token", tt.first)
				client.expect("authenticated ann")
				client.send(tt.frame)
				client.expect(tt.event)
				c := <-conns
				want := time.Time{}
				if tt.expires != 0 {
					want = start.Add(tt.expires)
				}
				if id := c.Identity(); id.User != "ann" || !id.Expires.Equal(want) {
					t.Errorf("user %s until %v, want ann until %v", id.User, id.Expires, want)
				}
				if tt.code != 0 {
					client.closes(tt.code)
					if got := endCode(c.Context()); got != bridge.CodeUserChanged {
						t.Errorf("ended with %q", got)
					}
				} else if client.send("still there"); client.read() != "still there" {
					t.Error("the connection is not served any more")
				}
				if strings.HasPrefix(tt.event, "un") && !strings.Contains(book.String(), "handshake refused") {
					t.Errorf("the refusal is not logged: %s", book)
				}
			})
		})
	}
}

// The clock follows the token that holds longest.
func TestReauthenticationMovesTheEnd(t *testing.T) {
	for token, lifetime := range map[string]time.Duration{"ann/3h": 3 * time.Hour, "ann/30m": time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			b, _ := newBridge(t, tokens{}, bridge.Options{})
			start := time.Now()
			s := inMemory(t, b.Handler(echo))
			s.wait = 24 * time.Hour
			c := s.open("Token", "ann/1h")
			c.expect("authenticated ann")
			c.send(tokenFrame(token))
			c.expect("authenticated ann")
			c.expect("expiring ")
			if d := time.Since(start); d != lifetime-time.Minute {
				t.Errorf("%s: warned after %v, want a minute before %v", token, d, lifetime)
			}
			c.expect("deauthenticated token_expired")
			c.closes(3000)
			if d := time.Since(start); d != lifetime {
				t.Errorf("%s: ended after %v, want %v", token, d, lifetime)
			}
		})
	}
}

func TestReauthenticationByRedisKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(map[string]bridge.Identity{
			"old": {User: "ann", Via: "test"},
			"new": {User: "ann", Via: "test"},
			"bob": {User: "bob", Via: "test"},
		})
		b, _ := newBridge(t, s, bridge.Options{OmitEvents: true})
		conns := make(chan *bridge.Conn, 1)
		client := inMemory(t, b.Handler(handOver(conns))).open("Sid", "old")
		c := <-conns
		client.send(keyFrame("new"))
		synctest.Wait()
		if got := c.Identity().Key; got != "new" {
			t.Errorf("the identity's key is %q, want the new session's", got)
		}
		// The old session's end, as at its regeneration, means nothing now.
		s.set("old", "", time.Time{})
		pass(time.Minute)
		if err := c.Context().Err(); err != nil {
			t.Fatalf("ended with the session that was left: %v", err)
		}
		client.send(keyFrame("bob"))
		client.closes(3000)
		if got := endCode(c.Context()); got != bridge.CodeUserChanged {
			t.Errorf("ended with %q", got)
		}
	})
}

// Authentication frames are told from the application's by their content, in
// whatever way it is written.
func TestWhatTheApplicationSees(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBridge(t, tokens{}, bridge.Options{OmitEvents: true})
		seen := make(chan string, 10)
		c := inMemory(t, b.Handler(func(c *bridge.Conn) {
			for {
				_, p, err := c.ReadMessage()
				if err != nil {
					return
				}
				seen <- string(p)
			}
		})).open("Token", "ann")
		want := []string{`{"Rediskey":"x"}`, `{"event":"authenticated"}`, `{"event":"hello","data":"\u00e9"}`, `["rediskey"]`, `"authenticate"`, `{"pad":"` + strings.Repeat("x", 8<<10) + `"}`}
		c.send(want...)
		c.send(tokenFrame("ann"), `{"event":"\u0061uthenticate","data":{"token":"ann"}}`)
		c.send("last")
		want = append(want, "last")
		synctest.Wait()
		var got []string
		for range len(seen) {
			got = append(got, <-seen)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

// A frame that is too long for a credential is one all the same: it may hold a
// token, and the application must not pass that on.
func TestBadAttemptsOnALiveConnection(t *testing.T) {
	long := `{"event":"authenticate","data":{"token":"` + strings.Repeat("x", 8<<10) + `"}}`
	for name, tt := range map[string]struct {
		frame, code string
		end         bridge.Code
	}{
		"too long":  {long, "credentials_bad_format", bridge.CodeCredentialsBadFormat},
		"bad token": {tokenFrame("bad"), "invalid_token", bridge.CodeInvalidToken},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, _ := newBridge(t, tokens{}, bridge.Options{OmitEvents: true})
				conns := make(chan *bridge.Conn, 1)
				seen := make(chan string, 10)
				client := inMemory(t, b.Handler(func(c *bridge.Conn) {
					conns <- c
					for {
						_, p, err := c.ReadMessage()
						if err != nil {
							return
						}
						seen <- string(p)
					}
				})).open("Token", "ann")
				c := <-conns
				for range 2 {
					client.send(tt.frame)
					client.expect("unauthorized " + tt.code)
				}
				client.send(tokenFrame("ann")) // a good one in between makes up for them
				for range 2 {
					client.send(tt.frame)
					client.expect("unauthorized " + tt.code)
				}
				if err := c.Context().Err(); err != nil {
					t.Fatalf("ended: %v", err)
				}
				client.send(tt.frame)
				client.closes(3000)
				if got := endCode(c.Context()); got != tt.end {
					t.Errorf("ended with %q, want %q", got, tt.end)
				}
				if len(seen) > 0 {
					t.Errorf("the application saw %q", <-seen)
				}
			})
		})
	}
}

// RFC 6455, section 8.1: a text that is not UTF-8 fails the connection.
func TestTextThatIsNotUTF8(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBridge(t, tokens{}, bridge.Options{OmitEvents: true})
		client := inMemory(t, b.Handler(func(c *bridge.Conn) {
			if _, p, err := c.ReadMessage(); err == nil {
				t.Errorf("the application saw %q", p)
			}
		})).open("Token", "ann")
		client.send("\xff\xfe")
		client.closes(1007)
	})
}
