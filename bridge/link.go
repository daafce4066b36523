package bridge

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

// Link is the life of a connection whose transport is not the bridge's own:
// another WebSocket library's, or one that speaks another dialect. An adapter
// opens it with the handshake, authenticates it as its dialect says, delivers
// nothing once its context has ended, and closes it with the connection.
//
//	l, err := b.Open(r)              // refused: answer with the *Refusal
//	defer l.Close(nil)
//	err = l.Authenticate(ctx, nil)   // by the request; or by a *Message
//	l.OnEnd(func(e *bridge.EndError) { … say why, and hang up … })
//
// It is safe for concurrent use.
type Link struct {
	life    *life
	request *http.Request
	judging chan struct{} // holds one element while Authenticate runs

	mu      sync.Mutex
	pending bool
	timeout *time.Timer
}

// Open begins the life of a connection with its handshake's request, whose
// origin it checks as [Bridge.Upgrade] does. Nobody is authenticated yet. The
// error is a [*Refusal], has been logged, and is the caller's to answer;
// otherwise the caller must call [Link.Close] in the end.
func (b *Bridge) Open(r *http.Request) (*Link, error) {
	l := b.newLife(r, true)
	if l == nil {
		ref := drainingRefusal()
		b.logRefusal(r, ref)
		return nil, ref
	}
	if ref := b.checkOrigin(r); ref != nil {
		l.forget(ref)
		b.logRefusal(r, ref)
		return nil, ref
	}
	return &Link{life: l, request: r, judging: make(chan struct{}, 1)}, nil
}

// Authenticate asks the bridge's authenticator: about the request if m is nil,
// else about a message. On success [Link.Identity] stands. It may be called
// again: a second identity must be the same user's, and a token that runs out
// before the present one changes nothing. If it is another user's, the life is
// ended with [CodeUserChanged].
//
// The error is a [*Refusal] and has been logged, unless it says that the
// request holds no credential; it leaves a former identity in force. It takes
// Options.AuthTimeout at the most.
func (l *Link) Authenticate(ctx context.Context, m *Message) (err error) {
	b := l.life.b
	var within deadline
	within.begin(ctx, b.opts.AuthTimeout)
	ctx = &within
	defer within.cancel()
	select {
	case l.judging <- struct{}{}:
		defer func() { <-l.judging }()
	case <-ctx.Done():
		ref := unavailable(context.Cause(ctx))
		b.logRefusal(l.request, ref)
		return ref
	}
	if b.opts.Observe != nil {
		var end func(*Identity, error)
		ctx, end = b.observeHandshake(ctx, l.request)
		err = errPanicked
		defer func() { end(l.Identity(), err) }()
	}
	err = l.life.authenticate(ctx, &Handshake{Request: l.request, Message: m})
	if err == nil {
		l.settle()
		return nil
	}
	if errors.Is(err, errOtherUser) {
		l.life.end(&EndError{Code: CodeUserChanged, Err: err})
	}
	ref := refusalFor(err, m)
	if m != nil || !errors.Is(err, ErrNoCredential) { // else it may be anonymous, or a message may follow
		b.logRefusal(l.request, ref)
	}
	return ref
}

// Wait lets the connection wait for its first message: without an identity it
// ends after d with [CodeTimeout]; 0 is Options.AuthTimeout, and what has
// passed since an earlier call does not count. The error is a [*Refusal]: as
// many connections as Options.MaxPending allows are waiting already.
func (l *Link) Wait(d time.Duration) error {
	b := l.life.b
	if d <= 0 {
		d = b.opts.AuthTimeout
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.life.over.Load() || l.life.identity.Load() != nil {
		return nil
	}
	if l.timeout != nil {
		l.timeout.Stop()
	}
	if !l.pending {
		if ref := b.enterPending(); ref != nil {
			b.logRefusal(l.request, ref)
			return ref
		}
		l.pending = true
	}
	l.timeout = time.AfterFunc(d, func() {
		if l.life.identity.Load() == nil {
			l.life.end(&EndError{Code: CodeTimeout, Err: errNoneInTime})
		}
	})
	return nil
}

// settle ends the waiting.
func (l *Link) settle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending {
		l.pending = false
		l.timeout.Stop()
		l.life.b.leavePending()
	}
}

// Identity returns who is at the other end, as last learnt; nil as long as
// nobody has been authenticated.
func (l *Link) Identity() *Identity { return l.life.identity.Load() }

// Context ends with the life, with the same cause as that of [Conn.Context],
// and carries its identity ([FromContext]).
func (l *Link) Context() context.Context { return l.life.context() }

// Request returns the handshake's request.
func (l *Link) Request() *http.Request { return l.request }

// OnEnd sets what to do when the life ends from this side: the session is
// gone, the token expired, an operator revoked it, the service drains. Nothing
// may be delivered any more but word of that. It is called once, outside all
// locks, in one of a bounded number of goroutines; at once if the life has
// ended already. It is not called because of [Link.Close].
func (l *Link) OnEnd(f func(*EndError)) { l.life.onEnd(f) }

// OnExpiring sets how to tell the client that its token runs out, at
// Identity.Expires, so that it can send another: once for each token, as long
// before as Options.ExpiryNotice says.
func (l *Link) OnExpiring(f func(*Identity)) { l.life.onExpiring(f) }

// End ends the life from this side, as a client's own wish does:
// &EndError{Code: CodeClientRequest}. A second end does nothing.
func (l *Link) End(e *EndError) { l.life.end(e) }

// Active tells that the client has sent something, which keeps its login alive
// if Options.Touch says so.
func (l *Link) Active() { l.life.active() }

// Close tells that the connection is gone, because of cause; nil is
// [ErrClosed]. A second call does nothing.
func (l *Link) Close(cause error) {
	if cause == nil {
		cause = ErrClosed
	}
	l.life.forget(cause)
	l.settle() // after it, no other Wait begins
}
