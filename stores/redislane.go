package stores

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxPipelines is how many pipelines are under way to one node at a time,
	// and maxBatch how many keys one of them reads: for all of several lookups
	// together, since a single one is never split.
	maxPipelines = 2
	maxBatch     = 128

	// firstRead is how much of a value is read together with others', and
	// maxLargeReads how many that are longer are read at a time.
	firstRead     = 64 << 10
	maxLargeReads = 4

	// maxIdleLanes bounds what is remembered of nodes that may be gone.
	maxIdleLanes = 64
)

// lookup is what one caller wants of one node.
type lookup struct {
	keys    []Key
	answers []answer
	err     error
	done    chan struct{} // closed when answers or err is there
	left    atomic.Bool   // nobody waits for it any more
}

// lane is what is under way to one node, and what waits meanwhile.
type lane struct {
	busy    int // pipelines
	waiting []*lookup
}

// lanes are those of each node.
type lanes struct {
	mu sync.Mutex
	m  map[string]*lane
}

// enter takes a free place on a node's lane, or has a lookup of these keys
// wait for one.
func (ls *lanes) enter(node string, keys []Key) (*lane, *lookup) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ln := ls.m[node]
	if ln == nil {
		if len(ls.m) >= maxIdleLanes {
			for name, idle := range ls.m {
				if idle.busy == 0 {
					delete(ls.m, name)
				}
			}
		}
		if ls.m == nil {
			ls.m = map[string]*lane{}
		}
		ln = &lane{}
		ls.m[node] = ln
	}
	if ln.busy < maxPipelines {
		ln.busy++
		return ln, nil
	}
	l := &lookup{keys: keys, done: make(chan struct{})}
	ln.waiting = append(ln.waiting, l)
	return ln, l
}

// next returns the lookups that are to share a pipeline. If there are none, it
// gives the place on the lane back.
func (ls *lanes) next(ln *lane) []*lookup {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	var batch []*lookup
	keys := 0
	for i, l := range ln.waiting {
		if l.left.Load() {
			continue
		}
		if keys += len(l.keys); keys > maxBatch && len(batch) > 0 {
			clear(ln.waiting[:i])
			ln.waiting = ln.waiting[i:]
			return batch
		}
		batch = append(batch, l)
	}
	ln.waiting = nil
	if len(batch) == 0 {
		ln.busy--
	}
	return batch
}

// shared looks keys up that are on one node: at once if its lane is free, else
// in a pipeline with others.
func (s *Redis) shared(ctx context.Context, node string, keys []Key) ([]Record, error) {
	began := time.Now()
	ln, l := s.lanes.enter(node, keys)
	var answers []answer
	var err error
	if l == nil {
		answers, err = s.first(ctx, ln, keys)
	} else {
		answers, err = s.wait(ctx, l)
	}
	records, err := recordsOf(answers, err)
	if err != nil || !slices.ContainsFunc(answers, func(a answer) bool { return a.cut }) {
		return records, err
	}
	ctx, cancel := context.WithDeadline(ctx, began.Add(s.timeout))
	defer cancel()
	return s.readLarge(ctx, keys, answers, records)
}

// first sends a pipeline at once, and has others go on with its place.
func (s *Redis) first(ctx context.Context, ln *lane, keys []Key) ([]answer, error) {
	defer func() {
		if batch := s.lanes.next(ln); batch != nil {
			go s.drain(ln, batch)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.ask(ctx, keys, firstRead)
}

// wait returns what a pipeline brings that somebody else sends.
func (s *Redis) wait(ctx context.Context, l *lookup) ([]answer, error) {
	timer := time.NewTimer(s.timeout)
	defer timer.Stop()
	err := context.DeadlineExceeded
	select {
	case <-l.done:
		return l.answers, l.err
	case <-timer.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	l.left.Store(true)
	return nil, err
}

// drain sends pipelines for those who wait, until nobody does.
func (s *Redis) drain(ln *lane, batch []*lookup) {
	for ; batch != nil; batch = s.lanes.next(ln) {
		s.send(batch)
	}
}

// send looks a batch up in one pipeline.
func (s *Redis) send(batch []*lookup) {
	keys := batch[0].keys
	if len(batch) > 1 {
		keys = make([]Key, 0, maxBatch)
		for _, l := range batch {
			keys = append(keys, l.keys...)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	answers, err := s.ask(ctx, keys, firstRead)
	for _, l := range batch {
		if l.err = err; err == nil {
			l.answers, answers = answers[:len(l.keys)], answers[len(l.keys):]
		}
		close(l.done)
	}
}

// readLarge reads those values in full of which only the beginning is known.
func (s *Redis) readLarge(ctx context.Context, keys []Key, answers []answer, records []Record) ([]Record, error) {
	select {
	case s.large <- struct{}{}:
		defer func() { <-s.large }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var whose []int
	var cut []Key
	for i, a := range answers {
		if a.cut {
			whose, cut = append(whose, i), append(cut, keys[i])
		}
	}
	got, err := recordsOf(s.ask(ctx, cut, MaxValue))
	for j, r := range got {
		records[whose[j]] = r
	}
	if err != nil {
		return nil, err
	}
	return records, nil
}
