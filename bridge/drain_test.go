package bridge_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// However many there are, they end one after the other in the time given.
func TestShutdownIsSpread(t *testing.T) {
	tests := map[string]struct {
		connections int
		given       time.Duration // 0: no deadline
		first, last time.Duration // when the last of them ends, between
	}{
		"few, much time":     {10, time.Minute, 90 * time.Millisecond, 90 * time.Millisecond},
		"many":               {1000, 5 * time.Second, 3 * time.Second, 3200 * time.Millisecond},
		"more than steps":    {3000, 2 * time.Second, 700 * time.Millisecond, 800 * time.Millisecond},
		"little time":        {1000, 500 * time.Millisecond, 0, 0},
		"without a deadline": {1000, 0, 0, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, _ := newBridge(t, newStore(map[string]bridge.Identity{"anns": *user("ann")}), bridge.Options{})
				all := make([]*held, tt.connections)
				for i := range all {
					all[i] = hold(b, "anns")
				}
				ctx := t.Context()
				if tt.given > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.given)
					defer cancel()
				}
				start := time.Now()
				if err := b.Shutdown(ctx); err != nil {
					t.Fatal(err)
				}
				var last time.Duration
				moments := map[time.Duration]int{}
				for _, h := range all {
					<-h.over
					d := h.ended.Sub(start)
					moments[d]++
					last = max(last, d)
					if endCode(h.ctx) != bridge.CodeDraining {
						t.Fatalf("ended with %q", endCode(h.ctx))
					}
				}
				if last < tt.first || last > tt.last {
					t.Errorf("the last ended after %v, want %v to %v", last, tt.first, tt.last)
				}
				if tt.first > 0 {
					for d, n := range moments {
						if n > tt.connections/10 {
							t.Errorf("%d of %d ended together after %v", n, tt.connections, d)
						}
					}
				}
			})
		})
	}
}
