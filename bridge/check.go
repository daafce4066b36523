package bridge

import "time"

const (
	// maxWorkers is how many sessions are looked at again at once.
	maxWorkers = 32
	// checkInterval is how soon after a look at a session the next may
	// begin, however often an application writes it.
	checkInterval = 10 * time.Millisecond
)

// check looks at a session again, once for all its connections.
func (x *index) check(key string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e := x.entries[key]; e != nil {
		x.enqueue(e)
	}
}

// enqueue lets a worker look at a session again. The caller holds x.mu.
func (x *index) enqueue(e *entry) {
	switch {
	case e.checking:
		e.again = true
		return
	case e.queued:
		return
	}
	e.queued = true
	if wait := checkInterval - (x.b.clock() - e.checked); wait > 0 {
		time.AfterFunc(wait, func() {
			x.mu.Lock()
			defer x.mu.Unlock()
			x.push(e.key)
		})
		return
	}
	x.push(e.key)
}

// push appends to the queue. The caller holds x.mu.
func (x *index) push(key string) {
	x.queue = append(x.queue, key)
	if x.workers < maxWorkers {
		x.workers++
		go x.work()
	}
}

// work looks at sessions until the queue is empty.
func (x *index) work() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for len(x.queue) > 0 {
		key := x.queue[0]
		x.queue = x.queue[1:]
		if e := x.entries[key]; e != nil {
			x.look(e)
		}
	}
	x.queue = nil // the array has been walked through
	x.workers--
}

// look reads a session and judges its connections; if it changed meanwhile, it
// is looked at again. The caller holds x.mu, which is released meanwhile.
func (x *index) look(e *entry) {
	e.queued, e.again = false, false
	reported, wasReported := x.changes[e.key]
	delete(x.changes, e.key)
	if e.members == nil || e.reload == nil {
		x.tidy(e)
		return
	}
	began := x.b.clock()
	e.checking, e.checked = true, began
	f := x.reread(e)
	e.checking = false
	lives := e.lives()
	if f.given {
		// It ended before it knew anything, for want of anybody to judge; who
		// has come since is judged by a look of their own.
		e.again, lives = len(lives) > 0, nil
	}
	if e.again && e.members != nil {
		x.enqueue(e)
	}
	x.tidy(e)
	x.mu.Unlock()
	for _, l := range lives {
		l.judge(e.key, began, f.id, f.err)
	}
	if wasReported {
		x.b.opts.Observe(x.b.ctx, Event{Kind: EventChangeJudged, Duration: time.Since(reported)})
	}
	x.mu.Lock()
}
