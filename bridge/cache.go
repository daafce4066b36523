package bridge

import (
	"container/list"
	"context"
	"errors"
	"time"
)

// cache holds identities, the latest used in front.
type cache struct {
	list list.List // of *entry
	size int64
}

// cached is an identity in the cache.
type cached struct {
	identity *Identity
	epoch    uint32    // of the source when it was read
	good     time.Time // until when it may be used; zero for no end
	place    *list.Element
	cost     int64
}

// flight is a reading that several handshakes wait for.
type flight struct {
	done   chan struct{}
	cancel context.CancelFunc
	dirty  bool // the session changed meanwhile
	given  bool // it was given up
	id     *Identity
	err    error
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
func (x *index) read(ctx context.Context, n *Binding) (*Identity, error) {
	if id := x.lookup(n); id != nil {
		if x.b.opts.Observe != nil {
			x.b.opts.Observe(ctx, Event{Kind: EventCacheHit, Via: id.Via})
		}
		return id, nil
	}
	return x.readThrough(ctx, n)
}

// lookup returns the identity in the cache; nil if there is none that may be
// used.
func (x *index) lookup(n *Binding) *Identity {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.entries[n.Key]
	if e == nil || e.cached == nil || e.cached.epoch != e.source.epoch {
		return nil
	}
	now := time.Now()
	if !e.source.coherent(now) || !e.cached.good.IsZero() && !now.Before(e.cached.good) {
		return nil
	}
	x.cache.list.MoveToFront(e.cached.place)
	return e.cached.identity
}

// readThrough reads a session, or waits for somebody who does. It is a
// function of its own to keep read's stack small.
//
//go:noinline
func (x *index) readThrough(ctx context.Context, n *Binding) (*Identity, error) {
	for range maxReads {
		x.mu.Lock()
		now := time.Now()
		if !x.sources[n.Feed].coherent(now) {
			x.mu.Unlock()
			return x.fetch(ctx, n.Key, n.Reload)
		}
		e := x.entry(n)
		if c := e.cached; c != nil && c.epoch == e.source.epoch && (c.good.IsZero() || now.Before(c.good)) {
			x.mu.Unlock()
			return c.identity, nil // somebody was faster
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
func (x *index) reread(e *entry) *flight {
	x.drop(e)
	if e.flight != nil {
		e.flight.dirty = true
	}
	f, fly := x.flight(x.b.ctx, e, e.reload)
	x.mu.Unlock()
	fly()
	x.mu.Lock()
	return f
}

// flight returns a reading that others can wait for, and what performs it. It
// does not end with ctx, because of those others. The caller holds x.mu.
func (x *index) flight(ctx context.Context, e *entry, reload reloader) (f *flight, fly func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f = &flight{done: make(chan struct{}), cancel: cancel}
	e.flight = f
	epoch := e.source.currentEpoch()
	return f, func() {
		defer close(f.done)
		f.id, f.err = x.fetch(ctx, e.key, reload)
		cancel()
		x.mu.Lock()
		defer x.mu.Unlock()
		f.dirty = f.dirty || epoch != e.source.currentEpoch()
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
func (x *index) fetch(ctx context.Context, key string, reload reloader) (*Identity, error) {
	if x.b.opts.Observe != nil {
		return x.fetchObserved(ctx, key, reload)
	}
	bounded := newDeadline(ctx, reloadTimeout)
	defer bounded.cancel()
	id, err := authenticate(bounded, reload, nil)
	if err == nil && id.Key != key {
		id = id.named(key)
	}
	return id, err
}

// named returns the identity under another key.
func (id *Identity) named(key string) *Identity {
	named := *id
	named.Key = key
	return &named
}

// fetchObserved is fetch with its two events.
//
//go:noinline
func (x *index) fetchObserved(ctx context.Context, key string, reload reloader) (*Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	began := time.Now()
	ctx = x.b.opts.Observe(ctx, Event{Kind: EventLookupBegin})
	id, err := authenticate(ctx, reload, nil)
	if err == nil && id.Key != key {
		id = id.named(key)
	}
	x.b.opts.Observe(ctx, lookupEvent(id, err, time.Since(began)))
	return id, err
}

// keep puts an identity into the cache. The caller holds x.mu.
func (x *index) keep(e *entry, id *Identity) {
	x.drop(e)
	limit := x.b.opts.CacheBytes
	c := &cached{identity: id, epoch: e.source.epoch, good: id.Expires,
		cost: int64(id.Size)*decodedFactor + int64(len(e.key)) + identityOverhead}
	if c.cost > limit/8 {
		return // one large session is not worth many small ones
	}
	if sweep := x.sweepOf(e); sweep > 0 {
		// Connections are looked at again after this time for the sake of
		// changes that no store reports; so is this.
		if end := time.Now().Add(sweep); c.good.IsZero() || end.Before(c.good) {
			c.good = end
		}
	}
	e.cached = c
	c.place = x.cache.list.PushFront(e)
	x.cache.size += c.cost
	for x.cache.size > limit {
		last := x.cache.list.Back().Value.(*entry)
		x.drop(last)
		x.tidy(last)
	}
}

// drop takes an identity out of the cache. The caller holds x.mu.
func (x *index) drop(e *entry) {
	if e.cached != nil {
		x.cache.list.Remove(e.cached.place)
		x.cache.size -= e.cached.cost
		e.cached = nil
	}
}
