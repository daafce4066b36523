package bridge_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// When is the client told that its token runs out?
func TestExpiryNotice(t *testing.T) {
	tests := map[string]struct {
		o     bridge.Options
		token string
		after time.Duration // 0: not at all
		end   time.Duration
	}{
		"a minute before":                   {bridge.Options{}, "ann/1h", 59 * time.Minute, time.Hour},
		"as set":                            {bridge.Options{ExpiryNotice: 10 * time.Minute}, "ann/1h", 50 * time.Minute, time.Hour},
		"half of a short life":              {bridge.Options{}, "ann/30s", 15 * time.Second, 30 * time.Second},
		"none":                              {bridge.Options{ExpiryNotice: -1}, "ann/1h", 0, time.Hour},
		"none without events of the bridge": {bridge.Options{OmitEvents: true}, "ann/30m", 0, 30 * time.Minute},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, _ := newBridge(t, tokens{}, tt.o)
				start := time.Now()
				srv := inMemory(t, b.Handler(echo))
				srv.wait = 24 * time.Hour
				c := srv.open("Token", tt.token)
				if !tt.o.OmitEvents {
					c.expect("authenticated ann")
				}
				if tt.after > 0 {
					want := `{"event":"expiring","data":{"expires":"` + start.Add(tt.end).UTC().Format(time.RFC3339) + `"}}`
					if diff := cmp.Diff(want, c.read()); diff != "" {
						t.Errorf("-want +got:\n%s", diff)
					}
					if d := time.Since(start); d != tt.after {
						t.Errorf("told after %v, want %v", d, tt.after)
					}
				}
				if !tt.o.OmitEvents {
					c.expect("deauthenticated token_expired")
				}
				c.closes(3000)
				if d := time.Since(start); d != tt.end {
					t.Errorf("ended after %v, want %v", d, tt.end)
				}
			})
		})
	}
}

// A client that sends another token each time it is told stays for as long as
// it does.
func TestRefreshInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBridge(t, tokens{}, bridge.Options{})
		start := time.Now()
		s := inMemory(t, b.Handler(echo))
		s.wait = 24 * time.Hour
		c := s.open("Token", "ann/10m")
		c.expect("authenticated ann")
		for range 5 {
			c.expect("expiring ")
			c.send(tokenFrame("ann/10m"))
			c.expect("authenticated ann")
		}
		c.expect("expiring ")
		c.expect("deauthenticated token_expired")
		c.closes(3000)
		if d := time.Since(start); d != 55*time.Minute {
			t.Errorf("ended after %v, want 55m: 9 minutes for each refreshed token and 10 for the last", d)
		}
	})
}

// Sessions are extended by the web application: nobody is told of their end.
func TestSessionsAreNotAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(map[string]bridge.Identity{"anns": {User: "ann", Via: "test", Expires: time.Now().Add(time.Hour)}})
		b, _ := newBridge(t, s, bridge.Options{})
		srv := inMemory(t, b.Handler(echo))
		srv.wait = 24 * time.Hour
		c := srv.open("Sid", "anns")
		c.expect("authenticated ann")
		c.expect("deauthenticated session_expired")
		c.closes(3000)
	})
}

func TestCloseAfter(t *testing.T) {
	tests := map[string]struct {
		after time.Duration
		code  int           // of the close
		end   time.Duration // how long after the first bad attempt
	}{
		"until AuthTimeout":    {0, 3008, 14 * time.Second},
		"two seconds":          {2 * time.Second, 3008, 2 * time.Second},
		"longer than possible": {time.Minute, 3008, 14 * time.Second},
		"at once":              {-1, 3000, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, _ := newBridge(t, tokens{}, bridge.Options{CloseAfter: tt.after})
				c := inMemory(t, b.Handler(echo)).open()
				pass(time.Second)
				start := time.Now()
				c.send(tokenFrame("bad"))
				c.expect("unauthorized invalid_token")
				if tt.code == 3008 {
					if tt.end > time.Second { // a second attempt moves nothing
						pass(time.Second)
						c.send(tokenFrame("bad"))
						c.expect("unauthorized invalid_token")
					}
					c.expect("unauthorized authentication_timeout")
				}
				c.closes(tt.code)
				if d := time.Since(start); d != tt.end {
					t.Errorf("closed after %v, want %v", d, tt.end)
				}
			})
		})
	}
	t.Run("a good one in time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, _ := newBridge(t, tokens{}, bridge.Options{CloseAfter: 2 * time.Second})
			c := inMemory(t, b.Handler(echo)).open()
			c.send(tokenFrame("bad"))
			c.expect("unauthorized invalid_token")
			pass(time.Second)
			c.send(tokenFrame("ann"))
			c.expect("authenticated ann")
			pass(time.Minute)
			c.send("hello")
			if got := c.read(); got != "hello" {
				t.Errorf("read %q", got)
			}
		})
	})
}

// Ten thousand tokens that expire in one second end their connections by one
// timer.
func TestManyExpireTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBridge(t, tokens{}, bridge.Options{ExpiryNotice: -1})
		links := make([]*bridge.Link, 10_000)
		for i := range links {
			l, err := b.Open(request("Token", "ann/1h"))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close(nil)
			if err := l.Authenticate(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			links[i] = l
		}
		pass(time.Hour - time.Millisecond)
		for _, l := range links {
			if l.Context().Err() != nil {
				t.Fatal("ended too soon")
			}
		}
		pass(time.Millisecond)
		for _, l := range links {
			if endCode(l.Context()) != bridge.CodeTokenExpired {
				t.Fatalf("ended with %q", endCode(l.Context()))
			}
		}
	})
}
