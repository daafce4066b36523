package cookie

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/stores"
)

// Authenticator is a [bridge.Authenticator] by a session cookie.
type Authenticator struct {
	store   stores.Store
	toucher stores.Toucher // the store, if it can extend sessions
	stack   Stack
	feed    string // names the authenticator in keys of bindings
	missing error  // says where sessions are looked for
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
	a.missing = missing(store, &a.stack)
	if store != nil {
		a.toucher, _ = store.(stores.Toucher)
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
		Follow:   w.Watch,
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
		return nil, a.noCredential(errNoMessages)
	}
	opened, err := a.stack.Opener.Open(JarOf(h.Request), a.stack.Cookie)
	if err == nil {
		err = a.check(opened)
	}
	switch {
	case errors.Is(err, ErrNoCookie):
		return nil, a.noCredential(otherCookies(err, h.Request, a.stack.Cookie))
	case err != nil:
		return nil, a.reject(err)
	case opened.Value != nil:
		return a.held(opened.Value)
	}
	return a.load(ctx, h, opened.ID)
}

// load reads the session that a handshake's cookie names. It is a function of
// its own because a handshake has a stack of 4 KB, which it all but fills, and
// to grow it costs more than all of this: on top of Authenticate there must be
// no binding while a cookie is verified, and none while the key is put together.
//
//go:noinline
func (a *Authenticator) load(ctx context.Context, h *bridge.Handshake, id string) (*bridge.Identity, error) {
	keys := a.stack.Keyspace.Keys(id)
	key := a.bindingKey(keys[0])
	identity, err := h.Load(ctx, a.bindingOf(id, key, keys))
	if err != nil {
		return nil, explain(err)
	}
	return identity, nil
}

// held returns the identity of a session that the cookie itself holds. For its
// being a function of its own see load.
//
//go:noinline
func (a *Authenticator) held(value []byte) (*bridge.Identity, error) {
	identity, err := a.identity("", &stores.Record{Found: true, Value: value, TTL: -1})
	if err != nil {
		return nil, explain(err)
	}
	return identity, nil
}

var (
	errNoMessages    = errors.New("reads no messages")
	errUnsignedValue = errors.New("the cookie holds a session that nothing vouches for")
)

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

// bindingKey names a session uniquely in the process.
func (a *Authenticator) bindingKey(k stores.Key) string { return a.feed + "/" + k.Prefix + k.ID }

// binding ties a connection to the session, whichever of its keys it has.
func (a *Authenticator) binding(id string) bridge.Binding {
	keys := a.stack.Keyspace.Keys(id)
	return a.bindingOf(id, a.bindingKey(keys[0]), keys)
}

// bindingOf is binding for who has the session's keys, and the first one's
// bindingKey.
//
//go:noinline
func (a *Authenticator) bindingOf(id, key string, keys []stores.Key) bridge.Binding {
	b := bridge.Binding{Key: key, Feed: a.feed}
	// The binding may live as long as a connection. It keeps the key, and not
	// the header that the id is cut from.
	if at := len(a.feed) + 1 + len(a.stack.Keyspace.Prefix); keys[0].ID == id && len(key) == at+len(id) {
		id = key[at:]
		b.Reload = func(ctx context.Context) (*bridge.Identity, error) {
			return a.reload(ctx, key, key[len(a.feed)+1+len(a.stack.Keyspace.Prefix):])
		}
	} else {
		id = strings.Clone(id)
		b.Reload = func(ctx context.Context) (*bridge.Identity, error) { return a.reload(ctx, key, id) }
	}
	if len(keys) > 1 {
		b.Aliases = a.aliases(keys[1:])
	}
	if a.touches() {
		b.Touch = func(ctx context.Context) error { return a.touch(ctx, id) }
	}
	return b
}

func (a *Authenticator) aliases(keys []stores.Key) []string {
	aliases := make([]string, len(keys))
	for i, k := range keys {
		aliases[i] = a.bindingKey(k)
	}
	return aliases
}

// reload reads the session and finds its user; key is its binding's.
func (a *Authenticator) reload(ctx context.Context, key, id string) (*bridge.Identity, error) {
	records, err := a.store.Fetch(ctx, a.stack.Keyspace.Keys(id)...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.stack.Name, err)
	}
	return a.identity(key, &records[stores.FirstFound(records)])
}

// touches reports whether a session can be extended.
func (a *Authenticator) touches() bool { return a.toucher != nil && a.stack.Keyspace.Lifetime > 0 }

// touch extends the session as its stack does.
func (a *Authenticator) touch(ctx context.Context, id string) error {
	if err := a.stack.Keyspace.Touch(ctx, a.toucher, id); err != nil {
		return fmt.Errorf("%s: %w", a.stack.Name, err)
	}
	return nil
}

// identity says who is logged in to a session; key is its binding's.
func (a *Authenticator) identity(key string, r *stores.Record) (*bridge.Identity, error) {
	if !r.Found {
		return nil, a.noCredential(a.missing)
	}
	session, err := a.stack.Keyspace.Decode(*r, time.Now())
	var user string
	if err == nil {
		if user, err = a.stack.FindUser(session, a.stack.User); errors.Is(err, stores.ErrNoUser) && len(r.Value) <= maxExplained {
			err = &nobodyError{err, session.Values}
		}
	}
	switch {
	case errors.Is(err, stores.ErrNotFound), errors.Is(err, stores.ErrExpired), errors.Is(err, stores.ErrNoUser):
		return nil, a.noCredential(err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", a.stack.Name, err)
	}
	return &bridge.Identity{User: user, Via: a.stack.Name, Expires: session.Expires, Session: session.Values, Key: key, Size: len(r.Value)}, nil
}
