package bridge

import (
	"sync"
	"time"
)

const (
	// maxClosers is how many connections are closed at once.
	maxClosers = 256
	// closerPatience is how soon another takes the place of a closer whose
	// peer does not read, which keeps it busy for closeGrace.
	closerPatience = 20 * time.Millisecond
)

// closers do what may wait for a peer that does not read, or for a store: tell
// connections that they end, say. They are a bounded number of goroutines that
// are there only while there is something to do.
type closers struct {
	mu      sync.Mutex
	queue   []func()
	workers int
}

func (c *closers) add(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, f)
	if c.workers < maxClosers {
		c.workers++
		go c.work()
	}
}

func (c *closers) work() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) > 0 {
		f := c.queue[0]
		c.queue = c.queue[1:]
		c.mu.Unlock()
		relief := time.AfterFunc(closerPatience, c.work)
		f()
		relieved := !relief.Stop()
		c.mu.Lock()
		if relieved {
			return // another has this one's place
		}
	}
	c.queue = nil
	c.workers--
}
