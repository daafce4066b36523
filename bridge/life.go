package bridge

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// reloadTimeout bounds one look at a session; stores have shorter
	// deadlines of their own.
	reloadTimeout = 5 * time.Second
	// reloadRetry is how soon a look is repeated when the store failed.
	reloadRetry = time.Second
	// minLook keeps a session with a tiny remaining lifetime, or a clock that
	// disagrees with the store's, from being read in a busy loop.
	minLook = 50 * time.Millisecond
)

// life is the state machine of one connection or request: pending, then
// authenticated, then ended.
type life struct {
	b        *Bridge
	ctx      context.Context
	cancel   context.CancelCauseFunc
	identity atomic.Pointer[Identity] // nil while pending
	dirty    atomic.Bool              // a bound session changed since authenticate began to read

	mu       sync.Mutex
	over     bool
	bindings []Binding
	look     *time.Timer     // fires when the identity must be looked at again
	held     time.Time       // when the identity was learnt
	stale    time.Time       // since when looking has failed; zero if it has not
	failure  error           // how it failed last
	shut     func(*EndError) // tells the transport; nil if there is none
}

// newLife begins a pending life, within ctx. It returns nil once the service
// drains.
func (b *Bridge) newLife(ctx context.Context) *life {
	l := &life{b: b}
	l.ctx, l.cancel = context.WithCancelCause(context.WithValue(ctx, contextKey{}, l))
	if !b.index.add(l) {
		l.cancel(nil)
		return nil
	}
	return l
}

// bind registers the life under a session's key.
func (l *life) bind(n Binding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || n.Key == "" || slices.ContainsFunc(l.bindings, func(o Binding) bool { return o.Key == n.Key }) {
		return
	}
	l.bindings = append(l.bindings, n)
	l.b.index.bind(n, l)
}

// load binds a session and reads it.
func (l *life) load(ctx context.Context, n Binding) (*Identity, error) {
	l.bind(n)
	return l.b.index.read(ctx, n)
}

// changed notes that a bound session changed, perhaps after it was read and
// before it was committed.
func (l *life) changed() { l.dirty.Store(true) }

// unbindExcept releases the sessions that the identity was not read from.
// The caller holds l.mu.
func (l *life) unbindExcept(key string) {
	l.bindings = slices.DeleteFunc(l.bindings, func(n Binding) bool {
		if n.Key == key {
			return false
		}
		l.b.index.unbind(n.Key, l)
		return true
	})
}

// attach sets what to do when the life is ended from this side. If it has
// been already, that is done now.
func (l *life) attach(shut func(*EndError)) {
	l.mu.Lock()
	l.shut = shut
	l.mu.Unlock()
	if e := (*EndError)(nil); errors.As(context.Cause(l.ctx), &e) {
		shut(e)
	}
}

// authenticate asks the bridge's authenticator and, on success, commits the
// identity, unless a session changed, or a change may have been missed, since
// it was read: then it asks again. After a failure no session stays bound that
// was not before.
func (l *life) authenticate(ctx context.Context, h *Handshake) (err error) {
	h.bind, h.load = l.bind, l.load
	defer func() { h.bind, h.load = nil, nil }()
	for range maxReads {
		l.dirty.Store(false)
		epoch := l.b.index.currentEpoch()
		var id *Identity
		if id, err = authenticate(ctx, l.b.auth, h); err == nil {
			var again bool
			if again, err = l.commitIfClean(id, epoch); again {
				err = errRestless
				continue
			}
		}
		break
	}
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		key := ""
		if old := l.identity.Load(); old != nil {
			key = old.Key
		}
		l.unbindExcept(key)
	}
	return err
}

// commitIfClean commits an identity that was read in epoch. It reports again
// if what was read may have changed.
func (l *life) commitIfClean(id *Identity, epoch uint64) (again bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id.Key != "" && (l.dirty.Load() || epoch != l.b.index.currentEpoch()) {
		return true, nil
	}
	return false, l.commit(id)
}

var (
	errOtherUser = errors.New("the credential is another user's")
	errNotBound  = errors.New("the identity's Key names no session that the authenticator has bound with Handshake.Bind")
)

// commit makes id the life's identity. A second one must be the same user's;
// a token that runs out before the present one changes nothing. The caller
// holds l.mu.
func (l *life) commit(id *Identity) error {
	if l.over {
		return context.Cause(l.ctx) // ended while the authenticator was asked
	}
	if id.Key != "" && !slices.ContainsFunc(l.bindings, func(n Binding) bool { return n.Key == id.Key }) {
		return errNotBound
	}
	if old := l.identity.Load(); old != nil {
		if !old.sameUser(id) {
			return Reject(CodeUserChanged, "the credential is another user's", errOtherUser)
		}
		if id.Key == "" && !id.Expires.IsZero() && (old.Expires.IsZero() || id.Expires.Before(old.Expires)) {
			l.unbindExcept(old.Key)
			return nil
		}
	}
	l.hold(id)
	return nil
}

// hold makes id the identity. The caller holds l.mu.
func (l *life) hold(id *Identity) {
	l.identity.Store(id)
	l.held, l.stale = time.Now(), time.Time{}
	l.unbindExcept(id.Key)
	l.schedule(id)
}

