package bridge_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// spelled is a store whose sessions may be under either of two keys.
type spelled struct {
	*pushed
	every time.Duration
}

func (s spelled) Authenticate(ctx context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
	sid := h.Request.Header.Get("Sid")
	key := s.name + "/" + s.key(sid)
	return h.Load(ctx, bridge.Binding{
		Key: key, Aliases: []string{s.name + "/" + s.key("old:"+sid)}, Feed: s.name, Every: s.every,
		Reload: func(ctx context.Context) (*bridge.Identity, error) {
			id, err := s.load(ctx, sid)
			if err != nil {
				id, err = s.load(ctx, "old:"+sid)
			}
			if err == nil {
				id.Key = "another name of it"
			}
			return id, err
		},
	})
}

func newSpelled(t *testing.T, every time.Duration, o bridge.Options) (spelled, *bridge.Bridge) {
	s := spelled{newFeed("s", map[string]bridge.Identity{"anns": *user("ann"), "old:bobs": *user("bob")}), every}
	b, _ := newBridge(t, s, o)
	shutAtEnd(t, b)
	s.f = <-s.follower
	return s, b
}

// A change under either key is a change of the session, and a session found
// under either is cached.
func TestAliases(t *testing.T) {
	for _, tt := range []struct{ sid, stored string }{{"anns", "anns"}, {"bobs", "old:bobs"}} {
		t.Run(tt.stored, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, b := newSpelled(t, 0, bridge.Options{})
				first := hold(b, tt.sid)
				reads := s.reads()
				second := hold(b, tt.sid)
				if got := s.reads(); got != reads || second.ctx == nil {
					t.Errorf("%d more readings for a session that has not changed", got-reads)
				}
				s.change(tt.stored, "", time.Time{})
				synctest.Wait()
				for i, h := range []*held{first, second} {
					if h.ctx.Err() == nil {
						t.Fatalf("the connection %d did not end", i)
					}
					if code := endCode(h.ctx); code != bridge.CodeSessionEnded {
						t.Errorf("ended with %q", code)
					}
				}
				if h := hold(b, tt.sid); h.status != 401 {
					t.Error("let in again")
				}
				if err := b.Revoke(t.Context(), bridge.Target{Session: s.key(tt.stored)}); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestRevokeByAlias(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newSpelled(t, 0, bridge.Options{})
		h := hold(b, "bobs")
		defer h.leave()
		if err := b.Revoke(t.Context(), bridge.Target{Session: s.key("old:bobs")}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if h.ctx.Err() == nil {
			t.Fatal("not ended")
		}
		if code := endCode(h.ctx); code != bridge.CodeRevoked {
			t.Errorf("ended with %q", code)
		}
	})
}

// A binding's own interval counts if it is the shorter one.
func TestEvery(t *testing.T) {
	for _, tt := range []struct {
		every, sweep time.Duration
		want         [2]int // readings within ten minutes
	}{
		{time.Minute, 0, [2]int{10, 14}},
		{time.Minute, -1, [2]int{10, 14}},
		{time.Hour, 2 * time.Minute, [2]int{5, 8}},
		{0, -1, [2]int{0, 0}},
	} {
		t.Run(fmt.Sprint(tt.every, " ", tt.sweep), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, b := newSpelled(t, tt.every, bridge.Options{Sweep: tt.sweep})
				h := hold(b, "anns")
				defer h.leave()
				pass(time.Second) // what began with the feed is over
				before := s.reads()
				pass(10 * time.Minute)
				if got := s.reads() - before; got < tt.want[0] || got > tt.want[1] {
					t.Errorf("%d readings, want %v", got, tt.want)
				}
			})
		})
	}
}
