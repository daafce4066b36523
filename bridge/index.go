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
	epoch   uint64             // counts the moments at which what was read may have become doubtful
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
	epoch  uint64    // that cached was read in
	good   time.Time // until when cached may be used; zero for no end
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

// bind registers a life under a session's key.
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
			e.flight.cancel() // nobody waits for it any more, and nobody shall
			e.flight = nil
		}
		x.tidy(e)
	}
}

// tidy forgets an entry that nobody needs. The caller holds x.mu.
func (x *index) tidy(e *entry) {
	if len(e.lives) == 0 && e.cached == nil && e.flight == nil && !e.queued && !e.checking &&
		x.entries[e.key] == e { // not its successor
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
		now := time.Now()
		if !x.sources[n.Feed].coherent(now) {
			x.mu.Unlock()
			return fetch(ctx, n.Key, n.Reload)
		}
		e := x.entry(n)
		if id := e.cached; id != nil && e.epoch == x.epoch && (e.good.IsZero() || now.Before(e.good)) {
			x.cache.MoveToFront(e.place)
			x.mu.Unlock()
			return id, nil
		}
		f := e.flight
		if f == nil {
			var fly func()
			f, fly = x.flight(ctx, e, n.Reload)
			go fly()
		}
		x.mu.Unlock()
		select {
		case <-f.done:
			if !f.dirty {
				return f.id, f.err
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return nil, errRestless
}

// reread returns what the store holds now. What is in the cache, and what is
// being read already, does not count: a change may have been missed that nobody
// knows of. The caller holds x.mu, which is released meanwhile.
func (x *index) reread(e *entry) (*Identity, error) {
	x.drop(e)
	if e.flight != nil {
		e.flight.dirty = true
	}
	f, fly := x.flight(x.b.ctx, e, e.reload)
	x.mu.Unlock()
	fly()
	x.mu.Lock()
	return f.id, f.err
}

// flight returns a reading that others can wait for, and what performs it. It
// does not end with ctx, because of those others. The caller holds x.mu.
func (x *index) flight(ctx context.Context, e *entry, reload func(context.Context) (*Identity, error)) (f *flight, fly func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f = &flight{done: make(chan struct{}), cancel: cancel}
	e.flight = f
	epoch := x.epoch
	return f, func() {
		defer close(f.done)
		f.id, f.err = fetch(ctx, e.key, reload)
		cancel()
		x.mu.Lock()
		defer x.mu.Unlock()
		f.dirty = f.dirty || epoch != x.epoch
		if e.flight != f {
			return
		}
		e.flight = nil
		if !f.dirty && f.err == nil && e.source.coherent(time.Now()) {
			x.keep(e, f.id)
		}
		x.tidy(e)
	}
}

// fetch reads a session from its store. The identity names the session that
// was asked for, as it is the one that is watched.
func fetch(ctx context.Context, key string, reload reloader) (*Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	id, err := authenticate(ctx, reload, nil)
	if err == nil && id.Key != key {
		named := *id
		named.Key = key
		id = &named
	}
	return id, err
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
	e.good = id.Expires
	if sweep := x.sweepOf(e.source); sweep > 0 {
		// Connections are looked at again after this time for the sake of
		// changes that no store reports; so is this.
		if end := time.Now().Add(sweep); e.good.IsZero() || end.Before(e.good) {
			e.good = end
		}
	}
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
