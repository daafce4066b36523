package bridge_test

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// Everything at once, for a second. What is not reported, because the stream is
// lost then, is found when it is restored.
func TestNoConnectionOutlivesItsSession(t *testing.T) {
	t.Parallel()
	const sessions, users = 40, 3
	p, b := newPushed(t, bridge.Options{CacheBytes: 30 << 10})
	var stream struct { // a change is either made while reports are, or before Restored
		sync.RWMutex
		lost bool
	}
	stop := make(chan struct{})
	time.AfterFunc(time.Second, func() { close(stop) })
	var all sync.WaitGroup
	repeat := func(f func(sid string)) {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					f(strconv.Itoa(rand.N(sessions)))
				}
			}
		})
	}
	var mu sync.Mutex
	var live []*held
	for range 3 {
		repeat(func(sid string) {
			h := hold(b, sid)
			if h.ctx == nil {
				return
			}
			if rand.N(2) == 0 {
				leave(h)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if len(live) < 500 {
				live = append(live, h)
				return
			}
			i := rand.N(len(live))
			leave(live[i])
			live[i] = h
		})
	}
	for range 2 {
		repeat(func(sid string) {
			user := ""
			if n := rand.N(users + 1); n > 0 {
				user = sid + "/" + strconv.Itoa(n)
			}
			stream.RLock()
			defer stream.RUnlock()
			p.set(sid, user, time.Time{})
			if !stream.lost {
				p.f.Changed([]string{p.key(sid)})
			}
		})
	}
	repeat(func(string) {
		stream.Lock()
		stream.lost = !stream.lost
		if stream.lost {
			p.f.Lost(errStream)
		} else {
			p.f.Restored("test")
		}
		stream.Unlock()
		<-time.After(3 * time.Millisecond)
	})
	all.Wait()
	stream.Lock()
	p.f.Restored("test")
	stream.Unlock()

	wrong := func() (n int) {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, h := range live {
			if h.ctx.Err() != nil {
				continue
			}
			id, _ := bridge.FromContext(h.ctx)
			if sid := id.Key[len("s/s:"):]; p.sessions[sid].User != id.User {
				n++
			}
		}
		return n
	}
	for deadline := time.Now().Add(realPatience); wrong() > 0; {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are not their session's user", wrong())
		}
		<-time.After(5 * time.Millisecond)
	}
	// Nobody is there but those who may be.
	there := 0
	for _, h := range live {
		if h.ctx.Err() == nil {
			there++
		} else if c := endCode(h.ctx); c != bridge.CodeSessionEnded && c != bridge.CodeUserChanged && c != "" {
			t.Errorf("ended with %q", c)
		}
	}
	t.Logf("%d of %d stay, after %d readings", there, len(live), p.reads())
}
