package bridge_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// Whatever the order of many ends, near and far, each comes at its time, and
// none to those who have left before.
func TestEachAtItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		b, err := bridge.New(bridge.AuthenticatorFunc(func(_ context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
			d, err := time.ParseDuration(h.Request.Header.Get("Holds"))
			if err != nil {
				return nil, err
			}
			return &bridge.Identity{User: "42", Via: "test", Expires: time.Now().Add(d), Claims: map[string]any{}}, nil
		}), &bridge.Options{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		random := rand.New(rand.NewPCG(4, 2))
		type end struct {
			number   int
			due, was time.Duration
		}
		const links = 1000
		ends := make(chan end, links)
		want, left := 0, map[int]bool{}
		var all []*bridge.Link
		for i := range links {
			// Some in the same moment, most within a minute, some after hours.
			holds := time.Duration(1+random.Int64N(60_000)) * time.Millisecond
			switch i % 5 {
			case 0:
				holds = 30 * time.Second
			case 1:
				holds *= 200
			}
			l, err := b.Open(request("Holds", holds.String()))
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Authenticate(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			due := time.Since(began) + holds
			l.OnEnd(func(*bridge.EndError) { ends <- end{i, due, time.Since(began)} })
			all = append(all, l)
			if random.IntN(3) == 0 {
				left[i] = true
				leaves := time.AfterFunc(time.Duration(random.Int64N(int64(holds))), func() { l.Close(nil) })
				defer leaves.Stop()
			} else {
				want++
			}
			time.Sleep(time.Duration(random.Int64N(int64(50 * time.Millisecond))))
		}
		time.Sleep(4 * time.Hour)
		synctest.Wait()
		close(ends)
		got := 0
		for e := range ends {
			got++
			if left[e.number] {
				t.Errorf("link %d was told of its end after it had left", e.number)
			}
			if late := e.was - e.due; late < 0 || late > 50*time.Millisecond {
				t.Errorf("link %d ended %v after its time", e.number, late)
			}
		}
		if got != want {
			t.Errorf("%d links ended, want %d", got, want)
		}
		for _, l := range all {
			l.Close(nil)
		}
		if err := b.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
