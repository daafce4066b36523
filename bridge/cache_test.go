package bridge_test

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
)

func TestCache(t *testing.T) {
	tests := map[string]struct {
		o      bridge.Options
		before func(*pushed)
		reads  int // of the second handshake
	}{
		"nothing happened":   {bridge.Options{}, func(*pushed) {}, 0},
		"hours later":        {bridge.Options{Sweep: -1}, func(*pushed) { pass(5 * time.Hour) }, 0},
		"older than a sweep": {bridge.Options{}, func(*pushed) { pass(5 * time.Minute) }, 1},
		"another changed":    {bridge.Options{}, func(p *pushed) { p.change("bobs", "", time.Time{}) }, 0},
		"changed":            {bridge.Options{}, func(p *pushed) { p.change("anns", "ann", time.Time{}) }, 1},
		"lost":               {bridge.Options{}, func(p *pushed) { p.f.Lost(errStream) }, 1},
		"lost and restored":  {bridge.Options{}, func(p *pushed) { p.f.Lost(errStream); p.f.Restored("test") }, 1},
		"alive though lost": {bridge.Options{}, func(p *pushed) {
			p.f.Lost(errStream)
			p.f.Alive(time.Now().Add(time.Hour))
		}, 1},
		"lease over": {bridge.Options{}, func(p *pushed) { p.silent.Store(true); pass(1001 * time.Millisecond) }, 1},
		"lease over and renewed": {bridge.Options{}, func(p *pushed) {
			p.silent.Store(true)
			pass(1500 * time.Millisecond)
			p.f.Alive(time.Now().Add(time.Second))
		}, 0},
		"no cache":  {bridge.Options{CacheBytes: -1}, func(*pushed) {}, 1},
		"too small": {bridge.Options{CacheBytes: 4096}, func(*pushed) {}, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, b := newPushed(t, tt.o)
				p.expectReads(t, "first", 1, func() { leave(hold(b, "anns")) })
				tt.before(p)
				p.expectReads(t, "second", tt.reads, func() {
					h := hold(b, "anns")
					if h.user() != "ann" {
						t.Errorf("user %q", h.user())
					}
					leave(h)
				})
			})
		})
	}
}

// leave ends a request by its client.
func leave(h *held) {
	h.leave()
	<-h.over
}

// After a loss the store is asked each time, until the stream is back.
func TestCacheComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, b := newPushed(t, bridge.Options{})
		leave(hold(b, "anns"))
		p.f.Lost(errStream)
		p.expectReads(t, "while it is lost", 2, func() { leave(hold(b, "anns")); leave(hold(b, "anns")) })
		p.set("anns", "bob", time.Time{}) // unreported
		p.f.Restored("test")
		p.expectReads(t, "restored", 1, func() {
			for range 2 {
				if h := hold(b, "anns"); h.user() != "bob" {
					t.Errorf("user %q of before the loss", h.user())
				}
			}
		})
	})
}

func TestCachedIdentityExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, b := newPushed(t, bridge.Options{})
		p.set("anns", "ann", time.Now().Add(time.Minute))
		leave(hold(b, "anns"))
		pass(time.Minute - time.Millisecond)
		p.expectReads(t, "before its end", 0, func() { leave(hold(b, "anns")) })
		pass(time.Millisecond)
		if h := hold(b, "anns"); h.status != http.StatusUnauthorized {
			t.Errorf("status %d after its end, want 401", h.status)
		}
	})
}

// What ends a connection is not left for the next handshake.
func TestSweepIgnoresTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, b := newPushed(t, bridge.Options{Sweep: time.Minute})
		h := hold(b, "anns")
		p.set("anns", "", time.Time{}) // unreported
		pass(30 * time.Second)
		leave(hold(b, "anns")) // by the cache
		start := time.Now()
		<-h.over
		if d := h.ended.Sub(start); h.code() != bridge.CodeSessionEnded || d > 30*time.Second {
			t.Errorf("ended with %q after %v", h.code(), d)
		}
		if h := hold(b, "anns"); h.status != http.StatusUnauthorized {
			t.Error("the identity is still in the cache")
		}
	})
}

func TestCacheIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size, all = 1000, 100
		const cost = size*4 + 1024 + 10 // and a key of fewer bytes
		p, b := newPushed(t, bridge.Options{CacheBytes: 20 * cost})
		for i := range all {
			sid := strconv.Itoa(i)
			p.sessions[sid] = bridge.Identity{User: sid, Via: "test", Size: size}
		}
		p.sessions["large"] = bridge.Identity{User: "large", Via: "test", Size: size * 3}
		for i := range all {
			leave(hold(b, strconv.Itoa(i)))
		}
		kept := 0
		for i := all - 1; i >= 0; i-- { // newest first, so that none is evicted before it is counted
			kept += 1 - p.readsOf(func() { leave(hold(b, strconv.Itoa(i))) })
		}
		if kept != 20 {
			t.Errorf("%d sessions were kept, want 20", kept)
		}
		// Now those from 19 to 0 are there, the first of them the oldest.
		p.expectReads(t, "the oldest", 0, func() { leave(hold(b, "19")) })
		p.expectReads(t, "one too large", 2, func() { leave(hold(b, "large")); leave(hold(b, "large")) })
		p.expectReads(t, "another", 1, func() { leave(hold(b, "50")) })
		p.expectReads(t, "the one that was used", 0, func() { leave(hold(b, "19")) })
		p.expectReads(t, "the one that was not", 1, func() { leave(hold(b, "18")) })
	})
}

func TestSingleFlight(t *testing.T) {
	tests := map[string]struct {
		end   func(*pushed) // of the reading
		reads int
		again int // readings of the next handshake
		want  any
	}{
		"a session":      {func(*pushed) {}, 1, 0, "ann"},
		"an outage":      {func(p *pushed) { p.fail(errOutage) }, 1, 1, 503},
		"gone":           {func(p *pushed) { p.set("anns", "", time.Time{}) }, 1, 1, 401},
		"changed":        {func(p *pushed) { p.f.Changed([]string{"s:anns"}) }, 2, 0, "ann"},
		"lost meanwhile": {func(p *pushed) { p.f.Lost(errStream) }, 1 + 50 + 50, 1, "ann"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, b := newPushed(t, bridge.Options{})
				if name == "an outage" || name == "gone" {
					tt.end(p)
				}
				gate := make(chan struct{})
				p.hook = func() { <-gate }
				outcome := func() any {
					h := hold(b, "anns")
					if h.ctx == nil {
						return h.status
					}
					return h.user()
				}
				results := make(chan any, 50)
				p.expectReads(t, "all", tt.reads, func() {
					for range cap(results) {
						go func() { results <- outcome() }()
					}
					synctest.Wait()
					if name != "an outage" && name != "gone" {
						tt.end(p)
						synctest.Wait()
					}
					close(gate)
				})
				for range cap(results) {
					if got := <-results; got != tt.want {
						t.Fatalf("%v, want %v", got, tt.want)
					}
				}
				p.expectReads(t, "the next", tt.again, func() { _ = outcome() })
			})
		})
	}
}

// A handshake does not wait for a reading longer than it may, nor shares the
// fate of the one that began it.
func TestImpatientHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, b := newPushed(t, bridge.Options{AuthTimeout: time.Second})
		hangs := func(hangs bool) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.gate = nil
			if hangs {
				p.gate = make(chan struct{})
			}
		}
		hangs(true)
		start := time.Now()
		first := make(chan *held)
		go func() { first <- hold(b, "anns") }()
		<-time.After(800 * time.Millisecond)
		hangs(false)
		second := hold(b, "anns")
		if h := <-first; h.status != http.StatusServiceUnavailable {
			t.Errorf("status %d of the first, want 503", h.status)
		}
		if d := time.Since(start); second.ctx == nil || d != time.Second {
			t.Errorf("the second ended with %d after %v, want by a reading of its own once the first gives up", second.status, d)
		}
	})
}

// A page that is loaded anew: the old socket goes while its session is being
// looked at, and the new one comes.
func TestReconnectDuringALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, b := newPushed(t, bridge.Options{})
		old := hold(b, "anns")
		gate := make(chan struct{})
		p.mu.Lock()
		p.gate = gate
		p.mu.Unlock()
		p.f.Changed([]string{"s:anns"})
		synctest.Wait() // it is being read
		leave(old)
		p.mu.Lock()
		p.gate = nil
		p.mu.Unlock()
		h := hold(b, "anns")
		if h.ctx == nil {
			t.Fatalf("refused with %d", h.status)
		}
		close(gate)
		pass(time.Minute)
		h.mustStay(t)
		p.change("anns", "", time.Time{})
		synctest.Wait()
		if h.code() != bridge.CodeSessionEnded {
			t.Error("outlived its session")
		}
	})
}

// Many sessions at once: nobody is given another's.
func TestCacheMixesNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, b := newPushed(t, bridge.Options{CacheBytes: 64 << 10}) // evicts all the time
		for i := range 200 {
			p.set(fmt.Sprint("s", i), fmt.Sprint("u", i), time.Time{})
		}
		var all sync.WaitGroup
		for i := range 500 {
			all.Go(func() {
				h := hold(b, fmt.Sprint("s", i*7%200))
				if got, want := h.user(), fmt.Sprint("u", i*7%200); got != want {
					t.Errorf("user %s, want %s", got, want)
				}
				leave(h)
			})
		}
		all.Wait()
	})
}
