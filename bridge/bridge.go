package bridge

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// Bridge is the one hook: it authenticates connections and ends them when
// their identity does. It is safe for concurrent use.
type Bridge struct {
	auth        Authenticator
	opts        Options
	traits      Traits
	origins     []originPattern
	guardOrigin bool
	roomy       bool // handshakes are judged in a larger stack; see makeRoom
	upgrader    websocket.Upgrader
	index       *index
	deadlines   deadlines
	closers     closers
	touchers    closers
	pending     atomic.Int64
	began       time.Time
	node        string // tells this bridge from others on the bus
	revocations atomic.Int64

	ctx       context.Context // ends when the service has drained
	stop      context.CancelFunc
	followers sync.WaitGroup
}

// New returns the hook over an authenticator, and begins to follow what its
// stores report, until [Bridge.Shutdown]. Options may be nil. It refuses
// options that are unsafe or that make no sense, and says what to write
// instead.
func New(a Authenticator, opts *Options) (*Bridge, error) {
	if err := validate(a); err != nil {
		return nil, err
	}
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	b := &Bridge{auth: a, opts: o, traits: TraitsOf(a), began: time.Now().Add(-1), node: rand.Text()}
	b.opts.guardObserver()
	b.index, b.deadlines.b = newIndex(b), b
	b.closers = closers{max: maxClosers, relieved: maxRelieved, log: b.opts.logPanic}
	b.touchers = closers{max: maxTouchers, relieved: maxTouchers, log: b.opts.logPanic}
	for _, s := range o.AllowedOrigins {
		p, err := parseOriginPattern(s)
		if err != nil {
			return nil, err
		}
		b.origins = append(b.origins, p)
	}
	b.guardOrigin = !o.InsecureAnyOrigin && (b.traits.Ambient || len(b.origins) > 0)
	b.upgrader = websocket.Upgrader{
		// The origin has been judged before. Write buffers only while something
		// is written: an idle connection is cheap. The read buffer is the Conn's.
		CheckOrigin:      func(*http.Request) bool { return true },
		Subprotocols:     slices.Concat(o.Subprotocols, b.traits.Subprotocols),
		HandshakeTimeout: o.WriteTimeout,
		WriteBufferSize:  1024,
		WriteBufferPool:  &sync.Pool{},
	}
	sources, err := b.index.addSources(FeedsOf(a))
	if err != nil {
		return nil, err
	}
	b.roomy = len(sources) == 0 || o.CacheBytes < 0
	b.ctx, b.stop = context.WithCancel(context.Background())
	for _, s := range sources {
		b.followers.Go(func() { b.follow(b.ctx, s) })
	}
	if o.Bus != nil {
		b.followers.Go(func() { b.followBus(b.ctx) })
	}
	return b, nil
}

// clock is a time without its bulk: that since the bridge was made. It is
// never 0.
func (b *Bridge) clock() time.Duration { return time.Since(b.began) }

// Handler serves WebSocket connections: serve is called with each connection
// once its identity stands, and the connection is closed when serve returns:
// with 1000 (normal), or 1011 (internal error) if serve panics, which is
// logged. Refused handshakes are answered without it.
//
// The handler itself returns once serve has been started on a goroutine of its
// own: what net/http keeps for a request is several times what an idle
// connection needs. [Bridge.Shutdown] waits for all of them.
func (b *Bridge) Handler(serve func(*Conn)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := b.Upgrade(w, r)
		if err != nil {
			return // answered and logged
		}
		go func() { // with as little on its stack as may be
			defer c.leave()
			serve(c)
		}()
	})
}

// Upgrade authenticates the handshake and upgrades the connection. It returns
// once the identity stands, which for a credential in a message takes up to
// Options.AuthTimeout. The caller must close the connection. On an error the
// client has been answered and the reason logged.
func (b *Bridge) Upgrade(w http.ResponseWriter, r *http.Request) (*Conn, error) {
	switch {
	case !websocket.IsWebSocketUpgrade(r):
		return nil, b.notAWebSocket(w, r)
	case b.roomy:
		makeRoom()
	}
	if b.opts.Observe != nil {
		return b.upgradeObserved(w, r)
	}
	return b.upgrade(w, r)
}

