package stores

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"
)

const (
	// maxPipelines is how many pipelines are under way to one node at a time,
	// and maxBatch how many keys one of them reads: for all of several lookups
	// together, since a single one is never split.
	maxPipelines = 2
	maxBatch     = 128

	// patience is how long, and up to twice as long, lookups wait until more is
	// done for them: a second pipeline is begun, as the first may hang, and
	// their callers' contexts are listened to. Nearly all are answered before,
	// which is cheaper.
	patience = 5 * time.Millisecond

	// firstRead is how much of a value is read together with others', and
	// maxLargeReads how many that are longer are read at a time.
	firstRead     = 64 << 10
	maxLargeReads = 4

	// maxIdleLanes bounds what is remembered of nodes that may be gone.
	maxIdleLanes = 64
)

// batch is lookups that share a pipeline.
type batch struct {
	began   time.Time
	lookups []lookup
	keys    int // of all lookups

	// signal is closed when the answers are there or, once late has been made,
	// because they are late: then late is closed when they are there.
	signal chan struct{}
	late   chan struct{}

	answers []answer
	err     error
}

// lookup is what one caller wants of one node.
type lookup struct {
	ctx   context.Context // whose values a pipeline has that is its own
	keys  []Key
	left  bool // nobody waits for it any more
	first int  // where its answers begin
}

// lane is what is under way to one node, and what waits meanwhile.
type lane struct {
	busy    int      // pipelines
	waiting []*batch // those that are not under way yet
	sent    []*batch // those that are, but for a lookup that its caller sends
	shared  int      // how many lookups the last pipeline was for
	ticking bool     // tick will be called
}

// lanes are those of each node.
type lanes struct {
	mu sync.Mutex
	m  map[string]*lane
}

// enter has a lookup of these keys wait on a node's lane, as the i-th of a
// batch. If the lane is free, the place on it is taken: for the caller itself
// if there is no batch, else for whom the caller is to have serve it.
func (s *Redis) enter(ctx context.Context, node string, keys []Key) (ln *lane, b *batch, i int, free bool) {
	ls := &s.lanes
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ln = ls.m[node]
	if ln == nil {
		ln = ls.newLane(node)
	}
	if free = ln.busy == 0; free {
		ln.busy++
		if ln.shared <= 1 {
			return ln, nil, 0, true
		}
	}
	if n := len(ln.waiting); n > 0 && ln.waiting[n-1].keys+len(keys) <= maxBatch {
		b = ln.waiting[n-1]
	} else {
		b = &batch{began: time.Now(), signal: make(chan struct{}), lookups: make([]lookup, 0, ln.shared)}
		ln.waiting = append(ln.waiting, b)
	}
	b.keys += len(keys)
	b.lookups = append(b.lookups, lookup{ctx: ctx, keys: keys})
	if !ln.ticking {
		ln.ticking = true
		time.AfterFunc(s.patience(), func() { s.tick(ln) })
	}
	return ln, b, len(b.lookups) - 1, free
}

func (s *Redis) patience() time.Duration { return min(patience, s.timeout) }

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

// tick tells those who have waited long that they are to go on waiting in
// another way, and has a second pipeline begun for those that are not under way
// yet. It is one timer for all who wait.
func (s *Redis) tick(ln *lane) {
	s.lanes.mu.Lock()
	defer s.lanes.mu.Unlock()
	ln.ticking = false
	now, widen := time.Now(), false
	for i, b := range slices.Concat(ln.waiting, ln.sent) {
		switch {
		case now.Sub(b.began) < s.patience():
			ln.ticking = true
		case b.late == nil:
			b.late = make(chan struct{})
			close(b.signal)
			fallthrough
		default:
			widen = widen || i < len(ln.waiting)
		}
	}
	if widen && ln.busy < maxPipelines {
		ln.busy++
		go s.serve(ln)
	}
	if ln.ticking {
		time.AfterFunc(s.patience(), func() { s.tick(ln) })
	}
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

// next returns the batch that is to be sent, without those who have left. If
// there is none, it gives the place on the lane back.
func (ls *lanes) next(ln *lane) *batch {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for len(ln.waiting) > 0 {
		b := ln.waiting[0]
		ln.waiting = slices.Delete(ln.waiting, 0, 1)
		b.keys = 0
		stayed := 0
		for i := range b.lookups {
			l := &b.lookups[i]
			if l.left {
				l.keys = nil
				continue
			}
			l.first = b.keys
			b.keys += len(l.keys)
			stayed++
		}
		if stayed > 0 {
			ln.shared = stayed
			ln.sent = append(ln.sent, b)
			return b
		}
	}
	ln.busy--
	return nil
}

// finish gives a batch's lookups their answers.
func (ls *lanes) finish(ln *lane, b *batch, answers []answer, err error) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ln.sent = slices.DeleteFunc(ln.sent, func(other *batch) bool { return other == b })
	b.answers, b.err = answers, err
	if b.late != nil {
		close(b.late)
	} else {
		close(b.signal)
	}
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
	if ln, b, i, free := s.enter(ctx, node, keys); b == nil {
		answers, err = s.first(ctx, ln, keys)
	} else {
		if free {
			go s.serve(ln)
		}
		answers, err = s.wait(ctx, b, i, began)
	}
	records, err := recordsOf(answers, err)
	if err == nil {
		for i := range answers {
			if answers[i].cut {
				return s.readLarge(ctx, keys, answers, records, began.Add(s.timeout))
			}
		}
	}
	return records, err
}

