package bridge_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// live returns a connection by the session "anns" of a store, made at the
// beginning of a bubble's time.
func live(t *testing.T, o bridge.Options, expires time.Duration) (*store, *client, *bridge.Conn) {
	t.Helper()
	id := bridge.Identity{User: "ann", Via: "test"}
	if expires != 0 {
		id.Expires = time.Now().Add(expires)
	}
	s := newStore(map[string]bridge.Identity{"anns": id})
	b, _ := newBridge(t, s, o)
	conns := make(chan *bridge.Conn, 1)
	client := inMemory(t, b.Handler(handOver(conns))).open("Sid", "anns")
	client.expect("authenticated ann")
	return s, client, <-conns
}

func TestIdentityThatCannotBeReloadedExpires(t *testing.T) {
	for want, claims := range map[bridge.Code]map[string]any{
		bridge.CodeTokenExpired:   {},
		bridge.CodeSessionExpired: nil,
	} {
		synctest.Test(t, func(t *testing.T) {
			id := user("ann")
			id.Expires, id.Claims = time.Now().Add(10*time.Minute), claims
			b, _ := newBridge(t, says(id, nil), bridge.Options{})
			start := time.Now()
			c := inMemory(t, b.Handler(echo)).open()
			c.expect("authenticated ann")
			c.expect("deauthenticated " + string(want))
			c.closes(3000)
			if d := time.Since(start); d != 10*time.Minute {
				t.Errorf("ended after %v, want 10m", d)
			}
		})
	}
}

func TestSessionIsLookedAtWhenItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, client, c := live(t, bridge.Options{Sweep: -1}, 10*time.Minute)
		pass(9 * time.Minute)
		s.set("anns", "ann", time.Now().Add(10*time.Minute)) // the web application extends it
		pass(5 * time.Minute)
		if got, want := c.Identity().Expires, time.Now().Add(5*time.Minute); !got.Equal(want) {
			t.Errorf("the identity holds until %v, want %v", got, want)
		}
		if s.reads() != 2 {
			t.Errorf("the session was read %d times, want 2: without a sweep only at the handshake and at its end", s.reads())
		}
		start := time.Now()
		client.expect("deauthenticated session_expired")
		client.closes(3000)
		if d := time.Since(start); d != 5*time.Minute {
			t.Errorf("ended after %v more, want 5m", d)
		}
	})
}

func TestSweep(t *testing.T) {
	tests := map[string]struct {
		change func(*store)
		event  string // "" if the connection stays
		code   int
	}{
		"logged out": {func(s *store) { s.set("anns", "", time.Time{}) }, "deauthenticated session_ended", 3000},
		"somebody else is logged in": {func(s *store) { s.set("anns", "bob", time.Time{}) },
			"deauthenticated user_changed", 3000},
		"rejected now": {func(s *store) { s.fail(fmt.Errorf("%w: forged", bridge.ErrRejected)) },
			"deauthenticated session_ended", 3000},
		"nothing changed":  {func(*store) {}, "", 0},
		"extended":         {func(s *store) { s.set("anns", "ann", time.Now().Add(24*time.Hour)) }, "", 0},
		"shortened to now": {func(s *store) { s.set("anns", "ann", time.Now()) }, "deauthenticated session_ended", 3000},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, client, c := live(t, bridge.Options{}, 0)
				start := time.Now()
				tt.change(s)
				if tt.event == "" {
					pass(10 * time.Minute)
					if err := context.Cause(c.Context()); err != nil {
						t.Errorf("ended: %v", err)
					}
					if n := s.reads(); n < 60 || n > 82 {
						t.Errorf("the session was read %d times in 10m, want once in 7.5s to 10s", n)
					}
					return
				}
				client.expect(tt.event)
				client.closes(tt.code)
				if d := time.Since(start); d > 10*time.Second {
					t.Errorf("ended after %v, want 10s at most", d)
				}
			})
		})
	}
}

func TestOutageIsNoLogout(t *testing.T) {
	for name, hang := range map[string]bool{"an error": false, "no answer": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				down := func(s *store, yes bool) {
					s.mu.Lock()
					defer s.mu.Unlock()
					if s.hang = yes && hang; yes && !hang {
						s.err = errOutage
					} else {
						s.err = nil
					}
				}
				// With the session's known end as the only reason to look, the
				// time of the look is known too.
				s, client, c := live(t, bridge.Options{Sweep: -1, MaxStale: 20 * time.Second}, time.Minute)
				down(s, true)
				pass(time.Minute + 15*time.Second)
				if err := context.Cause(c.Context()); err != nil {
					t.Fatalf("ended within MaxStale: %v", err)
				}
				s.set("anns", "ann", time.Now().Add(time.Minute))
				down(s, false)
				pass(4 * time.Second) // one look may be waiting for its answer
				if got := time.Until(c.Identity().Expires); got < 50*time.Second {
					t.Fatalf("back, but the identity holds for only %v", got)
				}
				down(s, true)
				end := c.Identity().Expires.Add(20 * time.Second)
				client.expect("deauthenticated unavailable")
				client.closes(1013)
				if now := time.Now(); !now.Equal(end) {
					t.Errorf("ended at %v, want MaxStale after the first look that failed, %v", now, end)
				}
				if got := endCode(c.Context()); got != bridge.CodeUnavailable {
					t.Errorf("ended with %q", got)
				}
			})
		})
	}
}

func TestNoStaleness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, client, _ := live(t, bridge.Options{Sweep: -1, MaxStale: -1}, time.Minute)
		s.fail(errOutage)
		start := time.Now()
		client.expect("deauthenticated unavailable")
		client.closes(1013)
		if d := time.Since(start); d != time.Minute {
			t.Errorf("ended after %v, want at the first look that fails", d)
		}
	})
}

// A session that is found, but at its end by this clock, is not read in a busy
// loop.
func TestClockThatDisagrees(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		b, _ := newBridge(t, stub{judge: func(_ context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
			id := user("ann")
			id.Key, id.Expires = "anns", time.Now()
			h.Bind(bridge.Binding{Key: "anns", Reload: func(context.Context) (*bridge.Identity, error) {
				reads++
				again := *id
				return &again, nil
			}})
			return id, nil
		}}, bridge.Options{OmitEvents: true})
		inMemory(t, b.Handler(echo)).open()
		pass(time.Second)
		if reads == 0 || reads > 20 {
			t.Errorf("%d reads in a second, want 20 at most", reads)
		}
	})
}
