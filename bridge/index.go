package bridge

import (
	"context"
	"sync"
	"time"
)

// index finds the connections of a session, and all of them. It also holds
// the identities of sessions that were read and have not changed since; see
// cache.go. A connection with a session of its own costs it less than 250
// bytes, the session's key included.
type index struct {
	b *Bridge

	mu      sync.Mutex
	lives   *life // the head of a list
	count   int
	entries map[string]*entry
	aliases map[string][]*entry // by their sessions' further keys
	sources map[string]*source  // by the feed's name
	empty   chan struct{}       // closed when draining and the last life is gone

	cache cache

	queue   []string // keys that are to be looked at again
	workers int
	changes map[string]time.Time // when a change was reported, for an observer
}

// entry is one session that connections are bound to or that is in the cache.
type entry struct {
	key     string
	source  *source // nil: its store reports no changes
	members *membership
	reload  reloader
	extras  *extras // nil if it has none

	flight *flight // the reading that is under way

	cached       *Identity     // what has been read; nil if it may not be used again
	newer, older *entry        // in the cache
	good         time.Duration // until when it may be used, by Bridge.clock; 0 for no end
	epoch        uint32        // of the source when it was read

	queued   bool          // a check waits in the queue, or for its time
	checking bool          // a worker has it
	again    bool          // it changed while the worker had it
	checked  time.Duration // when the last check began, by Bridge.clock
}

// extras are what few sessions have.
type extras struct {
	aliases []string
	every   time.Duration
	touch   func(context.Context) error
	touched time.Time
}

// membership is one life's place in one session's entry.
type membership struct {
	life       *life
	entry      *entry
	prev, next *membership // of the same entry
	sibling    *membership // of the same life; guarded by life.mu
	epoch      uint32      // of the source when the life began to read
	dirty      bool        // the session changed since
}

func newIndex(b *Bridge) *index {
	return &index{b: b, entries: map[string]*entry{}, aliases: map[string][]*entry{}, sources: map[string]*source{}, changes: map[string]time.Time{}}
}

// add registers a life; it reports false once the service drains.
func (x *index) add(l *life) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.empty != nil {
		return false
	}
	l.next = x.lives
	if x.lives != nil {
		x.lives.prev = l
	}
	x.lives = l
	x.count++
	l.listed = true
	return true
}

func (x *index) remove(l *life) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !l.listed {
		return
	}
	l.listed = false
	if l.next != nil {
		l.next.prev = l.prev
	}
	if l.prev != nil {
		l.prev.next = l.next
	} else {
		x.lives = l.next
	}
	l.prev, l.next = nil, nil
	x.count--
	if x.empty != nil && x.count == 0 {
		close(x.empty)
	}
}

// all returns the lives that are registered.
func (x *index) all() []*life {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.allLocked()
}

// allLocked is all for a caller that holds x.mu.
func (x *index) allLocked() []*life {
	all := make([]*life, 0, x.count)
	for l := x.lives; l != nil; l = l.next {
		all = append(all, l)
	}
	return all
}

// drain lets nobody in any more. It returns those who are in, and a channel
// that is closed when they are gone.
func (x *index) drain() (left []*life, gone <-chan struct{}) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.empty == nil {
		x.empty = make(chan struct{})
		if x.count == 0 {
			close(x.empty)
		}
	}
	return x.allLocked(), x.empty
}

// bind registers a life under a session's key. It also returns the identity in
// the cache; nil if there is none that may be used.
func (x *index) bind(n *Binding, l *life) (m *membership, cached *Identity) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.entry(n)
	m = &membership{life: l, entry: e, next: e.members, epoch: e.source.currentEpoch()}
	if e.members != nil {
		e.members.prev = m
	}
	e.members = m
	return m, x.use(e)
}

