package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// source is a store that reports changes.
type source struct {
	x     *index
	name  string
	feeds []Feed

	// Guarded by x.mu.
	pushes    bool      // the store does report changes
	sound     bool      // and nothing has been missed
	until     time.Time // until when that is known
	lost      time.Time // since when it is not; zero if it is
	epoch     uint32    // counts the moments at which what was read may have become doubtful
	resyncing bool      // all its sessions are being looked at again
	resyncs   int       // how often that has been asked for
	began     time.Time // when it began
	count     int       // of them, so far
}

// coherent reports whether what was read is what the store holds, unless a
// change was reported. The caller holds x.mu.
func (s *source) coherent(now time.Time) bool {
	return s != nil && s.sound && now.Before(s.until) && s.x.b.opts.CacheBytes > 0
}

// currentEpoch tells how often changes may have been missed. The caller holds
// x.mu.
func (s *source) currentEpoch() uint32 {
	if s == nil {
		return 0
	}
	return s.epoch
}

// addSources groups the feeds by their stores.
func (x *index) addSources(feeds []Feed) ([]*source, error) {
	var all []*source
	byStore := map[string]*source{}
	for _, f := range feeds {
		if f.Follow == nil {
			return nil, fmt.Errorf("bridge: the feed %q has no Follow; leave the feed out if its store reports no changes", f.Name)
		}
		if x.sources[f.Name] != nil {
			continue // the same authenticator by cookie and by message
		}
		s := byStore[f.Store]
		if s == nil {
			s = &source{x: x, name: f.Store, pushes: true, lost: time.Now()} // until Restored
			byStore[f.Store] = s
			all = append(all, s)
		}
		s.feeds = append(s.feeds, f)
		x.sources[f.Name] = s
	}
	return all, nil
}

// follow reports a store's changes until ctx ends.
func (b *Bridge) follow(ctx context.Context, s *source) {
	var prefixes []string
	for _, f := range s.feeds {
		prefixes = append(prefixes, f.Prefixes...)
	}
	watched, stop := context.WithCancel(ctx)
	defer stop()
	go s.watchdog(watched)
	err := s.feeds[0].Follow(ctx, prefixes, s)
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		err = errFollowedNoMore
	}
	x := s.x
	x.mu.Lock()
	s.pushes, s.sound = false, false
	s.epoch++
	s.resync() // so that the next look comes as soon as it now must
	x.mu.Unlock()
	if b.opts.Observe != nil {
		b.opts.Observe(ctx, Event{Kind: EventWatchRefused, Store: s.name, Err: err})
	}
	b.opts.Logger.LogAttrs(ctx, slog.LevelWarn, "sessions are read again from time to time: the store does not report changes",
		slog.String("store", s.name), slog.String("reason", err.Error()))
}

var errFollowedNoMore = errors.New("the feed has ended")

// Changed implements [Follower].
func (s *source) Changed(keys []string) {
	x := s.x
	var buf [160]byte
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, k := range keys {
		for i := range s.feeds {
			if !s.feeds[i].covers(k) {
				continue
			}
			name := append(append(append(buf[:0], s.feeds[i].Name...), '/'), k...)
			if e := x.entries[string(name)]; e != nil { // nearly always a miss, without an allocation
				x.changed(e)
			}
			for _, e := range x.aliases[string(name)] {
				x.changed(e)
			}
		}
	}
}

func (f *Feed) covers(key string) bool {
	for _, p := range f.Prefixes {
		if strings.HasPrefix(key, p) {
			return true
		}
	}
	return false
}

// changed notes that a session may have changed. The caller holds x.mu.
func (x *index) changed(e *entry) {
	x.drop(e)
	if e.flight != nil {
		e.flight.void = true
	}
	for m := e.members; m != nil; m = m.next {
		m.dirty = true
	}
	if e.members != nil {
		if _, known := x.changes[e.key]; !known && x.b.opts.Observe != nil {
			x.changes[e.key] = time.Now()
		}
		x.enqueue(e)
	}
	x.tidy(e)
}

// Alive implements [Follower].
func (s *source) Alive(until time.Time) {
	s.x.mu.Lock()
	defer s.x.mu.Unlock()
	s.until = until
}

// Lost implements [Follower].
func (s *source) Lost(reason error) {
	x := s.x
	x.mu.Lock()
	was := s.sound
	s.sound = false
	if s.lost.IsZero() {
		s.lost = time.Now()
	}
	if was { // else nothing of this store has been taken for certain since
		s.epoch++
	}
	x.mu.Unlock()
	if was {
		if x.b.opts.Observe != nil {
			x.b.opts.Observe(x.b.ctx, Event{Kind: EventWatchLost, Store: s.name, Err: reason})
		}
		x.b.opts.Logger.LogAttrs(x.b.ctx, slog.LevelWarn, "changes of sessions may be missed",
			slog.String("store", s.name), slog.Any("reason", reason))
	}
}

