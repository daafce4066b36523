package bridge

import (
	"cmp"
	"context"
	"errors"
	"time"
)

// cache is the entries whose identities may be used again, in the order of
// their use.
type cache struct {
	newest, oldest *entry
	size           int64
}

// flight is a reading that several handshakes wait for. One of them performs
// it, or a worker that looks at the session again.
type flight struct {
	done   chan struct{}      // nil as long as nobody waits
	cancel context.CancelFunc // of a worker's; else nil
	whose  *deadline          // of the handshake that performs it; nil if unknown
	epoch  uint32             // of the source when it began
	void   bool               // what it brings does not count
	given  bool               // it was given up
	id     *Identity
	err    error
}

const (
	// maxReads is how often a session is read until it was not changed
	// meanwhile. An application does not write one session so often.
	maxReads = 8
	// identityOverhead is what an identity and its place in the cache take
	// beside the session's own bytes, and decodedFactor how many times the
	// latter once they are decoded: estimates, high for what most sessions hold.
	identityOverhead = 1024
	decodedFactor    = 4
)

var errRestless = errors.New("the session changed each time it was read")

// read returns the identity of a session: the one in the cache if there is one
// that may be used, else that which the store holds now.
func (x *index) read(ctx context.Context, n *Binding, cached *Identity) (*Identity, error) {
	if cached == nil {
		return x.readThrough(ctx, n)
	}
	if x.b.opts.Observe != nil {
		x.observeHit(ctx, cached)
	}
	return cached, nil
}

// observeHit has it observed that an identity in the cache is used. An event is
// large, and need not be on the stack of all that is read.
//
//go:noinline
func (x *index) observeHit(ctx context.Context, id *Identity) {
	x.b.opts.Observe(ctx, Event{Kind: EventCacheHit, Via: id.Via})
}

// lookup returns the identity in the cache; nil if there is none that may be
// used.
func (x *index) lookup(key string) *Identity {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e := x.entries[key]; e != nil {
		return x.use(e)
	}
	return nil
}

// use returns the identity that an entry has cached, as the one last used; nil
// if there is none that is known to be what the store holds. The caller holds
// x.mu.
func (x *index) use(e *entry) *Identity {
	if e.cached == nil {
		return nil
	}
	if now := time.Now(); !e.source.coherent(now) || !x.usable(e, now) {
		return nil
	}
	x.cache.use(e)
	return e.cached
}

// usable reports whether what an entry has cached may be used, as long as its
// source is coherent. The caller holds x.mu.
func (x *index) usable(e *entry, now time.Time) bool {
	return e.epoch == e.source.epoch && !e.cached.expired(now) && (e.good == 0 || now.Sub(x.b.began) < e.good)
}

// readThrough reads a session, or waits for somebody who does.
func (x *index) readThrough(ctx context.Context, n *Binding) (*Identity, error) {
	for range maxReads {
		x.mu.Lock()
		now := time.Now()
		if !x.sources[n.Feed].coherent(now) {
			x.mu.Unlock()
			return x.fetch(ctx, n.Key, n.Reload)
		}
		e := x.entry(n)
		if id := e.cached; id != nil && x.usable(e, now) {
			x.mu.Unlock()
			return id, nil // somebody was faster
		}
		f := e.flight
		if f == nil {
			f = e.takeOff()
			f.whose, _ = ctx.Value(deadlineKey{}).(*deadline)
			x.mu.Unlock()
			x.fly(ctx, e, f, n.Reload)
		} else {
			done := f.wait()
			x.mu.Unlock()
			select {
			case <-done:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
		switch {
		case !f.void:
			return f.id, f.err
		case passed(ctx):
			return nil, cmp.Or(context.Cause(ctx), context.DeadlineExceeded)
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
		e.flight.void = true
	}
	ctx, cancel := context.WithTimeout(x.b.ctx, reloadTimeout)
	defer cancel()
	f := e.takeOff()
	f.cancel = cancel
	x.mu.Unlock()
	x.fly(ctx, e, f, e.reload)
	x.mu.Lock()
	return f
}

// takeOff begins a reading of a session. The caller holds index.mu.
func (e *entry) takeOff() *flight {
	f := &flight{epoch: e.source.currentEpoch()}
	e.flight = f
	return f
}

// wait returns what is closed when the reading is over. The caller holds
// index.mu.
func (f *flight) wait() <-chan struct{} {
	if f.done == nil {
		f.done = make(chan struct{})
	}
	return f.done
}

// abandon gives the reading up. The caller holds index.mu.
func (f *flight) abandon() {
	f.given = true
	switch {
	case f.cancel != nil:
		f.cancel()
	case f.whose != nil:
		f.whose.cancel()
	}
}

// fly performs a reading. It ends with ctx, and is void then: others who wait
// for it read for themselves.
func (x *index) fly(ctx context.Context, e *entry, f *flight, reload reloader) {
	defer x.land(ctx, e, f)
	f.err = errPanicked
	f.id, f.err = x.fetch(ctx, e.key, reload)
}

// land is the end of a reading.
func (x *index) land(ctx context.Context, e *entry, f *flight) {
	x.mu.Lock()
	defer x.mu.Unlock()
	f.void = f.void || f.epoch != e.source.currentEpoch() || f.err != nil && passed(ctx)
	if f.done != nil {
		close(f.done)
	}
	if e.flight != f {
		return
	}
	e.flight = nil
	if !f.void && f.err == nil && e.source.coherent(time.Now()) {
		x.keep(e, f.id)
	}
	x.tidy(e)
}

// fetch reads a session from its store. The identity names the session that
// was asked for, as it is the one that is watched.
func (x *index) fetch(ctx context.Context, key string, reload reloader) (*Identity, error) {
	if x.b.opts.Observe != nil {
		return x.fetchObserved(ctx, key, reload)
	}
	id, err := authenticate(ctx, reload, nil)
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
	if cost(e.key, id) > limit/8 {
		return // one large session is not worth many small ones
	}
	e.cached, e.epoch, e.good = id, e.source.epoch, 0
	if sweep := x.sweepOf(e); sweep > 0 {
		// Connections are looked at again after this time for the sake of
		// changes that no store reports; so is this.
		e.good = x.b.clock() + sweep
	}
	x.cache.add(e)
	for x.cache.size > limit {
		last := x.cache.oldest
		x.drop(last)
		x.tidy(last)
	}
}

// drop takes an identity out of the cache. The caller holds x.mu.
func (x *index) drop(e *entry) {
	if e.cached != nil {
		x.cache.remove(e)
		e.cached = nil
	}
}

// cost is about how many bytes an identity takes in the cache.
func cost(key string, id *Identity) int64 {
	return int64(id.Size)*decodedFactor + int64(len(key)) + identityOverhead
}

// use makes an entry the newest.
func (c *cache) use(e *entry) {
	if c.newest != e {
		c.remove(e)
		c.add(e)
	}
}

func (c *cache) add(e *entry) {
	c.size += cost(e.key, e.cached)
	e.newer, e.older = nil, c.newest
	if c.newest != nil {
		c.newest.newer = e
	} else {
		c.oldest = e
	}
	c.newest = e
}

func (c *cache) remove(e *entry) {
	c.size -= cost(e.key, e.cached)
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		c.newest = e.older
	}
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		c.oldest = e.newer
	}
	e.newer, e.older = nil, nil
}

// passed reports whether ctx is over, even if its timer has yet to say so.
func passed(ctx context.Context) bool {
	end, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(end)
}