// upgradeObserved is upgrade with its two events. They are large, and a
// handshake that nobody observes need not have them on its stack.
//
//go:noinline
func (b *Bridge) upgradeObserved(w http.ResponseWriter, r *http.Request) (*Conn, error) {
	var id *Identity
	err := errPanicked
	ctx, end := b.observeHandshake(r.Context(), r)
	defer func() { end(id, err) }()
	c, err := b.upgrade(w, r.WithContext(ctx))
	if err == nil {
		id = c.Identity()
	}
	return c, err
}

// observeHandshake has a handshake's begin observed, and returns the context
// that it is judged in, and what has its end observed.
func (b *Bridge) observeHandshake(ctx context.Context, r *http.Request) (within context.Context, end func(*Identity, error)) {
	began := time.Now()
	ctx = b.opts.Observe(ctx, Event{Kind: EventHandshakeBegin, Request: r})
	return ctx, func(id *Identity, err error) {
		b.opts.Observe(ctx, handshakeEvent(r, id, err, time.Since(began)))
	}
}

func (b *Bridge) upgrade(w http.ResponseWriter, r *http.Request) (*Conn, error) {
	began := b.clock()
	l, ref := b.admit(r, true)
	if ref != nil {
		return b.upgradeAnyway(w, r, l, ref, b.began.Add(began+b.opts.AuthTimeout))
	}
	c, err := b.connect(w, r, l)
	if err != nil {
		return nil, err
	}
	c.ws.SetReadLimit(b.opts.ReadLimit)
	if err := b.welcome(c, r); err != nil {
		return nil, err
	}
	return c, nil
}

// notAWebSocket answers a request that is no handshake.
func (b *Bridge) notAWebSocket(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Upgrade", "websocket")
	w.Header().Set("Connection", "Upgrade")
	http.Error(w, "this is a WebSocket: connect with ws:// or wss://", http.StatusUpgradeRequired)
	err := errors.New("bridge: the request is not a WebSocket handshake")
	b.logFailure(r, err)
	return err
}

// connect upgrades a handshake that was judged.
func (b *Bridge) connect(w http.ResponseWriter, r *http.Request, l *life) (*Conn, error) {
	c := &Conn{life: l}
	err := errUpgradePanicked
	defer func() {
		if err != nil {
			l.forget(err)
		}
	}()
	if err = c.upgrade(w, r); err != nil {
		b.logFailure(r, err)
		return nil, err
	}
	l.attach(c)
	return c, nil
}

// welcome begins to serve a connection that is authenticated, and tells the
// client who it is. On an error the connection is closed.
func (b *Bridge) welcome(c *Conn, r *http.Request) error {
	if b.traits.Message {
		c.request = keep(r)
	}
	if b.opts.OmitEvents {
		return nil
	}
	err := c.WriteMessage(websocket.TextMessage, authenticatedEvent(c.Identity()))
	if err != nil {
		b.logFailure(r, err)
		c.finish(closeInternalError)
	}
	return err
}

// upgradeAnyway deals with a handshake that holds no login: it waits for one
// on the open socket if one may come so, or else refuses.
//
//go:noinline
func (b *Bridge) upgradeAnyway(w http.ResponseWriter, r *http.Request, l *life, ref *Refusal, deadline time.Time) (*Conn, error) {
	wait := errors.Is(ref.Err, ErrNoCredential) && b.traits.Message
	if wait {
		if full := b.enterPending(); full != nil {
			wait, ref = false, full
		} else {
			defer b.leavePending()
		}
	}
	if !wait && (l == nil || !b.opts.RefuseAfterUpgrade) {
		b.refuse(w, r, l, ref)
		return nil, ref
	}
	c, err := b.connect(w, r, l)
	if err != nil {
		return nil, err
	}
	admitted := false
	defer func() {
		if !admitted { // an authenticator may have panicked, too
			c.finish(closeInternalError)
		}
	}()
	if wait {
		asked := ref.Err
		if ref = c.await(r, deadline); ref != nil { // a cookie that was not recognised is the likelier cause
			ref.Err = fmt.Errorf("%w; of the request: %v", ref.Err, asked)
		}
	} else {
		c.turnAway(ref)
	}
	if ref != nil {
		if !errors.Is(ref.Err, errGaveUp) {
			b.logRefusal(r, ref)
		}
		return nil, ref
	}
	admitted = true
	if err := b.welcome(c, r); err != nil {
		return nil, err
	}
	return c, nil
}