// Restored implements [Follower].
func (s *source) Restored(mode string) {
	x := s.x
	if x.b.opts.Observe != nil {
		x.b.opts.Observe(x.b.ctx, Event{Kind: EventWatchRestored, Store: s.name, Mode: mode})
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	s.epoch++
	s.sound, s.lost = true, time.Time{}
	s.until = time.Now().Add(initialLease)
	s.resync()
}

const (
	initialLease = time.Second
	// leaseGrace is how much later than promised the next Alive may come
	// before sessions are read again because of it.
	leaseGrace       = time.Second
	resyncBatch      = 256
	resyncPause      = 10 * time.Millisecond // 25,600 sessions a second at the most
	resyncInterval   = 2 * time.Second       // while changes may be missed
	watchdogInterval = 250 * time.Millisecond
	sweepWithPush    = 5 * time.Minute
	sweepWithoutPush = 10 * time.Second
)

// resync has every session of the source looked at again, a batch at a time.
// If that is being done, it is done once more afterwards: a stream that is lost
// over and over must not multiply the reading. The caller holds x.mu.
func (s *source) resync() {
	s.resyncs++
	if !s.resyncing {
		s.resyncing, s.began, s.count = true, time.Now(), 0
		s.resyncPass()
	}
}

func (s *source) resyncPass() {
	keys := make([]string, 0, len(s.x.entries))
	for key, e := range s.x.entries {
		if e.source == s && e.members != nil {
			keys = append(keys, key)
		}
	}
	s.resyncBatch(keys, s.resyncs)
}

// resyncBatch looks at the first of the keys now and at the rest later, with
// no more in the queue than a logout can wait for. The caller holds x.mu, which
// is released for Options.Observe.
func (s *source) resyncBatch(keys []string, pass int) {
	x := s.x
	n := min(len(keys), max(resyncBatch-len(x.queue), 0))
	for _, key := range keys[:n] {
		if e := x.entries[key]; e != nil {
			x.enqueue(e)
			s.count++
		}
	}
	rest := keys[n:]
	if x.b.ctx.Err() != nil || len(rest)+len(x.queue) == 0 && pass == s.resyncs {
		s.resyncing = false
		if observe := x.b.opts.Observe; observe != nil {
			e := Event{Kind: EventResync, Store: s.name, Count: s.count, Duration: time.Since(s.began)}
			x.mu.Unlock() // it may ask for Bridge.Len
			observe(x.b.ctx, e)
			x.mu.Lock()
		}
		return
	}
	time.AfterFunc(resyncPause, func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		if len(rest) > 0 || pass == s.resyncs {
			s.resyncBatch(rest, pass)
		} else {
			s.resyncPass()
		}
	})
}

var errStoreAway = errors.New("the session store cannot be reached")

// doubtful returns since when changes may have been missed; zero if none have
// been. The caller holds x.mu.
func (s *source) doubtful(now time.Time) time.Time {
	switch {
	case s.sound && now.Before(s.until.Add(leaseGrace)):
		s.lost = time.Time{}
	case s.lost.IsZero(): // nobody has said so, but the lease has run out
		s.lost = s.until
	}
	return s.lost
}

// probe returns how to read one of the sessions that somebody is bound to; nil
// if there are none. The caller holds x.mu.
func (s *source) probe() reloader {
	for _, e := range s.x.entries {
		if e.source == s && e.members != nil && e.reload != nil {
			return e.reload
		}
	}
	return nil
}

// watchdog acts while changes may be missed. As long as the store can be read
// all the same, it has everything looked at from time to time; when it cannot
// for MaxStale, it ends all that could not be verified for so long.
func (s *source) watchdog(ctx context.Context) {
	x := s.x
	tick := time.NewTicker(watchdogInterval)
	defer tick.Stop()
	var resynced time.Time
	var failing bool
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		began := time.Now()
		var probe reloader
		x.mu.Lock()
		since := s.doubtful(began)
		if !since.IsZero() {
			probe = s.probe()
		}
		x.mu.Unlock()
		if probe == nil {
			failing = false
			continue
		}
		timeout := reloadTimeout
		if failing {
			timeout = min(timeout, max(x.b.opts.MaxStale-began.Sub(since), watchdogInterval))
		}
		probing, cancel := context.WithTimeout(ctx, timeout)
		_, err := authenticate(probing, probe, nil)
		cancel()
		if ctx.Err() != nil {
			return
		}
		failing = err != nil && !errors.Is(err, ErrNoCredential) && !errors.Is(err, ErrRejected)
		if failing {
			s.endStale(err)
			continue
		}
		x.mu.Lock()
		if !s.doubtful(time.Now()).IsZero() {
			s.lost = began
			if time.Since(resynced) >= resyncInterval && !s.resyncing {
				resynced = began
				s.resync()
			}
		}
		x.mu.Unlock()
	}
}

// endStale ends the connections whose sessions could not be verified for
// MaxStale: neither by what the store reports nor by reading them.
func (s *source) endStale(err error) {
	x := s.x
	limit := x.b.opts.MaxStale
	bound := map[*life]string{}
	x.mu.Lock()
	// The store may have been restored, and even lost again, during the probe.
	if since := s.doubtful(time.Now()); !since.IsZero() && time.Since(since) >= limit {
		for key, e := range x.entries {
			if e.source == s {
				for m := e.members; m != nil; m = m.next {
					bound[m.life] = key
				}
			}
		}
	}
	x.mu.Unlock()
	for l, key := range bound {
		if l.unverified(key, limit) {
			l.end(&EndError{Code: CodeUnavailable, Err: fmt.Errorf("%w: %w", errStoreAway, err)})
		}
	}
}
