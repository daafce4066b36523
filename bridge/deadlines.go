package bridge

import (
	"cmp"
	"container/heap"
	"slices"
	"sync"
	"time"
)

// deadlines calls lives when their time has come, with one timer for all of
// them: ten thousand tokens that expire in the same second must not start ten
// thousand goroutines. Most deadlines are minutes away and most connections are
// gone before, so only those before the horizon are kept in order.
type deadlines struct {
	b       *Bridge
	mu      sync.Mutex
	soon    dueHeap       // those before the horizon
	later   []due         // the others
	horizon time.Duration // by Bridge.clock
	timer   *time.Timer
	armed   time.Duration // when the timer fires; 0 if it does not
}

const (
	// farOff bounds times in the future, that they may be added up. A token's
	// exp may lie beyond all that a Duration holds.
	farOff = 100 * 365 * 24 * time.Hour
	// horizonStep is how far ahead deadlines are put in order, at the least.
	horizonStep = 10 * time.Second
)

// set has l called after d, and not when it was to be called before.
func (q *deadlines) set(l *life, d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.take(l)
	now := q.b.clock()
	if len(q.later) == 0 {
		q.horizon = now + horizonStep
	}
	if next := (due{now + min(d, farOff), l}); next.at < q.horizon {
		heap.Push(&q.soon, next)
	} else {
		q.later = append(q.later, next)
		l.place = -int32(len(q.later))
	}
	q.arm()
}

// remove has l not called any more.
func (q *deadlines) remove(l *life) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l.place != 0 {
		q.take(l)
		q.arm()
	}
}

// take takes l out of its list, if it is in one. The caller holds q.mu.
func (q *deadlines) take(l *life) {
	switch {
	case l.place > 0:
		heap.Remove(&q.soon, int(l.place)-1)
	case l.place < 0:
		i, last := int(-l.place)-1, len(q.later)-1
		q.later[i] = q.later[last]
		q.later[i].life.place = l.place
		q.later[last] = due{}
		q.later = q.later[:last]
		l.place = 0
	}
}

// arm sets the timer to the first of the deadlines, or to the horizon. One that
// is set too early finds nothing to do. The caller holds q.mu.
func (q *deadlines) arm() {
	var next time.Duration
	switch {
	case len(q.soon) > 0:
		next = q.soon[0].at
	case len(q.later) > 0:
		next = q.horizon
	default:
		if q.timer != nil {
			q.timer.Stop()
			q.armed = 0
		}
		return
	}
	if len(q.later) > 0 {
		next = min(next, q.horizon)
	}
	switch {
	case q.armed != 0 && next >= q.armed:
		return
	case q.timer == nil:
		q.timer = time.AfterFunc(next-q.b.clock(), q.fire)
	default:
		q.timer.Reset(next - q.b.clock())
	}
	q.armed = next
}

// fire calls the lives whose time has come.
func (q *deadlines) fire() {
	q.mu.Lock()
	now := q.b.clock()
	if now >= q.horizon {
		q.advance(now)
	}
	var lives []*life
	for len(q.soon) > 0 && q.soon[0].at <= now {
		lives = append(lives, heap.Pop(&q.soon).(due).life)
	}
	q.armed = 0
	q.arm()
	q.mu.Unlock()
	for _, l := range lives {
		l.lookAgain()
	}
}

// advance moves the horizon, to the first of those behind it if that is far.
// The caller holds q.mu.
func (q *deadlines) advance(now time.Duration) {
	q.horizon = now + horizonStep
	for i := len(q.later) - 1; i >= 0; i-- {
		if next := q.later[i]; next.at < q.horizon {
			q.take(next.life)
			heap.Push(&q.soon, next)
		}
	}
	if len(q.later) > 0 {
		q.horizon = slices.MinFunc(q.later, func(a, b due) int { return cmp.Compare(a.at, b.at) }).at
	}
}

// due is when lookAgain of a life is called, by Bridge.clock.
type due struct {
	at   time.Duration
	life *life
}

// dueHeap implements [heap.Interface]; a life knows its place.
type dueHeap []due

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].at < h[j].at }

func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].life.place, h[j].life.place = int32(i+1), int32(j+1)
}

func (h *dueHeap) Push(x any) {
	next := x.(due)
	*h = append(*h, next)
	next.life.place = int32(len(*h))
}

func (h *dueHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = due{}
	*h = old[:len(old)-1]
	last.life.place = 0
	return last
}
