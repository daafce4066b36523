package bridge

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
)

// The outcomes of an [Authenticator] other than an identity. Test for them
// with [errors.Is].
var (
	// ErrNoCredential says that the handshake holds nothing that this
	// authenticator could judge, or something that proves nothing: a session
	// that is unknown, over, or that nobody is logged in to.
	ErrNoCredential = errors.New("no credential")

	// ErrRejected says that a credential is there and is bad: a forged
	// signature, an expired token, a session id that is none.
	ErrRejected = errors.New("credential rejected")
)

// Authenticator turns a credential into an identity, or says why not.
type Authenticator interface {
	// Authenticate judges the handshake and returns an identity, or nil and
	// an error with one of three meanings:
	//
	//   - it wraps ErrNoCredential: there is nothing here for this
	//     authenticator. The next one is asked; if there is none, the client
	//     is refused with 401, or waits for its first message.
	//   - it wraps ErrRejected: a credential is here and is bad. Nobody else
	//     is asked and the client is refused with 401.
	//   - it is anything else: whether the credential is good could not be
	//     found out (the store is down, a value cannot be decoded). Nobody
	//     else is asked and the client is refused with 503 and Retry-After.
	//
	// The error's text is logged, so it must hold no session id, token or
	// secret. It is never shown to the client; see [Reject].
	//
	// It is called once for the upgrade request (h.Message is nil) and, if
	// its [Traits] say Message, once for each authentication message.
	// It must honour ctx, and may be called concurrently.
	Authenticate(ctx context.Context, h *Handshake) (*Identity, error)
}

// AuthenticatorFunc is a function as an [Authenticator]. Its traits are those
// of an unknown authenticator: see [TraitsOf].
type AuthenticatorFunc func(ctx context.Context, h *Handshake) (*Identity, error)

// Authenticate calls f.
func (f AuthenticatorFunc) Authenticate(ctx context.Context, h *Handshake) (*Identity, error) {
	return f(ctx, h)
}

// Traits say what an authenticator reads, so that the hook can guard it. An
// authenticator has them by a method Traits() Traits.
type Traits struct {
	// Ambient: the credential is one that a browser attaches to a request by
	// itself, a cookie say. The origin of every handshake is then checked,
	// or any page on the web could open a socket in its visitor's name.
	Ambient bool

	// Message: the credential may come as a message on the open socket. A
	// handshake without any credential is then upgraded and waits for one.
	Message bool

	// Subprotocols are markers to echo in Sec-WebSocket-Protocol when the
	// client offers them ("bearer"), never a credential itself.
	Subprotocols []string

	// Challenge is the value of WWW-Authenticate on a 401 (RFC 9110,
	// section 11.6.1); empty for none.
	Challenge string
}

// TraitsOf returns a's traits. An authenticator without a Traits method is
// taken to be ambient, which is the safe guess, and not to read messages.
func TraitsOf(a Authenticator) Traits {
	if t, ok := a.(interface{ Traits() Traits }); ok {
		return t.Traits()
	}
	return Traits{Ambient: true}
}

// First asks the authenticators in order. The first identity wins; a
// credential that is rejected, or that could not be judged, ends the search.
// If all of them say [ErrNoCredential], so does First, with all their reasons.
// [New] refuses a First without an authenticator, or with a nil one.
//
// Two that judge the same kind of credential are not for First, as one would
// reject the other's: for the tokens of two issuers there is jwtmode.ByIssuer.
func First(authenticators ...Authenticator) Authenticator {
	return chain(slices.Clone(authenticators))
}

type chain []Authenticator

func (c chain) Authenticate(ctx context.Context, h *Handshake) (*Identity, error) {
	var reasons noCredential
	for _, a := range c {
		if h.Message != nil && !TraitsOf(a).Message {
			continue
		}
		id, err := authenticate(ctx, a, h)
		if !errors.Is(err, ErrNoCredential) {
			return id, err
		}
		reasons = append(reasons, err)
	}
	return nil, reasons
}

func (c chain) Traits() Traits {
	var all Traits
	var challenges []string
	for _, a := range c {
		t := TraitsOf(a)
		all.Ambient = all.Ambient || t.Ambient
		all.Message = all.Message || t.Message
		all.Subprotocols = append(all.Subprotocols, t.Subprotocols...)
		if t.Challenge != "" && !slices.Contains(challenges, t.Challenge) {
			challenges = append(challenges, t.Challenge)
		}
	}
	all.Challenge = strings.Join(challenges, ", ")
	return all
}

func (c chain) Feeds() []Feed {
	var all []Feed
	for _, a := range c {
		all = append(all, FeedsOf(a)...)
	}
	return all
}

func (c chain) validate() error {
	if len(c) == 0 {
		return errors.New("bridge: First without an authenticator lets nobody in; give it at least one")
	}
	for _, a := range c {
		if err := validate(a); err != nil {
			return err
		}
	}
	return nil
}

func validate(a Authenticator) error {
	// A constructor's discarded error leaves a typed nil, which is not a == nil.
	if v := reflect.ValueOf(a); !v.IsValid() || (v.Kind() == reflect.Pointer || v.Kind() == reflect.Func) && v.IsNil() {
		return errors.New("bridge: the authenticator is nil; was the error of its constructor checked?")
	}
	if c, ok := a.(chain); ok {
		return c.validate()
	}
	return nil
}

var errNeither = errors.New("the authenticator returned neither an identity with a user nor an error")

// authenticate asks a and holds it to its contract: an identity or an error,
// never both, and an error that says "bad" is never also "absent".
func authenticate(ctx context.Context, a Authenticator, h *Handshake) (*Identity, error) {
	id, err := a.Authenticate(ctx, h)
	switch {
	case err == nil && (id == nil || id.User == ""):
		return nil, errNeither
	case err == nil:
		return id, nil
	case errors.Is(err, ErrRejected) && errors.Is(err, ErrNoCredential):
		ref := refusalFor(err, nil)
		return nil, &rejection{ref.Code, ref.Message, errors.New(err.Error())}
	default:
		return nil, err
	}
}

// noCredential is what everybody in a chain had to say.
type noCredential []error

// Error says it in one line, and once what several say of the same request.
func (n noCredential) Error() string {
	texts := make([]string, len(n))
	for i, err := range n {
		texts[i] = err.Error()
		if i == 0 {
			continue
		}
		texts[i] = strings.TrimPrefix(texts[i], ErrNoCredential.Error()+": ")
		if what, advice, ok := strings.Cut(texts[i-1], "; "); ok && strings.HasSuffix(texts[i], "; "+advice) {
			texts[i-1] = what
		}
	}
	return strings.Join(texts, "; ")
}

func (n noCredential) Unwrap() []error { return n }

func (n noCredential) Is(target error) bool { return target == ErrNoCredential }
