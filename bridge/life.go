package bridge

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
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
	identity atomic.Pointer[Identity] // nil while pending
	over     atomic.Bool              // set under mu
	cause    error                    // why it is over; never changed then
	within   atomic.Pointer[within]   // nil until somebody asks for the context
	touched  atomic.Int64             // when the client was last active, as far as that matters

	prev, next *life // of index.lives, like listed guarded by index.mu
	place      int32 // in deadlines.soon, from 1, or in deadlines.later, from -1 down; 0 for none; guarded by deadlines.mu
	listed     bool

	told    bool // shut has been called, or is about to be; like all below guarded by mu
	judging bool // the authenticator is being asked
	mu      sync.Mutex
	revoked *targets      // meanwhile; nil for nobody
	first   *membership   // of the sessions that are bound
	began   time.Duration // when somebody was authenticated, by Bridge.clock
	held    time.Duration // when the identity was learnt
	notice  time.Duration // when the client is told that it runs out; 0 for never
	doubt   *doubt        // nil unless a look is awaited, or has failed
	conn    *Conn         // the bridge's own; nil if there is none
	hooks   *hooks        // of another transport; nil if there is none
}

// hooks are how a transport that is not the bridge's own is told something. Both
// may be nil.
type hooks struct {
	shut func(*EndError) // that the life is over
	warn func(*Identity) // that the identity runs out
}

// doubt is the time since which it is not known whether the identity holds.
type doubt struct {
	since time.Duration // by Bridge.clock
	err   error         // of the last look; nil while the first is awaited
}

// newLife begins a pending life with a request, within the request's context
// unless it may outlast it. It returns nil once the service drains.
func (b *Bridge) newLife(r *http.Request, outlasts bool) *life {
	l := &life{b: b}
	switch f := b.opts.ConnContext; {
	case !outlasts:
		l.within.Store(newWithin(r.Context(), l))
	case f != nil:
		l.within.Store(newWithin(context.WithoutCancel(f(context.Background(), r)), l))
	}
	if !b.index.add(l) {
		l.release(ErrClosed)
		return nil
	}
	return l
}

// bind registers the life under a session's key. It returns the identity in the
// cache; nil if there is none that may be used.
func (l *life) bind(n *Binding) (cached *Identity) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over.Load() || n.Key == "" || l.membership(n.Key) != nil {
		return l.b.index.lookup(n.Key)
	}
	m, cached := l.b.index.bind(n, l)
	m.sibling, l.first = l.first, m
	return cached
}

// membership returns the life's place in a session's entry, or nil. The caller
// holds l.mu.
func (l *life) membership(key string) *membership {
	for m := l.first; m != nil; m = m.sibling {
		if m.entry.key == key {
			return m
		}
	}
	return nil
}

// unbindExcept releases the sessions that the identity was not read from.
// The caller holds l.mu.
func (l *life) unbindExcept(key string) {
	var keep *membership
	for m := l.first; m != nil; {
		next := m.sibling
		if m.entry.key == key {
			m.sibling, keep = nil, m
		} else {
			l.b.index.unbind(m)
		}
		m = next
	}
	l.first = keep
}

// attach gives the life its connection. If it has been ended already, that is
// shut now.
func (l *life) attach(c *Conn) {
	l.mu.Lock()
	l.conn = c
	told := l.told
	l.mu.Unlock()
	if told {
		l.tell(c.shut)
	}
}

// onEnd sets what to do when the life is ended from this side. If it has been
// already, it is done now.
func (l *life) onEnd(f func(*EndError)) {
	l.mu.Lock()
	l.hook().shut = f
	told := l.told
	l.mu.Unlock()
	if told {
		l.tell(f)
	}
}

// onExpiring sets what to do when the identity runs out.
func (l *life) onExpiring(f func(*Identity)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hook().warn = f
}

// hook returns the life's hooks. The caller holds l.mu.
func (l *life) hook() *hooks {
	if l.hooks == nil {
		l.hooks = &hooks{}
	}
	return l.hooks
}

// tell tells a transport why the life is over, if it was ended from this side.
func (l *life) tell(shut func(*EndError)) {
	if e, ok := errors.AsType[*EndError](l.endedBy()); ok && shut != nil {
		shut(e)
	}
}

// transport returns how whoever is behind the life is told of its end, and of
// its identity's running out; nil for not at all. The caller holds l.mu.
func (l *life) transport() (shut func(*EndError), warn func(*Identity)) {
	switch {
	case l.conn != nil:
		return l.conn.shut, l.conn.warn
	case l.hooks != nil:
		return l.hooks.shut, l.hooks.warn
	}
	return nil, nil
}