// first sends a pipeline at once, and has others go on with its place.
func (s *Redis) first(ctx context.Context, ln *lane, keys []Key) ([]answer, error) {
	defer func() {
		if s.lanes.leave(ln) {
			go s.serve(ln)
		}
	}()
	end := time.Now().Add(s.timeout)
	if earlier, ok := ctx.Deadline(); ok && earlier.Before(end) {
		end = earlier
	}
	if s.direct {
		ctx = context.WithoutCancel(ctx) // the client obeys the deadline alone, once it reads
	}
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	return s.ask(ctx, keys, firstRead)
}

// wait returns what a pipeline brings that somebody else sends, or an error
// when the store's timeout or ctx ends before.
func (s *Redis) wait(ctx context.Context, b *batch, i int, began time.Time) ([]answer, error) {
	if end, ok := ctx.Deadline(); !ok || end.Sub(began) > 2*s.patience() {
		<-b.signal
		if b.late == nil {
			return b.result(i)
		}
	}
	return s.waitLonger(ctx, b, i, began.Add(s.timeout))
}

// waitLonger is the rest of wait. It alone asks for ctx.Done: a context may
// have nothing to wait for until somebody wants it, and a timer from then on.
func (s *Redis) waitLonger(ctx context.Context, b *batch, i int, end time.Time) ([]answer, error) {
	timer := time.NewTimer(time.Until(end))
	defer timer.Stop()
	err := context.DeadlineExceeded
	select {
	case <-b.signal:
		if b.late == nil {
			return b.result(i)
		}
		select {
		case <-b.late:
			return b.result(i)
		case <-timer.C:
		case <-ctx.Done():
			err = ctx.Err()
		}
	case <-timer.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.lanes.mu.Lock()
	defer s.lanes.mu.Unlock()
	b.lookups[i].left = true
	return nil, err
}

// result returns the answers to a lookup, or why there are none. The batch is
// finished.
func (b *batch) result(i int) ([]answer, error) {
	if b.err != nil {
		return nil, b.err
	}
	l := &b.lookups[i]
	return b.answers[l.first : l.first+len(l.keys)], nil
}

// serve sends pipelines for those who wait, until nobody does. It has a
// goroutine of its own: to lend it a caller's would hold that caller up, and a
// handshake's stack would have to grow for what go-redis needs.
func (s *Redis) serve(ln *lane) {
	for {
		runtime.Gosched() // others who are about to ask for something can be in the pipeline
		b := s.lanes.next(ln)
		if b == nil {
			return
		}
		answers, err := s.send(b)
		s.lanes.finish(ln, b, answers, err)
	}
}

// send looks a batch up in one pipeline.
func (s *Redis) send(b *batch) ([]answer, error) {
	parent := context.Background()
	keys := make([]Key, 0, b.keys)
	for i := range b.lookups {
		l := &b.lookups[i]
		if keys = append(keys, l.keys...); len(l.keys) == b.keys {
			parent = context.WithoutCancel(l.ctx) // it is the only one
		}
	}
	ctx, cancel := context.WithTimeout(parent, s.timeout)
	defer cancel()
	return s.ask(ctx, keys, firstRead)
}

// readLarge reads those values in full of which only the beginning is known.
func (s *Redis) readLarge(ctx context.Context, keys []Key, answers []answer, records []Record, end time.Time) ([]Record, error) {
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
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
