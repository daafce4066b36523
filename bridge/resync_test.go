package bridge_test

import (
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// crowd is many requests, each by a session of its own.
func crowd(p *pushed, b *bridge.Bridge, n int) []*held {
	all := make([]*held, n)
	for i := range all {
		p.set(strconv.Itoa(i), "u"+strconv.Itoa(i), time.Time{})
		all[i] = hold(b, strconv.Itoa(i))
	}
	return all
}

// After a loss everything is read again, at a bounded rate, and what ended
// meanwhile ends.
func TestRestored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1500
		p, b := newPushed(t, bridge.Options{})
		all := crowd(p, b, n)
		pass(5 * time.Second)
		p.f.Lost(errStream)
		for i := 0; i < n; i += 10 {
			p.set(strconv.Itoa(i), "", time.Time{})
		}
		start, before := time.Now(), p.reads()
		p.f.Restored("test")
		for last := before; ; {
			synctest.Wait()
			now := p.reads()
			if now-last > 256 {
				t.Errorf("%d readings at once", now-last)
			}
			last = now
			if time.Since(start) > time.Second {
				break
			}
			<-time.After(10 * time.Millisecond)
		}
		if got := p.reads() - before; got != n {
			t.Errorf("%d readings, want one of each session", got)
		}
		for i, h := range all {
			want := bridge.Code("")
			if i%10 == 0 {
				want = bridge.CodeSessionEnded
			}
			if got := h.code(); got != want {
				t.Fatalf("%d ended with %q, want %q", i, got, want)
			}
			if want != "" && h.ended.Sub(start) > 60*time.Millisecond {
				t.Fatalf("%d ended after %v", i, h.ended.Sub(start))
			}
		}
	})
}

// A stream that is lost over and over does not multiply the reading, and yet
// each session is looked at.
func TestFlappingStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1280
		p, b := newPushed(t, bridge.Options{})
		all := crowd(p, b, n)
		pass(time.Second)
		before := p.reads()
		for i := range 25 { // for half a second
			p.f.Lost(errStream)
			if i == 12 {
				for j := range n / 2 {
					p.set(strconv.Itoa(j), "", time.Time{})
				}
			}
			p.f.Restored("test")
			<-time.After(20 * time.Millisecond)
		}
		if got := p.reads() - before; got > 25_600/2+2*256 {
			t.Errorf("%d readings in 0.5s, want 25,600 a second at the most", got)
		}
		pass(time.Second)
		p.expectReads(t, "later", 0, func() { pass(time.Second) })
		for i, h := range all {
			if ended := h.code() != ""; ended != (i < n/2) {
				t.Fatalf("%d ended with %q", i, h.code())
			}
		}
	})
}

// A logout that is reported during a resync does not wait for all of it.
func TestLogoutOvertakesResync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1000
		p, b := newPushed(t, bridge.Options{})
		all := crowd(p, b, n)
		h := hold(b, "anns")
		pass(time.Second)
		p.mu.Lock()
		p.hook = func() { <-time.After(20 * time.Millisecond) } // 1,600 readings a second
		p.mu.Unlock()
		p.f.Lost(errStream)
		p.f.Restored("test")
		pass(100 * time.Millisecond)
		start := time.Now()
		p.change("anns", "", time.Time{})
		<-h.over
		if d := h.ended.Sub(start); d > 250*time.Millisecond {
			t.Errorf("ended after %v", d)
		}
		all[0].mustStay(t)
		pass(10 * time.Second) // until nothing is being read any more
	})
}

// While changes may be missed and the store can be read, logouts are found.
func TestLostButReadable(t *testing.T) {
	tests := map[string]func(*pushed){
		"lost":              func(p *pushed) { p.f.Lost(errStream) },
		"the lease is over": func(p *pushed) { p.silent.Store(true); pass(time.Second) },
	}
	for name, lose := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, b := newPushed(t, bridge.Options{MaxStale: time.Second})
				all := crowd(p, b, 100)
				lose(p)
				pass(10 * time.Second)
				start := time.Now()
				for i := range 50 {
					p.set(strconv.Itoa(i), "", time.Time{})
				}
				pass(4 * time.Second)
				for i, h := range all {
					if ended := h.code() == bridge.CodeSessionEnded; ended != (i < 50) {
						t.Fatalf("%d ended with %q", i, h.code())
					}
					if i < 50 && h.ended.Sub(start) > 2500*time.Millisecond {
						t.Fatalf("ended after %v", h.ended.Sub(start))
					}
				}
				if n := p.readsOf(func() { pass(20 * time.Second) }); n > 11*50+90 {
					t.Errorf("%d readings of 50 sessions in 20s, want one in 2s of each", n)
				}
				p.f.Restored("test")
				p.silent.Store(false)
				pass(time.Second)
				p.expectReads(t, "restored", 0, func() { pass(20 * time.Second) })
			})
		})
	}
}

