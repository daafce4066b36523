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
	real   context.Context // nil as long as nobody waits
	stop   context.CancelFunc
	closed bool
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
	if d.stop != nil {
		d.stop()
	}
}

func (d *deadline) Deadline() (time.Time, bool) { return d.end, true }

func (d *deadline) Done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.real == nil {
		d.real, d.stop = context.WithDeadline(d.Context, d.end)
		if d.closed {
			d.stop()
		}
	}
	return d.real.Done()
}

func (d *deadline) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.real != nil:
		return d.real.Err()
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
	real := d.real
	d.mu.Unlock()
	if real != nil {
		return real.Value(key)
	}
	return d.Context.Value(key)
}
