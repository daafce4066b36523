package bridge

import (
	"context"
	"errors"
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
	pushes   bool      // the store does report changes
	sound    bool      // and nothing has been missed
	until    time.Time // until when that is known
	lost     time.Time // since when it is not
	watching bool      // the watchdog runs
}

// coherent reports whether what was read is what the store holds, unless a
// change was reported. The caller holds x.mu.
func (s *source) coherent(now time.Time) bool {
	return s != nil && s.sound && now.Before(s.until) && s.x.b.opts.CacheBytes > 0
}

// sources groups the feeds by their stores.
func (x *index) addSources(feeds []Feed) []*source {
	var all []*source
	byStore := map[string]*source{}
	for _, f := range feeds {
		if x.sources[f.Name] != nil {
			continue // the same authenticator by cookie and by message
		}
		s := byStore[f.Store]
		if s == nil {
			s = &source{x: x, name: f.Store, pushes: true}
			byStore[f.Store] = s
			all = append(all, s)
		}
		s.feeds = append(s.feeds, f)
		x.sources[f.Name] = s
	}
	return all
}

// follow reports a store's changes until ctx ends.
func (b *Bridge) follow(ctx context.Context, s *source) {
	var prefixes []string
	for _, f := range s.feeds {
		prefixes = append(prefixes, f.Prefixes...)
	}
	err := s.feeds[0].Follow(ctx, prefixes, s)
	if err == nil {
		return
	}
	s.x.mu.Lock()
	s.pushes, s.sound = false, false
	s.x.epoch++
	s.x.mu.Unlock()
	b.opts.Logger.LogAttrs(ctx, slog.LevelWarn, "sessions are read again from time to time: the store does not report changes",
		slog.String("store", s.name), slog.String("reason", err.Error()))
}

// sweep is how often a session is read although no change was reported.
func (x *index) sweep(key string) time.Duration {
	if x.b.opts.Sweep != 0 {
		return x.b.opts.Sweep
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if e := x.entries[key]; e != nil && e.source != nil && e.source.pushes {
		return sweepWithPush
	}
	return sweepWithoutPush
}

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
		e.flight.dirty = true
	}
	for l := range e.lives {
		l.changed()
	}
	if len(e.lives) > 0 {
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
	defer x.mu.Unlock()
	x.epoch++
	s.sound = false
	if s.lost.IsZero() {
		s.lost = time.Now()
	}
	if !s.watching {
		s.watching = true
		go s.watchdog()
	}
}

// Restored implements [Follower].
func (s *source) Restored() {
	x := s.x
	x.mu.Lock()
	x.epoch++
	s.sound, s.lost = true, time.Time{}
	s.until = time.Now().Add(initialLease)
	x.mu.Unlock()
	x.resync(s)
}

const (
	initialLease     = time.Second
	resyncBatch      = 256
	resyncPause      = 10 * time.Millisecond // 25,600 sessions a second at the most
	watchdogInterval = 250 * time.Millisecond
	sweepWithPush    = 5 * time.Minute
	sweepWithoutPush = 10 * time.Second
)

// resync looks at every session of a source again, a batch at a time.
func (x *index) resync(s *source) {
	x.mu.Lock()
	keys := make([]string, 0, len(x.entries))
	for key, e := range x.entries {
		if e.source == s && len(e.lives) > 0 {
			keys = append(keys, key)
		}
	}
	x.mu.Unlock()
	x.enqueueAll(keys)
}

func (x *index) enqueueAll(keys []string) {
	n := min(len(keys), resyncBatch)
	x.mu.Lock()
	for _, key := range keys[:n] {
		if e := x.entries[key]; e != nil {
			x.enqueue(e)
		}
	}
	x.mu.Unlock()
	if rest := keys[n:]; len(rest) > 0 {
		time.AfterFunc(resyncPause, func() { x.enqueueAll(rest) })
	}
}

var errStoreAway = errors.New("the session store cannot be reached")

// watchdog runs while changes may be missed. As long as the store can be read
// all the same, it has everything looked at from time to time; when it cannot
// for MaxStale, it ends all that could not be verified for so long.
func (s *source) watchdog() {
	x := s.x
	tick := time.NewTicker(watchdogInterval)
	defer tick.Stop()
	var resynced time.Time
	for {
		select {
		case <-x.b.ctx.Done():
			return
		case <-tick.C:
		}
		x.mu.Lock()
		if s.lost.IsZero() {
			s.watching = false
			x.mu.Unlock()
			return
		}
		since := s.lost
		var probe func(context.Context) (*Identity, error)
		var lives []*life
		for _, e := range x.entries {
			if e.source == s && len(e.lives) > 0 {
				if probe == nil {
					probe = e.reload
				}
				for l := range e.lives {
					lives = append(lives, l)
				}
			}
		}
		x.mu.Unlock()
		if probe == nil {
			continue
		}
		began := time.Now()
		ctx, cancel := context.WithTimeout(x.b.ctx, reloadTimeout)
		_, err := authenticate(ctx, reloader(probe), nil)
		cancel()
		if err == nil || errors.Is(err, ErrNoCredential) || errors.Is(err, ErrRejected) {
			x.mu.Lock()
			if !s.lost.IsZero() {
				s.lost = began
			}
			x.mu.Unlock()
			if time.Since(resynced) > 8*watchdogInterval {
				resynced = time.Now()
				x.resync(s)
			}
			continue
		}
		if time.Since(since) < x.b.opts.MaxStale {
			continue
		}
		for _, l := range lives {
			if l.identity.Load() != nil {
				l.end(&EndError{Code: CodeUnavailable, Err: errStoreAway})
			}
		}
	}
}
