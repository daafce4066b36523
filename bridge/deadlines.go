package bridge

import (
	"container/heap"
	"sync"
	"time"
)

// deadlines calls lives when their time has come, with one timer for all of
// them: ten thousand tokens that expire in the same second must not start ten
// thousand goroutines.
type deadlines struct {
	b     *Bridge
	mu    sync.Mutex
	heap  lifeHeap
	timer *time.Timer
	armed time.Duration // when the timer fires; 0 if it does not
}

// farOff bounds times in the future, that they may be added up. A token's exp
// may lie beyond all that a Duration holds.
const farOff = 100 * 365 * 24 * time.Hour

// set has l called after d, and not when it was to be called before.
func (q *deadlines) set(l *life, d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l.due = l.b.clock() + min(d, farOff)
	if l.place == 0 {
		heap.Push(&q.heap, l)
	} else {
		heap.Fix(&q.heap, int(l.place)-1)
	}
	q.arm()
}

// remove has l not called any more.
func (q *deadlines) remove(l *life) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l.place != 0 {
		heap.Remove(&q.heap, int(l.place)-1)
		q.arm()
	}
}

// arm sets the timer to the first of the deadlines. One that is set too early
// finds nothing to do. The caller holds q.mu.
func (q *deadlines) arm() {
	switch {
	case len(q.heap) == 0:
		if q.timer != nil {
			q.timer.Stop()
			q.armed = 0
		}
	case q.armed != 0 && q.heap[0].due >= q.armed:
	case q.timer == nil:
		q.armed = q.heap[0].due
		q.timer = time.AfterFunc(q.armed-q.b.clock(), q.fire)
	default:
		q.armed = q.heap[0].due
		q.timer.Reset(q.armed - q.b.clock())
	}
}

// fire calls the lives whose time has come.
func (q *deadlines) fire() {
	q.mu.Lock()
	now := q.b.clock()
	var due []*life
	for len(q.heap) > 0 && q.heap[0].due <= now {
		due = append(due, heap.Pop(&q.heap).(*life))
	}
	q.armed = 0
	q.arm()
	q.mu.Unlock()
	for _, l := range due {
		l.lookAgain()
	}
}

// lifeHeap implements [heap.Interface]; a life knows its place, counted from 1.
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
