package cookie

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/stores"
)

// Authenticator is a [bridge.Authenticator] by a session cookie.
type Authenticator struct {
	store stores.Store
	stack Stack
}

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
	return &Authenticator{store: store, stack: stack}, nil
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
	switch {
	case errors.Is(err, ErrNoCookie):
		return nil, a.noCredential(err)
	case err == nil && opened.Signed:
		err = stores.CheckSigned(opened.ID)
	case err == nil:
		err = a.stack.Keyspace.ID.Check(opened.ID)
	}
	if err != nil {
		return nil, a.reject(err)
	}
	if opened.Value != nil {
		return a.identity("", stores.Record{Found: true, Value: opened.Value, TTL: -1})
	}
	a.bind(h, opened.ID)
	return a.load(ctx, opened.ID)
}

func (a *Authenticator) noCredential(err error) error {
	return fmt.Errorf("%w: %s: %w", bridge.ErrNoCredential, a.stack.Name, err)
}

func (a *Authenticator) reject(err error) error {
	return bridge.Reject(bridge.CodeInvalidSession, "the session cookie is not valid", fmt.Errorf("%s: %w", a.stack.Name, err))
}

// bindingKey names a session uniquely in the process.
func (a *Authenticator) bindingKey(k stores.Key) string { return a.store.Name() + "/" + k.String() }

// bind registers the handshake under each key that the session may have.
func (a *Authenticator) bind(h *bridge.Handshake, id string) {
	reload := func(ctx context.Context) (*bridge.Identity, error) { return a.load(ctx, id) }
	for _, k := range a.stack.Keyspace.Keys(id) {
		h.Bind(bridge.Binding{Key: a.bindingKey(k), Reload: reload})
	}
}

// load reads the session and finds its user.
func (a *Authenticator) load(ctx context.Context, id string) (*bridge.Identity, error) {
	keys := a.stack.Keyspace.Keys(id)
	records, err := a.store.Fetch(ctx, keys...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.stack.Name, err)
	}
	i := stores.FirstFound(records)
	return a.identity(a.bindingKey(keys[i]), records[i])
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
	return &bridge.Identity{User: user, Via: a.stack.Name, Expires: session.Expires, Session: session, Key: key}, nil
}
