package jwtmode

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// Authenticator is a [bridge.Authenticator] by a signed token. It is safe for
// concurrent use.
type Authenticator struct {
	opts    Options
	allowed map[string]algorithm
	keys    finder
}

// New returns an authenticator for the tokens that the options describe. It
// refuses options that are unsafe or that make no sense, and says what to
// write instead.
func New(opts Options) (*Authenticator, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	a := &Authenticator{opts: o}
	if a.allowed, err = allow(o.Algorithms); err != nil {
		return nil, err
	}
	if a.keys, err = newFinder(o, a.allowed); err != nil {
		return nil, err
	}
	return a, nil
}

// Traits implements [bridge.TraitsOf]: no browser attaches a token by itself.
func (a *Authenticator) Traits() bridge.Traits {
	t := bridge.Traits{
		Message:   slices.Contains(a.opts.Sources, SourceMessage),
		Challenge: "Bearer", // RFC 6750, section 3
	}
	if slices.Contains(a.opts.Sources, SourceSubprotocol) {
		t.Subprotocols = []string{marker}
	}
	return t
}

// Authenticate implements [bridge.Authenticator]. A handshake without a token
// is no credential; a token that does not hold is rejected, with an error that
// wraps one of golang-jwt's ([jwt.ErrTokenExpired], …) where one says it; and
// a token whose key [Options.KeyFunc] failed to find could not be found out.
//
// The identity holds until the token's exp plus the leeway. Its claims are
// those of the token, with numbers as [json.Number].
func (a *Authenticator) Authenticate(ctx context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
	raw, err := a.find(h)
	if errors.Is(err, bridge.ErrNoCredential) {
		return nil, err
	}
	var id *bridge.Identity
	if err == nil {
		id, err = a.verify(ctx, h.Request, raw)
	}
	if err != nil {
		return nil, a.explain(err)
	}
	return id, nil
}

func (a *Authenticator) noCredential(text string) error {
	return fmt.Errorf("%w: %s: %s", bridge.ErrNoCredential, a.opts.Name, text)
}

// verify makes an identity of a token that holds.
func (a *Authenticator) verify(ctx context.Context, r *http.Request, raw string) (*bridge.Identity, error) {
	t, signed, err := parse(raw)
	if err != nil {
		return nil, err
	}
	name, _ := t.Header["alg"].(string)
	alg, ok := a.allowed[name]
	if !ok {
		return nil, flawAlgorithm
	}
	t.Method = alg.SigningMethod
	keys, err := a.keys(ctx, r, t, alg)
	if err != nil {
		return nil, err
	}
	// Nothing in the claims is looked at before the signature is good.
	if !slices.ContainsFunc(keys, func(key any) bool { return alg.Verify(signed, t.Signature, key) == nil }) {
		return nil, flawSignature
	}
	claims := t.Claims.(jwt.MapClaims)
	expires, err := a.opts.check(claims, time.Now())
	if err != nil {
		return nil, err
	}
	user, err := a.opts.user(claims)
	if err != nil {
		return nil, err
	}
	return &bridge.Identity{User: user, Via: a.opts.Name, Expires: expires, Claims: claims}, nil
}

// explain makes a rejection of a flaw, and says of every other error whose it
// is.
func (a *Authenticator) explain(err error) error {
	if f := (*flaw)(nil); errors.As(err, &f) {
		return bridge.Reject(f.code, f.message, fmt.Errorf("%s: %w", a.opts.Name, f.reason))
	}
	return fmt.Errorf("%s: %w", a.opts.Name, err)
}
