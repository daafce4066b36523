package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"
)

// Options configure a [Bridge]. A nil *Options and the zero value are safe:
// each zero field has the default that its comment gives.
type Options struct {
	// AllowedOrigins lists origins other than the request's own host whose
	// pages may connect: "https://app.example.com", "app.example.com:8443",
	// "*.example.com" (its subdomains), "localhost:*" (any port). Without a
	// scheme, http and https fit; without a port, the scheme's own. If none
	// of the authenticators is ambient and the list is empty, the origin is
	// not checked: a page must then know a token to get in.
	//
	// Behind a proxy that ends TLS, the service does not know that the page's
	// host is reached by https, and a page of http://host passes as its own;
	// HSTS keeps such pages from being served.
	AllowedOrigins []string

	// InsecureAnyOrigin lets a page of any origin connect with its visitor's
	// cookies (cross-site WebSocket hijacking).
	InsecureAnyOrigin bool

	// RefuseAfterUpgrade accepts a WebSocket that is to be refused, sends the
	// reason as an "unauthorized" event, and closes with 3000, 3003 (origin)
	// or 1013 (try again later). A browser hides the status of a refused
	// upgrade from its page; this it shows.
	RefuseAfterUpgrade bool

	// OmitEvents leaves out the "authenticated" and "deauthenticated" events,
	// for applications whose clients expect only their own frames. What a
	// client must know to log in, the "unauthorized" event, is still sent.
	OmitEvents bool

	// AuthTimeout bounds authentication: that of the upgrade request, and the
	// whole time that a connection may be pending. Default 15 s.
	AuthTimeout time.Duration

	// MaxPending bounds how many connections may wait for their first message
	// at once; one more is told to try again later. Default 1,024.
	MaxPending int

	// MaxPendingFrame is the longest authentication message in bytes.
	// Default 8,192.
	MaxPendingFrame int64

	// MaxAttempts is how many bad authentication messages in a row a
	// connection may send, pending or not, before it is closed. Default 3.
	MaxAttempts int

	// ReadLimit is the longest message in bytes that an authenticated client
	// may send; a longer one ends the connection with 1009. Default 1 MiB.
	ReadLimit int64

	// WriteTimeout bounds each write; a peer that does not read for so long
	// loses its connection. Default 10 s.
	WriteTimeout time.Duration

	// Sweep is how often the session of a live connection is read again
	// although no change of it was reported. Default 5 min where the store
	// reports changes, 10 s where it does not; negative: never.
	Sweep time.Duration

	// CacheBytes bounds the memory for identities whose session has not
	// changed since it was read, so that the next handshake with it needs no
	// store. They are used only while the store reports changes. Default
	// 32 MiB; negative: none.
	CacheBytes int64

	// MaxStale is how long a connection stays when it is time to look at its
	// session again and the store cannot be reached; a store that does not
	// answer is waited for 5 s at least. Default 30 s; negative: not at all.
	MaxStale time.Duration

	// Touch is how often, at the most, a client that sends something extends its
	// session's life as a visit to the web application does, where the stack
	// has such a thing. Default 0: never, which leaves the session's life to
	// the web application. Less than a minute is refused.
	Touch time.Duration

	// ExpiryNotice is how long before a token runs out its client is told so,
	// by an "expiring" event, so that it can send another "authenticate".
	// It is sent only where tokens may come by message. Default 60 s, or half
	// of the token's remaining life if that is shorter; negative: no notice.
	ExpiryNotice time.Duration

	// CloseAfter is how long a connection that waits for its first message may
	// try again after a bad attempt, within AuthTimeout. Default 0: until
	// AuthTimeout is over; negative: not at all.
	CloseAfter time.Duration

	// Bus carries [Bridge.Revoke] to the service's other nodes; nil: it acts
	// on this one alone. See stores.NewBus.
	Bus Bus

	// Observe, if set, is told what happens; see [Event]. It must not block.
	Observe func(context.Context, Event) context.Context

	// RetryAfter is what a client is told to wait before it tries again when
	// the store cannot be reached. Default 5 s.
	RetryAfter time.Duration

	// ConnContext, if set, gives the contexts of connections their values: it
	// is called with an upgrade request and a context without any, and returns
	// one that is made of it, as in [http.Server.ConnContext]. Without, a
	// connection's context has no values but the identity: those of the
	// request's would keep in memory, for as long as the connection lives, what
	// net/http needs for a request. An authenticator finds them in the context
	// of [Handshake.Request] when it is asked about a later message.
	ConnContext func(ctx context.Context, r *http.Request) context.Context

	// Subprotocols are the application's own, in order of preference.
	Subprotocols []string

	// Logger gets one line for each refusal and each end. Default
	// slog.Default().
	Logger *slog.Logger
}

// withDefaults returns a checked copy.
func (o *Options) withDefaults() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	if c.InsecureAnyOrigin && len(c.AllowedOrigins) > 0 {
		return c, errors.New("bridge: AllowedOrigins has no effect beside InsecureAnyOrigin; set one of them")
	}
	var errs []error
	errs = append(errs,
		setDefault("AuthTimeout", &c.AuthTimeout, 15*time.Second),
		setDefault("MaxPending", &c.MaxPending, 1024),
		setDefault("MaxPendingFrame", &c.MaxPendingFrame, 8<<10),
		setDefault("MaxAttempts", &c.MaxAttempts, 3),
		setDefault("ReadLimit", &c.ReadLimit, 1<<20),
		setDefault("WriteTimeout", &c.WriteTimeout, 10*time.Second),
		setDefault("RetryAfter", &c.RetryAfter, 5*time.Second))
	if c.CacheBytes == 0 {
		c.CacheBytes = 32 << 20
	}
	if c.MaxStale == 0 {
		c.MaxStale = 30 * time.Second
	}
	if c.ExpiryNotice == 0 {
		c.ExpiryNotice = time.Minute
	}
	if c.Touch != 0 && c.Touch < time.Minute {
		errs = append(errs, errors.New("bridge: Touch is less than a minute; every extension is a write that the store reports to all nodes"))
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, errors.Join(errs...)
}

// logPanic logs a panic that would otherwise end the process.
func (o *Options) logPanic(text string, v any) {
	o.Logger.LogAttrs(context.Background(), slog.LevelError, text, slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
}

// guardObserver lets an observer that panics do no harm to what it observes.
func (o *Options) guardObserver() {
	observe := o.Observe
	if observe == nil {
		return
	}
	o.Observe = func(ctx context.Context, e Event) (within context.Context) {
		within = ctx
		defer func() {
			if v := recover(); v != nil {
				o.logPanic("the observer panicked", v)
			}
		}()
		return observe(ctx, e)
	}
}

func setDefault[T int | int64 | time.Duration](name string, v *T, def T) error {
	if *v < 0 {
		return fmt.Errorf("bridge: %s is negative; leave it zero for the default, %v", name, def)
	}
	if *v == 0 {
		*v = def
	}
	return nil
}
