package jwtmode

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// answers are what a server has said about tokens, or is being asked. A token
// is known by its hash only.
type answers struct {
	limit int64 // of size

	mu   sync.Mutex
	m    map[[32]byte]*answer
	lru  list.List // of *answer, the latest used in front; those that are known
	size int64
}

// answer is about one token.
type answer struct {
	name  [32]byte
	done  chan struct{} // closed when what follows is known
	id    *bridge.Identity
	err   error
	until time.Time // the answer holds; zero: only for those who wait for it
	size  int64
	place *list.Element
}

func digest(raw string) [32]byte { return sha256.Sum256([]byte(raw)) }

const (
	answerOverhead = 1024
	// answerFactor is how many times its text an answer takes once decoded, on
	// the safe side.
	answerFactor = 4
)

// holds reports whether the answer is good for one who comes now. It must be
// done.
func (a *answer) holds(now time.Time) bool { return now.Before(a.until) }

// get returns the answer about a token. If mine, nobody knows it or has asked,
// and the caller must see to it that put is called.
func (c *answers) get(name [32]byte) (a *answer, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.m[name]; a != nil {
		select {
		case <-a.done:
			if a.holds(time.Now()) {
				c.lru.MoveToFront(a.place)
				return a, false
			}
			c.drop(a)
		default:
			return a, false
		}
	}
	if c.m == nil {
		c.m = map[[32]byte]*answer{}
	}
	a = &answer{name: name, done: make(chan struct{})}
	c.m[name] = a
	return a, true
}

// put makes an answer known, and keeps it if it holds and there is room.
func (c *answers) put(a *answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(a.done)
	a.size = answerOverhead + answerFactor*a.size
	if a.until.IsZero() || a.size > c.limit {
		delete(c.m, a.name)
		return
	}
	a.place = c.lru.PushFront(a)
	c.size += a.size
	for c.size > c.limit {
		c.drop(c.lru.Back().Value.(*answer))
	}
}

// drop forgets an answer. The caller holds c.mu.
func (c *answers) drop(a *answer) {
	c.lru.Remove(a.place)
	c.size -= a.size
	delete(c.m, a.name)
}