// authenticate asks the bridge's authenticator and, on success, commits the
// identity, unless a session changed, or a change may have been missed, since
// it was read: then it asks again. After a failure no session stays bound that
// was not before.
func (l *life) authenticate(ctx context.Context, h *Handshake) (err error) {
	h.life = l
	defer func() {
		h.life = nil
		l.mu.Lock()
		defer l.mu.Unlock()
		l.judging, l.revoked = false, nil
	}()
	for range maxReads {
		l.renew()
		var id *Identity
		if id, err = authenticate(ctx, l.b.auth, h); err == nil {
			var again bool
			if again, err = l.commitIfClean(id); again {
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

// renew has the sessions that are bound already judged by their changes from
// here on.
func (l *life) renew() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.judging, l.revoked = true, nil
	if l.first != nil {
		l.b.index.renew(l.first)
	}
}

// commitIfClean commits an identity. It reports again if the session that it
// was read from changed meanwhile, or may have.
func (l *life) commitIfClean(id *Identity) (again bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := l.membership(id.Key); m != nil && !l.b.index.clean(m) {
		return true, nil
	}
	if l.revoked != nil && l.revoked.match(id) {
		return true, nil // as a handshake that comes later is judged
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
	if cause := l.endedBy(); cause != nil {
		return cause // ended while the authenticator was asked
	}
	if id.Key != "" && l.membership(id.Key) == nil {
		return errNotBound
	}
	if old := l.identity.Load(); old != nil {
		if !old.sameUser(id) {
			return Reject(CodeUserChanged, "the credential is another user's", errOtherUser)
		}
		if id.Claims != nil && !id.Expires.IsZero() && (old.Expires.IsZero() || id.Expires.Before(old.Expires)) {
			l.unbindExcept(old.Key)
			return nil
		}
	}
	l.unbindExcept(id.Key)
	l.hold(id)
	return nil
}

// hold makes id the identity. The caller holds l.mu.
func (l *life) hold(id *Identity) {
	old, now := l.identity.Swap(id), time.Now()
	l.held, l.doubt = now.Sub(l.b.began), nil
	if old == nil {
		l.began = l.held
		if observe := l.b.opts.Observe; observe != nil {
			observe(l.contextLocked(), Event{Kind: EventConnectionBegin, Via: id.Via})
		}
	}
	if old == nil || !old.Expires.Equal(id.Expires) {
		l.notice = l.noticeTime(id)
	}
	l.schedule(id, now)
}

// schedule sets the time of the next look. The caller holds l.mu.
func (l *life) schedule(id *Identity, now time.Time) {
	var d time.Duration
	if !id.Expires.IsZero() {
		d = max(id.Expires.Sub(now), 1)
		if id.Claims == nil { // else nobody is asked then
			d = max(d, minLook)
		}
		if l.notice != 0 {
			d = min(d, max(l.notice-now.Sub(l.b.began), minLook))
		}
	}
	if m := l.membership(id.Key); m != nil {
		if sweep := l.b.index.sweep(m); sweep > 0 {
			// Spread, so that connections made together are not read together.
			sweep -= rand.N(sweep/4 + 1)
			if d == 0 || sweep < d {
				d = sweep
			}
		}
	}
	if d > 0 {
		l.arm(d)
	}
}

// noticeTime returns when the client is told that its token runs out; 0 for
// never. Of a short life no more than half has passed by then.
func (l *life) noticeTime(id *Identity) time.Duration {
	left := min(time.Until(id.Expires), farOff)
	if l.b.opts.ExpiryNotice < 0 || id.Claims == nil || id.Expires.IsZero() || left <= 0 {
		return 0
	}
	return l.b.clock() + left - min(l.b.opts.ExpiryNotice, left/2)
}

// arm lets lookAgain run after d. The caller holds l.mu.
func (l *life) arm(d time.Duration) {
	if !l.over.Load() {
		l.b.deadlines.set(l, d)
	}
}

// lookAgain has it found out whether the identity still holds.
func (l *life) lookAgain() {
	l.mu.Lock()
	if l.over.Load() {
		l.mu.Unlock()
		return
	}
	id, now := l.identity.Load(), time.Now()
	m := l.membership(id.Key)
	reload := m != nil && l.b.index.reloads(m)
	expired := id.expired(now)
	final := expired && (!reload || id.Claims != nil) // no store can tell otherwise
	var warn func(*Identity)
	if l.notice != 0 && l.b.clock() >= l.notice && !expired {
		l.notice = 0
		_, warn = l.transport()
	}
	var away *EndError
	switch {
	case final:
	case !reload:
		l.schedule(id, now)
	case l.doubt != nil && l.doubt.err != nil:
		if rest := l.b.opts.MaxStale - (l.b.clock() - l.doubt.since); rest > 0 {
			l.arm(rest) // the look may take longer
		} else {
			away = &EndError{Code: CodeUnavailable, Err: l.doubt.err}
		}
	default:
		// The look sets the next time itself, when it is done; but it may have
		// to wait for others that hang.
		if l.doubt == nil {
			l.doubt = &doubt{since: l.b.clock()}
		}
		if rest := max(l.b.opts.MaxStale, 0) + reloadTimeout - (l.b.clock() - l.doubt.since); rest > 0 {
			l.arm(rest)
		} else {
			away = &EndError{Code: CodeUnavailable, Err: errNoLook}
		}
	}
	l.mu.Unlock()
	switch {
	case away != nil:
		l.end(away)
	case final:
		l.end(&EndError{Code: id.expiredCode()})
	case reload:
		l.b.index.check(id.Key)
	}
	if warn != nil && away == nil {
		l.b.closers.add(func() {
			if !l.over.Load() {
				warn(id)
			}
		})
	}
}

var errNoLook = errors.New("the session could not be looked at in time")

// judge draws the conclusion of a look at a session that began then.
func (l *life) judge(key string, began time.Duration, fresh *Identity, err error) {
	if e := l.verdict(key, began, fresh, err); e != nil {
		l.end(e)
	}
}

// verdict returns why the life must end, or nil.
func (l *life) verdict(key string, began time.Duration, fresh *Identity, err error) *EndError {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := l.identity.Load()
	switch {
	case l.over.Load() || id == nil || id.Key != key:
		return nil // not of this session any more, or not yet
	case l.held > began:
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
		return &EndError{Code: id.endCode(err), Err: err}
	}
	// An outage is no logout: look again soon, for a while.
	switch {
	case l.doubt == nil:
		l.doubt = &doubt{since: began}
	case l.doubt.err == nil:
		l.doubt.since = min(began, l.doubt.since)
	}
	l.doubt.err = err
	wait := l.b.opts.MaxStale - (l.b.clock() - l.doubt.since)
	if wait <= 0 {
		return &EndError{Code: CodeUnavailable, Err: err}
	}
	l.arm(min(wait, reloadRetry))
	return nil
}

// endCode says why an identity that a look has not confirmed is over.
func (id *Identity) endCode(err error) Code {
	rej := (*rejection)(nil)
	switch {
	case errors.As(err, &rej) && rej.code == CodeRevoked:
		return CodeRevoked
	case id.expired(time.Now()):
		return id.expiredCode()
	case id.Claims != nil && id.Session == nil:
		return CodeRevoked // a token whose time is not over does not hold any more
	}
	return CodeSessionEnded
}

// unverified reports whether the identity is of this session and was last seen
// to hold d ago or earlier.
func (l *life) unverified(key string, d time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := l.identity.Load()
	return id != nil && id.Key == key && l.b.clock()-l.held >= d
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
	l.b.opts.Logger.LogAttrs(l.context(), slog.LevelInfo, "connection ended", attrs...)
	l.mu.Lock()
	shut, _ := l.transport()
	l.told = true
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
	if l.over.Load() {
		return false
	}
	l.cause = cause
	l.over.Store(true)
	if w := l.within.Load(); w != nil {
		w.cancel(cause)
	}
	l.b.deadlines.remove(l)
	for m := l.first; m != nil; m = m.sibling {
		l.b.index.unbind(m)
	}
	l.first, l.doubt = nil, nil
	if l.b.opts.Observe != nil {
		l.observeEnd()
	}
	return true
}

// observeEnd has the end of an authenticated connection observed. The caller
// holds l.mu. The event is large, and an end that nobody observes need not have
// it on its stack.
//
//go:noinline
func (l *life) observeEnd() {
	if id := l.identity.Load(); id != nil {
		l.b.opts.Observe(l.contextLocked(), connectionEndEvent(id, l.cause, l.b.clock()-l.began))
	}
}

// active notes that the client has sent something, and keeps its session alive
// if Options.Touch says so.
func (l *life) active() {
	every := l.b.opts.Touch
	if every <= 0 {
		return
	}
	now, last := int64(l.b.clock()), l.touched.Load()
	if last != 0 && now-last < int64(every) || !l.touched.CompareAndSwap(last, now) {
		return
	}
	id := l.identity.Load()
	if id == nil {
		return
	}
	if l.b.index.touches(id.Key) {
		l.b.touchers.add(func() { l.touch(id.Key) })
	}
}

// touch keeps a session alive, unless it is over or another connection did.
func (l *life) touch(key string) {
	if l.over.Load() {
		return
	}
	touch := l.b.index.touch(key)
	if touch == nil {
		return
	}
	ctx, cancel := context.WithTimeout(l.context(), reloadTimeout)
	defer cancel()
	_, err := reloader(func(ctx context.Context) (*Identity, error) { return nil, touch(ctx) }).Authenticate(ctx, nil)
	if err != nil && !l.over.Load() {
		l.b.opts.Logger.LogAttrs(ctx, slog.LevelWarn, "the session could not be kept alive", slog.String("reason", err.Error()))
	}
}

// endedBy returns why the life is over; nil if it is not.
func (l *life) endedBy() error {
	if !l.over.Load() {
		return nil
	}
	return l.cause
}

// forget releases a life behind which there is no connection.
func (l *life) forget(cause error) {
	defer l.b.index.remove(l)
	l.release(cause)
}
