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

	// patience is how long a lookup waits until more is done for it: a second
	// pipeline is begun, as the first may hang, and the caller's context is
	// listened to. Nearly all are answered before, which is cheaper.
	patience = 5 * time.Millisecond

	// firstRead is how much of a value is read together with others', and
	// maxLargeReads how many that are longer are read at a time.
	firstRead     = 64 << 10
	maxLargeReads = 4

	// maxIdleLanes bounds what is remembered of nodes that may be gone.
	maxIdleLanes = 64
)

// lookup is what one caller wants of one node.
type lookup struct {
	ctx     context.Context // whose values a pipeline has that is its own
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
	crowded bool // the last pipeline was for several lookups
}

// lanes are those of each node.
type lanes struct {
	mu sync.Mutex
	m  map[string]*lane
}

// enter has a lookup of these keys wait on a node's lane. If the lane is free,
// the place on it is taken: for the caller itself if there is no lookup, else
// for whom the caller is to have serve it.
func (ls *lanes) enter(ctx context.Context, node string, keys []Key) (ln *lane, l *lookup, free bool) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ln = ls.m[node]
	if ln == nil {
		ln = ls.newLane(node)
	}
	if free = ln.busy == 0; free {
		ln.busy++
		if !ln.crowded {
			return ln, nil, true
		}
	}
	l = &lookup{ctx: ctx, keys: keys, done: make(chan struct{})}
	ln.waiting = append(ln.waiting, l)
	return ln, l, free
}

// newLane remembers a node, and forgets others if there are many. The caller
// holds ls.mu.
func (ls *lanes) newLane(node string) *lane {
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
	ln := &lane{}
	ls.m[node] = ln
	return ln
}

// widen takes one more place on a lane, if somebody waits for it and it is
// free; the caller then has the lane served.
func (ls *lanes) widen(ln *lane) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ln.busy == maxPipelines || len(ln.waiting) == 0 {
		return false
	}
	ln.busy++
	return true
}

// leave gives a place on a lane back, unless somebody waits for it: then it
// reports true, and the caller has the lane served.
func (ls *lanes) leave(ln *lane) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if len(ln.waiting) > 0 {
		return true
	}
	ln.busy--
	return false
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
	} else {
		ln.crowded = len(batch) > 1
	}
	return batch
}

// shared looks keys up that are on one node: at once if its lane is free, else
// in a pipeline with others.
func (s *Redis) shared(ctx context.Context, node string, keys []Key) ([]Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	began := time.Now()
	var answers []answer
	var err error
	if ln, l, free := s.lanes.enter(ctx, node, keys); l == nil {
		answers, err = s.first(ctx, ln, keys)
	} else {
		if free {
			go s.serve(ln)
		}
		answers, err = s.wait(ctx, ln, l)
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
		if s.lanes.leave(ln) {
			go s.serve(ln)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.ask(ctx, keys, firstRead)
}

// wait returns what a pipeline brings that somebody else sends, or an error
// when the store's timeout or ctx ends before.
func (s *Redis) wait(ctx context.Context, ln *lane, l *lookup) ([]answer, error) {
	short := min(patience, s.timeout)
	if end, ok := ctx.Deadline(); ok {
		short = min(short, time.Until(end))
	}
	timer := time.NewTimer(short)
	defer timer.Stop()
	select {
	case <-l.done:
		return l.answers, l.err
	case <-timer.C:
		return s.waitLonger(ctx, ln, l, s.timeout-short)
	}
}

// waitLonger is the rest of wait. It alone asks for ctx.Done: a context may
// have nothing to wait for until somebody wants it, and a timer from then on.
func (s *Redis) waitLonger(ctx context.Context, ln *lane, l *lookup, rest time.Duration) ([]answer, error) {
	if s.lanes.widen(ln) {
		go s.serve(ln)
	}
	timer := time.NewTimer(rest)
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

// serve sends pipelines for those who wait, until nobody does. It has a
// goroutine of its own: to lend it a caller's would hold that caller up, and a
// handshake's stack would have to grow for what go-redis needs.
func (s *Redis) serve(ln *lane) {
	for batch := s.lanes.next(ln); batch != nil; batch = s.lanes.next(ln) {
		s.send(batch)
	}
}

// send looks a batch up in one pipeline.
func (s *Redis) send(batch []*lookup) {
	keys, parent := batch[0].keys, context.Background()
	if len(batch) == 1 {
		parent = context.WithoutCancel(batch[0].ctx)
	} else {
		keys = make([]Key, 0, maxBatch)
		for _, l := range batch {
			keys = append(keys, l.keys...)
		}
	}
	ctx, cancel := context.WithTimeout(parent, s.timeout)
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
