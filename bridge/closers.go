package bridge

import (
	"sync"
	"time"
)

const (
	// maxClosers is how many connections are closed at once, and maxRelieved
	// how many more may be busy with peers that do not read.
	maxClosers  = 256
	maxRelieved = 4096
	// maxTouchers is how many sessions are kept alive at once.
	maxTouchers = 32
	// closerPatience is how soon another takes the place of a closer whose
	// peer does not read, which keeps it busy for closeGrace.
	closerPatience = 20 * time.Millisecond
)

// closers do what may wait for a peer that does not read, or for a store: tell
// connections that they end, say. They are a bounded number of goroutines that
// are there only while there is something to do.
type closers struct {
	max, relieved int // goroutines at work, and all of them
	log           func(text string, panicked any)

	mu      sync.Mutex
	queue   []func()
	workers int
	all     int
}

func (c *closers) add(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, f)
	if c.workers < c.max && c.all < c.relieved {
		c.workers++
		c.all++
		go c.work()
	}
}

// work does what is queued. One that takes long for one thing is relieved:
// another goes on in its place.
func (c *closers) work() {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() { c.all-- }()
	for len(c.queue) > 0 {
		f := c.queue[0]
		c.queue = c.queue[1:]
		done, relieved := false, false
		relief := time.AfterFunc(closerPatience, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			if done {
				return
			}
			relieved = true
			c.workers--
			if len(c.queue) > 0 && c.all < c.relieved {
				c.workers++
				c.all++
				go c.work()
			}
		})
		c.mu.Unlock()
		c.do(f)
		c.mu.Lock()
		done = true
		if relief.Stop(); relieved {
			if len(c.queue) > 0 && c.workers < c.max {
				c.workers++ // nobody could be spared before
				continue
			}
			return
		}
	}
	c.queue = nil
	c.workers--
}

// do calls f, whose panic is its own.
func (c *closers) do(f func()) {
	defer func() {
		if v := recover(); v != nil {
			c.log("what a connection's end calls panicked", v)
		}
	}()
	f()
}