// Middleware authenticates each request and calls next with a context that
// carries the identity (see [FromContext]) and ends with it, its cause an
// [*EndError]. It serves whatever next is: another WebSocket library, an event
// stream, a plain handler. Credentials in messages are out of its reach.
func (b *Bridge) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l, ref := b.admitRequest(&r)
		if ref != nil {
			b.refuse(w, r, l, ref)
			return
		}
		defer l.forget(context.Canceled)
		next.ServeHTTP(w, r.WithContext(l.context()))
	})
}

// admitRequest is admit for a request that is served within its own context. If
// it is observed, the request is given the observer's.
func (b *Bridge) admitRequest(r **http.Request) (l *life, ref *Refusal) {
	if b.opts.Observe == nil {
		return b.admit(*r, false)
	}
	var id *Identity
	err := errPanicked
	ctx, end := b.observeHandshake((*r).Context(), *r)
	defer func() { end(id, err) }()
	*r = (*r).WithContext(ctx)
	if l, ref = b.admit(*r, false); ref != nil {
		err = ref
	} else {
		id, err = l.identity.Load(), nil
	}
	return l, ref
}

// Len returns how many connections and requests are being served, pending ones
// included.
func (b *Bridge) Len() int {
	b.index.mu.Lock()
	defer b.index.mu.Unlock()
	return b.index.count
}

// enterPending counts a connection that waits for its first message; it
// refuses one more than Options.MaxPending.
func (b *Bridge) enterPending() *Refusal {
	if b.pending.Add(1) > int64(b.opts.MaxPending) {
		b.pending.Add(-1)
		return unavailable(errPendingFull)
	}
	if b.opts.Observe != nil {
		b.opts.Observe(b.ctx, Event{Kind: EventPendingBegin})
	}
	return nil
}

func (b *Bridge) leavePending() {
	b.pending.Add(-1)
	if b.opts.Observe != nil {
		b.opts.Observe(b.ctx, Event{Kind: EventPendingEnd})
	}
}

// admit begins a life, which may outlast the request or not, and judges the
// request. The life is nil only if the service drains.
func (b *Bridge) admit(r *http.Request, outlasts bool) (l *life, ref *Refusal) {
	l = b.newLife(r, outlasts)
	if l == nil {
		return nil, drainingRefusal()
	}
	judged := false
	defer func() {
		if !judged {
			l.forget(errPanicked)
		}
	}()
	ref = b.checkOrigin(r)
	if ref == nil {
		ref = l.judgeRequest(r)
	}
	judged = true
	return l, ref
}

// attempt is what the authenticator is asked about, and until when.
type attempt struct {
	Handshake
	deadline
}

// judgeRequest asks the authenticator about the upgrade request.
func (l *life) judgeRequest(r *http.Request) *Refusal {
	a := &attempt{Handshake: Handshake{Request: r}}
	a.begin(r.Context(), l.b.opts.AuthTimeout)
	defer a.cancel()
	if err := l.authenticate(&a.deadline, &a.Handshake); err != nil {
		return refusalFor(err, nil)
	}
	return nil
}

func drainingRefusal() *Refusal {
	return &Refusal{CodeDraining, CodeDraining.message(), errors.New("the service is stopping")}
}

var errPanicked = errors.New("the authenticator panicked")

// errUpgradePanicked: of gorilla or of middleware, whose Hijack may be its own.
var errUpgradePanicked = errors.New("the upgrade panicked")

// refuse answers a request that was not upgraded.
func (b *Bridge) refuse(w http.ResponseWriter, r *http.Request, l *life, ref *Refusal) {
	if l != nil {
		l.forget(ref)
	}
	b.logRefusal(r, ref)
	ref.serveHTTP(w, b.opts.RetryAfter, b.traits.Challenge)
}

func (b *Bridge) logRefusal(r *http.Request, ref *Refusal) {
	level := slog.LevelInfo
	if ref.Code == CodeUnavailable && !errors.Is(ref.Err, context.Canceled) { // that is a client that left
		level = slog.LevelError
	}
	b.opts.Logger.LogAttrs(r.Context(), level, "handshake refused",
		slog.String("code", string(ref.Code)), slog.String("reason", ref.Err.Error()),
		slog.String("remote", r.RemoteAddr))
}

func (b *Bridge) logFailure(r *http.Request, err error) {
	b.opts.Logger.LogAttrs(r.Context(), slog.LevelInfo, "upgrade failed",
		slog.String("reason", err.Error()), slog.String("remote", r.RemoteAddr))
}
