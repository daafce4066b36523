package bridge

import "context"

// within is the context of a life.
type within struct {
	context.Context
	cancel context.CancelCauseFunc
}

func newWithin(parent context.Context, l *life) *within {
	ctx, cancel := context.WithCancelCause(context.WithValue(parent, contextKey{}, l))
	return &within{ctx, cancel}
}

// context returns the life's context, which ends with it and for the same
// cause.
func (l *life) context() context.Context {
	if w := l.within.Load(); w != nil {
		return w.Context // also for an observer, who is told while l.mu is held
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.contextLocked()
}

// contextLocked is the same for a caller that holds l.mu. The context is made
// now: a service that never asks for it need not keep it for each connection.
func (l *life) contextLocked() context.Context {
	w := l.within.Load()
	if w == nil {
		w = newWithin(context.Background(), l)
		if cause := l.endedBy(); cause != nil {
			w.cancel(cause)
		}
		l.within.Store(w)
	}
	return w.Context
}
