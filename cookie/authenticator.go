package cookie

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/stores"
)

// Authenticator is a [bridge.Authenticator] by a session cookie.
type Authenticator struct {
	store stores.Store
	stack Stack
	feed  string // names the authenticator in keys of bindings
}

var authenticators atomic.Int64

// New returns an authenticator for a stack whose sessions are in a store. The
// store may be nil for a stack that keeps them in the cookie.
func New(store stores.Store, stack Stack) (*Authenticator, error) {
	if err := stack.validate(); err != nil {
		return nil, err
	}
	if store == nil && !holdsSession(stack.Opener) {
		return nil, fmt.Errorf("cookie: %s: the store is nil", stack.Name)
	}
	if stack.FindUser == nil {
		stack.FindUser = stores.UserID
	}
	a := &Authenticator{store: store, stack: stack}
	if store != nil {
		// Two stacks may read one session differently, so the name is not the
		// store's alone.
		a.feed = fmt.Sprintf("%s/%s-%d", store.Name(), stack.Name, authenticators.Add(1))
	}
	return a, nil
}

// Feeds implements [bridge.FeedsOf]: the store's changes, if it reports them.
func (a *Authenticator) Feeds() []bridge.Feed {
	w, ok := a.store.(stores.Watchable)
	if !ok {
		return nil
	}
	return []bridge.Feed{{
		Name:     a.feed,
		Store:    a.store.Name(),
		Prefixes: append([]string{a.stack.Keyspace.Prefix}, a.stack.Keyspace.Alternatives...),
		Follow: func(ctx context.Context, prefixes []string, f bridge.Follower) error {
			return w.Watch(ctx, prefixes, f)
		},
	}}
}

// Traits implements [bridge.TraitsOf]: a cookie is ambient.
func (a *Authenticator) Traits() bridge.Traits { return bridge.Traits{Ambient: true} }

// Authenticate implements [bridge.Authenticator]. A request without the
// cookie, and a session that is unknown, over or nobody's, is no credential; a
// cookie that is forged or malformed is rejected; and a value that cannot be
// decoded could not be found out.
func (a *Authenticator) Authenticate(ctx context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
	if h.Message != nil {
		return nil, a.noCredential(errors.New("reads no messages"))
	}
	opened, err := a.stack.Opener.Open(JarOf(h.Request), a.stack.Cookie)
	if errors.Is(err, ErrNoCookie) {
		return nil, a.noCredential(err)
	}
	if err == nil {
		err = a.check(opened)
	}
	if err != nil {
		return nil, a.reject(err)
	}
	if opened.Value != nil {
		return a.identity("", stores.Record{Found: true, Value: opened.Value, TTL: -1})
	}
	return h.Load(ctx, a.binding(opened.ID))
}

var errUnsignedValue = errors.New("the cookie holds a session that nothing vouches for")

// check refuses what a client may have made up itself.
func (a *Authenticator) check(o Opened) error {
	switch {
	case o.Value != nil && !o.Signed:
		return errUnsignedValue
	case o.Value != nil:
		return nil
	case o.Signed:
		return stores.CheckSigned(o.ID)
	}
	return a.stack.Keyspace.ID.Check(o.ID)
}

func (a *Authenticator) noCredential(err error) error {
	return fmt.Errorf("%w: %s: %w", bridge.ErrNoCredential, a.stack.Name, err)
}

func (a *Authenticator) reject(err error) error {
	return bridge.Reject(bridge.CodeInvalidSession, "the session cookie is not valid", fmt.Errorf("%s: %w", a.stack.Name, err))
}

// bindingKey names a session uniquely in the process.
func (a *Authenticator) bindingKey(k stores.Key) string { return a.feed + "/" + k.String() }

// binding ties a connection to the session, whichever of its keys it has.
func (a *Authenticator) binding(id string) bridge.Binding {
	keys := a.stack.Keyspace.Keys(id)
	b := bridge.Binding{
		Key:    a.bindingKey(keys[0]),
		Feed:   a.feed,
		Reload: func(ctx context.Context) (*bridge.Identity, error) { return a.load(ctx, id) },
	}
	for _, k := range keys[1:] {
		b.Aliases = append(b.Aliases, a.bindingKey(k))
	}
	if t, ok := a.store.(stores.Toucher); ok && a.stack.Keyspace.Lifetime > 0 {
		b.Touch = func(ctx context.Context) error { return a.touch(ctx, t, id) }
	}
	return b
}

// load reads the session and finds its user.
func (a *Authenticator) load(ctx context.Context, id string) (*bridge.Identity, error) {
	keys := a.stack.Keyspace.Keys(id)
	records, err := a.store.Fetch(ctx, keys...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.stack.Name, err)
	}
	return a.identity(a.bindingKey(keys[0]), records[stores.FirstFound(records)])
}

// touch extends the session as its stack does.
func (a *Authenticator) touch(ctx context.Context, t stores.Toucher, id string) error {
	if err := a.stack.Keyspace.Touch(ctx, t, id); err != nil {
		return fmt.Errorf("%s: %w", a.stack.Name, err)
	}
	return nil
}

// identity says who is logged in to a session; key is its binding's.
func (a *Authenticator) identity(key string, r stores.Record) (*bridge.Identity, error) {
	session, err := a.stack.Keyspace.Decode(r, time.Now())
	var user string
	if err == nil {
		user, err = a.stack.FindUser(session, a.stack.User)
	}
	switch {
	case errors.Is(err, stores.ErrNotFound), errors.Is(err, stores.ErrExpired), errors.Is(err, stores.ErrNoUser):
		return nil, a.noCredential(err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", a.stack.Name, err)
	}
	return &bridge.Identity{User: user, Via: a.stack.Name, Expires: session.Expires, Session: session, Key: key, Size: len(r.Value)}, nil
}
