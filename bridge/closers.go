package bridge

import "sync"

// maxClosers is how many connections are closed at once. A peer that does not
// read keeps one of them busy for closeGrace.
const maxClosers = 256

// closers tell connections that they end, in a bounded number of goroutines
// that are there only while there is something to close.
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
		f()
		c.mu.Lock()
	}
	c.queue = nil
	c.workers--
}
