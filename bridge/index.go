package bridge

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"
)

// index finds the connections of a session, and all of them. It also holds
// the identities of sessions that were read and have not changed since.
type index struct {
	b *Bridge

	mu      sync.Mutex
	lives   map[*life]struct{}
	entries map[string]*entry
	sources map[string]*source // by the feed's name
	epoch   uint64             // counts the moments at which changes may have been missed
	empty   chan struct{}      // closed when draining and the last life is gone

	cache     list.List // of *entry, the latest used in front
	cacheSize int64

	queue   []string // keys that are to be looked at again
	workers int
}

// entry is one session that connections are bound to or that is in the cache.
type entry struct {
	key    string
	source *source // nil: its store reports no changes
	lives  map[*life]struct{}
	reload func(context.Context) (*Identity, error)

	flight *flight // the reading that is under way

	queued   bool      // a check waits in the queue, or for its time
	checking bool      // a worker has it
	again    bool      // it changed while the worker had it
	checked  time.Time // when the last check began

	cached *Identity
	epoch  uint64
	place  *list.Element
	cost   int64
}

// flight is a reading that several handshakes wait for.
type flight struct {
	done   chan struct{}
	cancel context.CancelFunc
	dirty  bool // the session changed meanwhile
	id     *Identity
	err    error
}

func newIndex(b *Bridge) *index {
	return &index{b: b, lives: map[*life]struct{}{}, entries: map[string]*entry{}, sources: map[string]*source{}}
}

// add registers a life; it reports false once the service drains.
func (x *index) add(l *life) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.empty != nil {
		return false
	}
	x.lives[l] = struct{}{}
	return true
}

func (x *index) remove(l *life) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, ok := x.lives[l]; !ok {
		return
	}
	delete(x.lives, l)
	if x.empty != nil && len(x.lives) == 0 {
		close(x.empty)
	}
}

// bind registers a life under a session's key and returns the epoch that its
// reading begins in.
func (x *index) bind(n Binding, l *life) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.entry(n)
	e.lives[l] = struct{}{}
}

// entry returns the entry of a key. The caller holds x.mu.
func (x *index) entry(n Binding) *entry {
	e := x.entries[n.Key]
	if e == nil {
		e = &entry{key: n.Key, source: x.sources[n.Feed], lives: map[*life]struct{}{}}
		x.entries[n.Key] = e
	}
	if e.reload == nil {
		e.reload = n.Reload
	}
	return e
}

func (x *index) unbind(key string, l *life) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e := x.entries[key]; e != nil {
		delete(e.lives, l)
		if e.flight != nil && len(e.lives) == 0 {
			e.flight.cancel() // nobody waits for it any more
		}
		x.tidy(e)
	}
}

// tidy forgets an entry that nobody needs. The caller holds x.mu.
func (x *index) tidy(e *entry) {
	if len(e.lives) == 0 && e.cached == nil && e.flight == nil && !e.queued && !e.checking {
		delete(x.entries, e.key)
	}
}

// currentEpoch tells how often changes may have been missed.
func (x *index) currentEpoch() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.epoch
}

// drain lets nobody in any more. It returns those who are in, and a channel
// that is closed when they are gone.
func (x *index) drain() (left []*life, gone <-chan struct{}) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.empty == nil {
		x.empty = make(chan struct{})
		if len(x.lives) == 0 {
			close(x.empty)
		}
	}
	left = make([]*life, 0, len(x.lives))
	for l := range x.lives {
		left = append(left, l)
	}
	return left, x.empty
}

const (
	// maxReads is how often a session is read until it was not changed
	// meanwhile. An application does not write one session so often.
	maxReads = 8
	// identityOverhead is what an identity and its place in the cache take
	// beside the session's own bytes, and decodedFactor how many times the
	// latter once they are decoded. Both are on the safe side.
	identityOverhead = 1024
	decodedFactor    = 4
)

var errRestless = errors.New("the session changed each time it was read")

// read returns the identity of a session: the one in the cache if it is known
// to be what the store holds, else that which the store holds now.
func (x *index) read(ctx context.Context, n Binding) (*Identity, error) {
	for range maxReads {
		x.mu.Lock()
		e := x.entry(n)
		coherent := e.source.coherent(time.Now())
		if id := e.cached; id != nil && coherent && e.epoch == x.epoch && !id.expired(time.Now()) {
			x.cache.MoveToFront(e.place)
			x.mu.Unlock()
			return id, nil
		}
		if f := e.flight; f != nil && coherent {
			x.mu.Unlock()
			select {
			case <-f.done:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
			if !f.dirty {
				return f.id, f.err
			}
			continue
		}
		f := &flight{done: make(chan struct{})}
		readCtx := ctx
		if e.flight == nil {
			e.flight = f
			readCtx = context.WithoutCancel(ctx) // others may come to wait for it
		}
		readCtx, f.cancel = context.WithTimeout(readCtx, reloadTimeout)
		epoch := x.epoch
		x.mu.Unlock()

		f.id, f.err = authenticate(readCtx, reloader(n.Reload), nil)
		f.cancel()

		x.mu.Lock()
		shared := e.flight == f
		if shared {
			e.flight = nil
		}
		if epoch != x.epoch {
			f.dirty = true
		}
		if shared && !f.dirty && f.err == nil && e.source.coherent(time.Now()) {
			x.keep(e, f.id)
		}
		x.tidy(e)
		dirty := f.dirty
		x.mu.Unlock()
		close(f.done)
		if !dirty {
			return f.id, f.err
		}
	}
	return nil, errRestless
}

// keep puts an identity into the cache. The caller holds x.mu.
func (x *index) keep(e *entry, id *Identity) {
	x.drop(e)
	limit := x.b.opts.CacheBytes
	e.cost = int64(id.Size)*decodedFactor + int64(len(e.key)) + identityOverhead
	if e.cost > limit/8 {
		return // one large session is not worth many small ones
	}
	e.cached, e.epoch = id, x.epoch
	e.place = x.cache.PushFront(e)
	x.cacheSize += e.cost
	for x.cacheSize > limit {
		last := x.cache.Back().Value.(*entry)
		x.drop(last)
		x.tidy(last)
	}
}

// drop takes an identity out of the cache. The caller holds x.mu.
func (x *index) drop(e *entry) {
	if e.cached != nil {
		x.cache.Remove(e.place)
		x.cacheSize -= e.cost
		e.cached, e.place = nil, nil
	}
}
