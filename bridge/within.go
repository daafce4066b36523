package bridge

import (
	"context"
	"time"
)

// within is the context of a life.
type within struct {
	context.Context
	cancel context.CancelCauseFunc
}

func newWithin(parent context.Context) *within {
	ctx, cancel := context.WithCancelCause(parent)
	return &within{ctx, cancel}
}

// context returns the life's context, which ends with it and for the same
// cause.
func (l *life) context() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.contextLocked()
}

// contextLocked is the same for a caller that holds l.mu. The context is made
// now: a service that never asks for it need not keep it for each connection.
func (l *life) contextLocked() context.Context {
	if l.within == nil {
		l.within = newWithin((*root)(l))
		if cause := l.endedBy(); cause != nil {
			l.within.cancel(cause)
		}
	}
	return l.within.Context
}

// root is the context that a connection's is made of: the application's
// values, and the life itself. It is what [context.WithoutCancel] and
// [context.WithValue] would make, without their memory.
type root life

func (*root) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }
func (*root) Done() <-chan struct{}                   { return nil }
func (*root) Err() error                              { return nil }

func (r *root) Value(key any) any {
	if key == (contextKey{}) {
		return (*life)(r)
	}
	return context.WithoutCancel(r.values).Value(key) // which hides how that is cancelled
}
