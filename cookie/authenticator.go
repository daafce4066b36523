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

// New returns an authenticator for a stack whose sessions are in a store.
func New(store stores.Store, stack Stack) (*Authenticator, error) {
	if store == nil {
		return nil, fmt.Errorf("cookie: %s: the store is nil", stack.Name)
	}
	if err := stack.validate(); err != nil {
		return nil, err
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
	h.Bind(a.binding(opened.ID))
	return a.load(ctx, opened.ID)
}

func (a *Authenticator) noCredential(err error) error {
	return fmt.Errorf("%w: %s: %w", bridge.ErrNoCredential, a.stack.Name, err)
}

func (a *Authenticator) reject(err error) error {
	return bridge.Reject(bridge.CodeInvalidSession, "the session cookie is not valid", fmt.Errorf("%s: %w", a.stack.Name, err))
}

// key names a session uniquely in the process.
func (a *Authenticator) key(id string) string {
	return a.store.Name() + "/" + a.stack.Keyspace.Key(id).String()
}

func (a *Authenticator) binding(id string) bridge.Binding {
	return bridge.Binding{
		Key:    a.key(id),
		Reload: func(ctx context.Context) (*bridge.Identity, error) { return a.load(ctx, id) },
	}
}

// load reads the session and finds its user.
func (a *Authenticator) load(ctx context.Context, id string) (*bridge.Identity, error) {
	records, err := a.store.Fetch(ctx, a.stack.Keyspace.Key(id))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.stack.Name, err)
	}
	return a.identity(id, records[0])
}

// identity says who is logged in to a session.
func (a *Authenticator) identity(id string, r stores.Record) (*bridge.Identity, error) {
	session, err := a.stack.Keyspace.Decode(r, time.Now())
	var user string
	if err == nil {
		user, err = stores.UserID(session, a.stack.User)
	}
	switch {
	case errors.Is(err, stores.ErrNotFound), errors.Is(err, stores.ErrExpired), errors.Is(err, stores.ErrNoUser):
		return nil, a.noCredential(err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", a.stack.Name, err)
	}
	return &bridge.Identity{
		User:    user,
		Via:     a.stack.Name,
		Expires: session.Expires,
		Session: session,
		Key:     a.key(id),
	}, nil
}
