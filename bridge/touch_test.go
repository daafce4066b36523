package bridge_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// touchable is an authenticator by one session of which it counts the touches.
type touchable struct {
	traits  bridge.Traits
	touches atomic.Int64
	err     error
	panics  bool
}

func (s *touchable) Traits() bridge.Traits { return s.traits }

func (s *touchable) Authenticate(ctx context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
	return h.Load(ctx, bridge.Binding{
		Key: "anns",
		Reload: func(context.Context) (*bridge.Identity, error) {
			return &bridge.Identity{User: "ann", Via: "test", Key: "anns"}, nil
		},
		Touch: func(context.Context) error {
			s.touches.Add(1)
			if s.panics {
				panic("touch")
			}
			return s.err
		},
	})
}

func TestTouch(t *testing.T) {
	tests := map[string]struct {
		every    time.Duration
		sockets  int
		frames   int
		interval time.Duration // between frames
		want     int64
	}{
		"not asked for":                     {0, 1, 10, time.Minute, 0},
		"at the first frame":                {time.Minute, 1, 1, 0, 1},
		"once a minute":                     {time.Minute, 1, 601, time.Second, 11},
		"as seldom as asked":                {5 * time.Minute, 1, 601, time.Second, 3},
		"once for all sockets of a session": {time.Minute, 5, 601, time.Second, 11},
		"a client that is silent":           {time.Minute, 1, 0, 0, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &touchable{}
				b, _ := newBridge(t, a, bridge.Options{Touch: tt.every})
				s := inMemory(t, b.Handler(echo))
				s.wait = 24 * time.Hour
				clients := make([]*client, tt.sockets)
				for i := range clients {
					clients[i] = s.open()
					clients[i].expect("authenticated ann")
				}
				for i := range tt.frames {
					if i > 0 {
						pass(tt.interval)
					}
					for _, c := range clients {
						c.send("hello")
						c.read()
					}
				}
				if tt.frames == 0 { // what the service sends is no activity
					pass(time.Hour)
				}
				synctest.Wait()
				if got := a.touches.Load(); got != tt.want {
					t.Errorf("%d touches, want %d", got, tt.want)
				}
			})
		})
	}
}

// What fails is logged, and ends nothing.
func TestTouchFails(t *testing.T) {
	for name, a := range map[string]*touchable{"an error": {err: errors.New("no route")}, "a panic": {panics: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, book := newBridge(t, a, bridge.Options{Touch: time.Minute})
				c := inMemory(t, b.Handler(echo)).open()
				c.expect("authenticated ann")
				for range 2 {
					c.send("hello")
					c.read()
					pass(time.Minute)
				}
				if a.touches.Load() != 2 || strings.Count(book.String(), "could not be kept alive") != 2 {
					t.Errorf("%d touches, and the log %s", a.touches.Load(), book)
				}
			})
		})
	}
}

// An adapter says when its client is active.
func TestLinkActive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &touchable{traits: bridge.Traits{Message: true}}
		b, _ := newBridge(t, a, bridge.Options{Touch: time.Minute})
		l, err := b.Open(request())
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close(nil)
		l.Active() // nobody yet
		if err := l.Authenticate(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		for range 3 {
			l.Active()
		}
		synctest.Wait()
		if got := a.touches.Load(); got != 1 {
			t.Errorf("%d touches, want 1", got)
		}
	})
}
