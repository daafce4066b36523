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
	soon    lifeHeap      // those before the horizon
	later   []*life       // the others
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
	l.due = now + min(d, farOff)
	if l.due < q.horizon {
		heap.Push(&q.soon, l)
	} else {
		q.later = append(q.later, l)
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
		q.later[i].place = l.place
		q.later[last] = nil
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
		next = q.soon[0].due
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
	var due []*life
	for len(q.soon) > 0 && q.soon[0].due <= now {
		due = append(due, heap.Pop(&q.soon).(*life))
	}
	q.armed = 0
	q.arm()
	q.mu.Unlock()
	for _, l := range due {
		l.lookAgain()
	}
}

// advance moves the horizon, to the first of those behind it if that is far.
// The caller holds q.mu.
func (q *deadlines) advance(now time.Duration) {
	q.horizon = now + horizonStep
	for i := len(q.later) - 1; i >= 0; i-- {
		if l := q.later[i]; l.due < q.horizon {
			q.take(l)
			heap.Push(&q.soon, l)
		}
	}
	if len(q.later) > 0 {
		first := slices.MinFunc(q.later, func(a, b *life) int { return cmp.Compare(a.due, b.due) })
		q.horizon = first.due
	}
}

// lifeHeap implements [heap.Interface]; a life knows its place.
type lifeHeap []*life

func (h lifeHeap) Len() int           { return len(h) }
func (h lifeHeap) Less(i, j int) bool { return h[i].due < h[j].due }

func (h lifeHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = int32(i+1), int32(j+1)
}

func (h *lifeHeap) Push(x any) {
	l := x.(*life)
	*h = append(*h, l)
	l.place = int32(len(*h))
}

func (h *lifeHeap) Pop() any {
	old := *h
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	l.place = 0
	return l
}
