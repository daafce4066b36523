package bridge

import (
	"context"
	"net/http"
	"time"
)

// Handshake is what a client has presented so far: its upgrade request and,
// once the socket is open, an authentication message.
type Handshake struct {
	// Request is the upgrade request; never nil. Its body must not be read.
	// For a message on a connection that has been authenticated before, it is
	// one with the same method, URL, protocol, host, header, remote address,
	// TLS state and pattern with its path values. Its context is then the
	// connection's, whose values Options.ConnContext gives: what a router or
	// middleware keeps in the context of the upgrade request is not in it.
	Request *http.Request

	// Message is the client's authentication message; nil while the upgrade
	// request itself is judged.
	Message *Message

	// Bound, if set, is told of each session that is bound: for an
	// authenticator's own tests. It is nil in a hook.
	Bound func(Binding)

	life *life // nil outside a hook
}

// Message is an authentication message in the plain JSON dialect:
//
//	{"rediskey": "<session id>"}                      SessionID
//	{"rediskey": "<session id>", "stack": "<name>"}   SessionID and Stack
//	{"event": "authenticate", "data": {"token": …}}   Token
//
// The strings are the client's own and not checked in any way, other than
// that the frame was short and valid JSON.
type Message struct {
	Kind      MessageKind // which of SessionID and Token it carries
	SessionID string      // of a MessageRedisKey
	Stack     string      // the stack that SessionID is said to belong to, or ""
	Token     string      // of a MessageToken

	// Malformed: a member was absent, or not what the form above says it is.
	Malformed bool
}

// MessageKind tells which credential a [Message] carries.
type MessageKind uint8

// The kinds of authentication messages.
const (
	MessageRedisKey MessageKind = iota + 1 // a session id
	MessageToken                           // a token
)

// Binding ties a connection to the session that its identity was read from.
type Binding struct {
	// Key names the session uniquely in this process: the feed, a slash, and
	// the session's key in the store; never empty. Two authenticators that
	// find different users in one session must not give it the same Key.
	Key string

	// Aliases are further keys, written like Key, that the session may have: a
	// change of one of them is a change of this session. Key is the only one
	// that an identity names, wherever the session was found.
	Aliases []string

	// Feed is the name of the [Feed] that tells of the session's changes; ""
	// for none.
	Feed string

	// Reload reads the session again and returns the identity that it holds
	// now, with the errors of [Authenticator]. It returns when ctx ends: a
	// handshake waits for it. It is kept as long as the identity is cached, and
	// must not refer to the Handshake's request, whose context may lead to the
	// connection. Without it, the identity holds until it expires, whatever
	// happens to the session.
	Reload func(ctx context.Context) (*Identity, error)

	// Every is how often Reload is called although no change was reported;
	// 0: as often as Options.Sweep says. The shorter of the two counts.
	Every time.Duration

	// Touch extends the session's life as its stack does when it is used, and
	// does nothing if the session is gone; nil if the stack has no such thing.
	// It is called only if Options.Touch is set, and if the client is active.
	Touch func(ctx context.Context) error
}

// Bind registers the connection under a session's key. An authenticator calls
// it before it reads the session, so that no change between the reading and
// the registration is missed, and returns that key in [Identity.Key].
// Several sessions may be bound; those that the identity does not name are
// released. An identity that names a session which is not bound is refused,
// for nobody would notice its logout. Outside a hook, in a test say, Bind does nothing.
func (h *Handshake) Bind(b Binding) {
	if h.Bound != nil {
		h.Bound(b)
	}
	if h.life != nil {
		h.life.bind(&b)
	}
}

// Load binds a session and returns the identity that Reload gives, or one that
// it gave before if the session is known not to have changed since. It is Bind
// and Reload in one for the authenticator that has a single session to read.
func (h *Handshake) Load(ctx context.Context, b Binding) (*Identity, error) {
	if h.life == nil {
		if h.Bound != nil {
			h.Bound(b)
		}
		return b.Reload(ctx)
	}
	id := h.life.bind(&b)
	return h.life.b.index.read(ctx, &b, id)
}