// entry returns the entry of a key. The caller holds x.mu.
func (x *index) entry(n *Binding) *entry {
	e := x.entries[n.Key]
	if e == nil {
		e = &entry{key: n.Key, source: x.sources[n.Feed], checked: -checkInterval}
		x.entries[n.Key] = e
	}
	if e.reload == nil {
		e.reload = n.Reload
	}
	touchable := n.Touch != nil && x.b.opts.Touch > 0
	if e.extras == nil && (len(n.Aliases) > 0 || n.Every > 0 || touchable) {
		e.extras = &extras{}
	}
	if e.extras != nil && len(e.extras.aliases) == 0 {
		x.alias(e, n.Aliases)
	}
	if n.Every > 0 && (e.extras.every == 0 || n.Every < e.extras.every) {
		e.extras.every = n.Every
	}
	if touchable && e.extras.touch == nil {
		e.extras.touch = n.Touch
	}
	return e
}

func (x *index) unbind(m *membership) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := m.entry
	if m.next != nil {
		m.next.prev = m.prev
	}
	if m.prev != nil {
		m.prev.next = m.next
	} else {
		e.members = m.next
	}
	if e.flight != nil && e.members == nil {
		e.flight.abandon() // nobody waits for it any more, and nobody shall
		e.flight = nil
	}
	x.tidy(e)
}

// tidy forgets an entry that nobody needs. The caller holds x.mu.
func (x *index) tidy(e *entry) {
	if e.members != nil || e.cached != nil || e.flight != nil || e.queued || e.checking ||
		x.entries[e.key] != e { // that is its successor
		return
	}
	delete(x.entries, e.key)
	delete(x.changes, e.key)
	if e.extras == nil {
		return
	}
	for _, alias := range e.extras.aliases {
		x.unalias(alias, e)
	}
}

func (x *index) alias(e *entry, aliases []string) {
	e.extras.aliases = aliases
	for _, alias := range aliases {
		x.aliases[alias] = append(x.aliases[alias], e)
	}
}

func (x *index) unalias(alias string, e *entry) {
	var rest []*entry
	for _, other := range x.aliases[alias] {
		if other != e {
			rest = append(rest, other)
		}
	}
	if len(rest) == 0 {
		delete(x.aliases, alias)
	} else {
		x.aliases[alias] = rest
	}
}

// renew has the memberships count as of now: what is read from here on is
// judged by the changes from here on.
func (x *index) renew(first *membership) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for m := first; m != nil; m = m.sibling {
		m.dirty, m.epoch = false, m.entry.source.currentEpoch()
	}
}

// clean reports whether nothing has changed since the last renew, as far as is
// known, and nothing can have been missed.
func (x *index) clean(m *membership) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return !m.dirty && m.epoch == m.entry.source.currentEpoch()
}

// lives returns the lives that are bound to an entry. The caller holds x.mu.
func (e *entry) lives() []*life {
	var lives []*life
	for m := e.members; m != nil; m = m.next {
		lives = append(lives, m.life)
	}
	return lives
}

// sweep is how often a session is read although no change was reported; 0 for
// never.
func (x *index) sweep(m *membership) time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.sweepOf(m.entry)
}

// sweepOf is the same for a caller that holds x.mu.
func (x *index) sweepOf(e *entry) time.Duration {
	if e.reload == nil {
		return 0
	}
	sweep := x.b.opts.Sweep
	switch {
	case sweep < 0:
		sweep = 0
	case sweep > 0:
	case e.source != nil && e.source.pushes:
		sweep = sweepWithPush
	default:
		sweep = sweepWithoutPush
	}
	if e.extras != nil && e.extras.every > 0 && (sweep == 0 || e.extras.every < sweep) {
		sweep = e.extras.every
	}
	return sweep
}

// reloads reports whether a session can be read again.
func (x *index) reloads(m *membership) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return m.entry.reload != nil
}

// touches reports whether a session can be kept alive and it is time to.
func (x *index) touches(key string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.toTouch(key) != nil
}

// touch returns how to keep a session alive, if it can be and it is time to.
func (x *index) touch(key string) func(context.Context) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.toTouch(key)
	if e == nil {
		return nil
	}
	e.touched = time.Now()
	return e.touch
}

// toTouch returns how a session is kept alive; nil if it cannot be, or it is
// not time to. The caller holds x.mu.
func (x *index) toTouch(key string) *extras {
	e := x.entries[key]
	if e == nil || e.extras == nil || e.extras.touch == nil || time.Since(e.extras.touched) < x.b.opts.Touch {
		return nil
	}
	return e.extras
}
