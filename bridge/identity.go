package bridge

import (
	"context"
	"time"
)

// Identity says who is behind a connection. It is shared and must not be
// modified once an authenticator has returned it.
type Identity struct {
	// User is the user's id as the web application knows it; never empty.
	// A numeric id is its decimal digits.
	User string

	// Via names who vouched: "php", "express", "go", "jwt", … The same User
	// by another Via is another user.
	Via string

	// Expires is until when the identity holds as far as is known now; zero
	// if no end is known. A session that the web application keeps in use
	// lives on: the connection looks again at that moment and goes on.
	Expires time.Time

	// Session is what the web application stored; nil for a token.
	Session Values

	// Claims are the token's claims; nil for a session.
	Claims map[string]any

	// Key is the key of the [Binding] that this identity was read under;
	// empty if it can't be looked up again.
	Key string

	// Size is about how many bytes the session takes, for the cache's account.
	Size int
}

// Values gives read access to a decoded session. Implementations are safe for
// concurrent use.
type Values interface {
	// Lookup returns the value at a dotted path ("passport.user") as a plain
	// Go value: nil, bool, string, a number, []any or map[string]any. A dot
	// inside a name is written `\.`. ok is false if nothing is there.
	Lookup(path string) (value any, ok bool)

	// Map returns the whole session as plain Go values.
	Map() map[string]any
}

// expired reports whether the identity's time is over, as far as is known.
func (id *Identity) expired(now time.Time) bool {
	return !id.Expires.IsZero() && !now.Before(id.Expires)
}

// sameUser reports whether both identities are one user's. User ids of two
// stacks live in different name spaces.
func (id *Identity) sameUser(other *Identity) bool {
	return id.User == other.User && id.Via == other.Via
}

type contextKey struct{}

// FromContext returns the identity that [Bridge.Middleware] attached to the
// request's context, or a [Conn]'s own by its context. The session's present
// state is returned: after the web application has extended the session, a
// later call sees its new expiry. ok is false if the context has no identity.
func FromContext(ctx context.Context) (id *Identity, ok bool) {
	l, ok := ctx.Value(contextKey{}).(*life)
	if !ok {
		return nil, false
	}
	id = l.identity.Load()
	return id, id != nil
}
