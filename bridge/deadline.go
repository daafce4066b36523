package bridge

import (
	"context"
	"sync"
	"time"
)

// deadline is a context with a deadline that has a timer only once somebody
// waits for it. Most handshakes never do: what they need is in the cache, or
// comes from a client that goes by the deadline itself.
type deadline struct {
	context.Context // the parent
	end             time.Time

	mu     sync.Mutex
	waited *waited // nil as long as nobody waits
	closed bool
}

// waited is a deadline that somebody waits for.
type waited struct {
	context.Context
	stop context.CancelFunc
}

type deadlineKey struct{}

// begin makes it a context within parent that ends in d.
func (d *deadline) begin(parent context.Context, in time.Duration) {
	d.Context, d.end = parent, time.Now().Add(in)
	if earlier, ok := parent.Deadline(); ok && earlier.Before(d.end) {
		d.end = earlier
	}
}

// cancel ends the context.
func (d *deadline) cancel() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.waited != nil {
		d.waited.stop()
	}
}

func (d *deadline) Deadline() (time.Time, bool) { return d.end, true }

func (d *deadline) Done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waited == nil {
		ctx, stop := context.WithDeadline(d.Context, d.end)
		d.waited = &waited{ctx, stop}
		if d.closed {
			stop()
		}
	}
	return d.waited.Done()
}

func (d *deadline) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.waited != nil:
		return d.waited.Err()
	case d.Context.Err() != nil:
		return d.Context.Err()
	case d.closed:
		return context.Canceled
	case !time.Now().Before(d.end):
		return context.DeadlineExceeded
	}
	return nil
}

// Value is that of the context that is waited for, if there is one, so that
// contexts made of this one end with it without a goroutine of their own.
func (d *deadline) Value(key any) any {
	if key == (deadlineKey{}) {
		return d
	}
	d.mu.Lock()
	w := d.waited
	d.mu.Unlock()
	if w != nil {
		return w.Value(key)
	}
	return d.Context.Value(key)
}