// A source that has never been restored is as good as lost.
func TestNeverRestored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFeed("s", map[string]bridge.Identity{"anns": {User: "ann", Via: "test"}})
		b, _ := newBridge(t, stubFeeds{p, []bridge.Feed{{Name: "s", Store: "redis", Prefixes: []string{"s:"}, Follow: never}}}, bridge.Options{})
		shutAtEnd(t, b)
		h := hold(b, "anns")
		p.expectReads(t, "a second handshake", 1, func() { leave(hold(b, "anns")) })
		p.set("anns", "", time.Time{})
		start := time.Now()
		<-h.over
		if d := h.ended.Sub(start); h.code() != bridge.CodeSessionEnded || d > 2500*time.Millisecond {
			t.Errorf("ended with %q after %v", h.code(), d)
		}
	})
}

// The store is away: MaxStale after the loss everything ends, and not before.
func TestStoreAway(t *testing.T) {
	lost := func(p *pushed) { p.f.Lost(errStream) }
	mute := func(p *pushed) { p.silent.Store(true) }
	errs := func(p *pushed) { p.fail(errOutage) }
	hangs := func(p *pushed) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.hang = true
	}
	tests := map[string]struct {
		maxStale   time.Duration
		away, lose func(*pushed)
		from, to   time.Duration
	}{
		"errors":              {0, errs, lost, 30 * time.Second, 30500 * time.Millisecond},
		"hangs":               {0, hangs, lost, 30 * time.Second, 30500 * time.Millisecond},
		"errors, lease over":  {0, errs, mute, 30 * time.Second, 32 * time.Second},
		"hangs, lease over":   {0, hangs, mute, 30 * time.Second, 32 * time.Second},
		"none":                {-1, errs, lost, 0, 250 * time.Millisecond},
		"none, and it hangs":  {-1, hangs, lost, 5 * time.Second, 5500 * time.Millisecond},
		"short, and it hangs": {time.Second, hangs, lost, 5 * time.Second, 5500 * time.Millisecond},
		"five minutes":        {5 * time.Minute, errs, lost, 5 * time.Minute, 301 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, b := newPushed(t, bridge.Options{MaxStale: tt.maxStale, Sweep: -1})
				s := inMemory(t, b.Handler(echo)).open("Sid", "bobs")
				s.expect("authenticated bob")
				all := crowd(p, b, 50)
				start := time.Now()
				tt.away(p)
				tt.lose(p)
				for _, h := range all {
					<-h.over
					if d := h.ended.Sub(start); h.code() != bridge.CodeUnavailable || d < tt.from || d > tt.to {
						t.Fatalf("ended with %q after %v, want from %v to %v", h.code(), d, tt.from, tt.to)
					}
				}
				s.expect("deauthenticated unavailable")
				s.closes(1013)
				if h := hold(b, "anns"); h.status != 503 {
					t.Errorf("a new handshake: status %d, want 503", h.status)
				}
			})
		})
	}
}

// Back in time, everybody stays; also when that is during the last probe.
func TestStoreBackInTime(t *testing.T) {
	for _, away := range []time.Duration{0, 5 * time.Second, 27 * time.Second, 29800 * time.Millisecond} {
		for name, hang := range map[string]bool{"errors": false, "hangs": true} {
			t.Run(fmt.Sprint(away, name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p, b := newPushed(t, bridge.Options{})
					all := crowd(p, b, 50)
					set := func(yes bool) {
						p.mu.Lock()
						defer p.mu.Unlock()
						p.hang, p.err = yes && hang, nil
						if yes && !hang {
							p.err = errOutage
						}
					}
					for range 3 {
						set(true)
						p.f.Lost(errStream)
						pass(away)
						p.set("anns", "", time.Time{})
						set(false)
						p.f.Restored("test")
						pass(20 * time.Millisecond)
					}
					set(true)
					p.f.Lost(errStream) // a probe of the time before may still be waiting
					pass(10 * time.Second)
					set(false)
					p.f.Restored("test")
					pass(time.Minute)
					for _, h := range all {
						if c := h.code(); c != "" {
							t.Fatalf("ended with %q", c)
						}
					}
				})
			})
		}
	}
}