// schedule sets the timer for the next look. The caller holds l.mu.
func (l *life) schedule(id *Identity) {
	var d time.Duration
	if !id.Expires.IsZero() {
		d = max(time.Until(id.Expires), minLook)
	}
	if sweep := l.b.index.sweep(id.Key); sweep > 0 && l.reload(id) != nil {
		// Spread, so that connections made together are not read together.
		sweep -= rand.N(sweep/4 + 1)
		if d == 0 || sweep < d {
			d = sweep
		}
	}
	if d > 0 {
		l.arm(d)
	}
}

// arm lets lookAgain run after d. The caller holds l.mu.
func (l *life) arm(d time.Duration) {
	switch {
	case l.over:
	case l.look == nil:
		l.look = time.AfterFunc(d, l.lookAgain)
	default:
		l.look.Reset(d)
	}
}

// reload returns how to read id's session again; nil if there is no way. The
// caller holds l.mu.
func (l *life) reload(id *Identity) func(context.Context) (*Identity, error) {
	for _, n := range l.bindings {
		if n.Key == id.Key && n.Reload != nil {
			return n.Reload
		}
	}
	return nil
}

// lookAgain has it found out whether the identity still holds.
func (l *life) lookAgain() {
	l.mu.Lock()
	id := l.identity.Load()
	reload := l.reload(id)
	expired := id.expired(time.Now())
	if reload == nil && !expired {
		l.schedule(id) // authenticated anew as the timer fired
	}
	var away *EndError
	if !l.stale.IsZero() {
		if rest := l.b.opts.MaxStale - time.Since(l.stale); rest > 0 {
			l.arm(rest) // the look may take longer
		} else {
			away = &EndError{Code: CodeUnavailable, Err: l.failure}
		}
	}
	l.mu.Unlock()
	switch {
	case away != nil:
		l.end(away)
	case reload != nil:
		l.b.index.check(id.Key)
	case expired:
		l.end(&EndError{Code: id.expiredCode()})
	}
}

// judge draws the conclusion of a look at a session that began then.
func (l *life) judge(key string, began time.Time, fresh *Identity, err error) {
	if e := l.verdict(key, began, fresh, err); e != nil {
		l.end(e)
	}
}

// verdict returns why the life must end, or nil.
func (l *life) verdict(key string, began time.Time, fresh *Identity, err error) *EndError {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := l.identity.Load()
	switch {
	case l.over || id == nil || id.Key != key:
		return nil // not of this session any more, or not yet
	case l.held.After(began):
		// Authenticated anew meanwhile, perhaps by a reading older than this
		// one, so what it has just found must be looked for again.
		l.arm(minLook)
		return nil
	case err == nil && id.sameUser(fresh):
		l.hold(fresh)
		return nil
	case err == nil:
		return &EndError{Code: CodeUserChanged, Err: errOtherUser}
	case errors.Is(err, ErrNoCredential), errors.Is(err, ErrRejected):
		if id.expired(time.Now()) {
			return &EndError{Code: id.expiredCode(), Err: err}
		}
		return &EndError{Code: CodeSessionEnded, Err: err}
	}
	// An outage is no logout: look again soon, for a while.
	if l.stale.IsZero() {
		l.stale = began
	}
	l.failure = err
	wait := l.b.opts.MaxStale - time.Since(l.stale)
	if wait <= 0 {
		return &EndError{Code: CodeUnavailable, Err: err}
	}
	l.arm(min(wait, reloadRetry))
	return nil
}

// unverified reports whether the identity is of this session and was last seen
// to hold d ago or earlier.
func (l *life) unverified(key string, d time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := l.identity.Load()
	return id != nil && id.Key == key && time.Since(l.held) >= d
}

type reloader func(context.Context) (*Identity, error)

// Authenticate turns a panic into an error: it may run where nobody else would
// catch it, and others may wait for it.
func (f reloader) Authenticate(ctx context.Context, _ *Handshake) (_ *Identity, err error) {
	defer func() {
		if recover() != nil {
			err = errPanicked
		}
	}()
	return f(ctx)
}

func (id *Identity) expiredCode() Code {
	if id.Claims != nil {
		return CodeTokenExpired
	}
	return CodeSessionExpired
}

// end ends the life from this side, for a reason that the client is told. It
// does not wait for the client.
func (l *life) end(e *EndError) {
	if !l.release(e) {
		return
	}
	attrs := []slog.Attr{slog.String("code", string(e.Code))}
	if id := l.identity.Load(); id != nil {
		attrs = append(attrs, slog.String("via", id.Via))
	}
	if e.Err != nil {
		attrs = append(attrs, slog.String("reason", e.Err.Error()))
	}
	l.b.opts.Logger.LogAttrs(l.ctx, slog.LevelInfo, "connection ended", attrs...)
	l.mu.Lock()
	shut := l.shut
	l.mu.Unlock()
	if shut != nil {
		l.b.closers.add(func() { shut(e) })
	}
}

// release ends the life: its context is cancelled and no session is bound to
// it any more. It reports whether it was the first to do so.
func (l *life) release(cause error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return false
	}
	l.over = true
	if l.look != nil {
		l.look.Stop()
	}
	for _, n := range l.bindings {
		l.b.index.unbind(n.Key, l)
	}
	l.bindings = nil
	l.cancel(cause)
	return true
}

// active notes that the client has sent something.
func (l *life) active() {}

// forget releases a life behind which there is no connection.
func (l *life) forget(cause error) {
	l.release(cause)
	l.b.index.remove(l)
}
