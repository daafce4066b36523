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
	finders []finder
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
	if a.finders, err = newFinders(o, a.allowed); err != nil {
		return nil, err
	}
	return a, nil
}

// Traits implements [bridge.TraitsOf]: a browser attaches no token by itself,
// unless it is in a cookie.
func (a *Authenticator) Traits() bridge.Traits {
	t := bridge.Traits{
		Ambient:   slices.Contains(a.opts.Sources, SourceCookie),
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
// a token whose key could not be reached, or about which [Options.KeyFunc] or
// [Options.Check] failed, could not be found out.
//
// The identity holds until the token's exp plus the leeway. Its claims are
// those of the token, with numbers as [json.Number].
func (a *Authenticator) Authenticate(ctx context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
	raw, err := a.find(h)
	if errors.Is(err, bridge.ErrNoCredential) {
		return nil, err
	}
	if err != nil {
		return nil, a.explain(err)
	}
	return a.judgeExplained(ctx, h, raw)
}

// judgeExplained is judge with the error that Authenticate returns.
func (a *Authenticator) judgeExplained(ctx context.Context, h *bridge.Handshake, raw string) (*bridge.Identity, error) {
	id, err := a.judge(ctx, h, raw)
	if err != nil {
		return nil, a.explain(err)
	}
	return id, nil
}

// judge verifies a token and asks whether it is revoked.
func (a *Authenticator) judge(ctx context.Context, h *bridge.Handshake, raw string) (*bridge.Identity, error) {
	id, err := a.verify(ctx, h.Request, raw)
	if err != nil || a.opts.Revocations == nil {
		return id, err
	}
	r := a.withoutConnection(h.Request)
	return a.opts.Revocations.guard(ctx, h, id, func(ctx context.Context) (*bridge.Identity, error) {
		id, err := a.verify(ctx, r.WithContext(ctx), raw)
		if err != nil {
			return nil, a.explain(err)
		}
		return id, nil
	})
}

// withoutConnection returns the request that a token is verified with again. It
// is kept as long as the answer is, which may be longer than the connection
// lasts: it must not lead to that, as r's context may.
func (a *Authenticator) withoutConnection(r *http.Request) *http.Request {
	if a.opts.KeyFunc == nil { // nobody else looks at it
		r = &http.Request{}
	}
	return r.WithContext(context.Background())
}

// Feeds tell of revocations; see [bridge.FeedsOf].
func (a *Authenticator) Feeds() []bridge.Feed {
	if a.opts.Revocations == nil {
		return nil
	}
	return a.opts.Revocations.feeds()
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
	if err := a.opts.checkType(t.Header); err != nil {
		return nil, err
	}
	name, _ := t.Header["alg"].(string)
	alg, ok := a.allowed[name]
	if !ok {
		return nil, flawAlgorithm
	}
	t.Method = alg.SigningMethod
	// Nothing in the claims is looked at before the signature is good.
	if err := a.checkSignature(ctx, r, t, signed, alg); err != nil {
		return nil, err
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
	id := &bridge.Identity{User: user, Via: a.opts.Name, Expires: expires, Claims: claims}
	if a.opts.Check != nil {
		if err := a.opts.Check(ctx, id); err != nil {
			return nil, refusedBy("Check", err, flawCheck)
		}
	}
	return id, nil
}

// checkSignature tries the keys of each finder until one verifies.
func (a *Authenticator) checkSignature(ctx context.Context, r *http.Request, t *jwt.Token, signed string, alg algorithm) error {
	for _, find := range a.finders {
		keys, err := find(ctx, r, t, alg)
		if err != nil {
			return err
		}
		for _, key := range keys {
			if alg.Verify(signed, t.Signature, key) == nil {
				return nil
			}
		}
	}
	return flawSignature
}

// refusedBy is the error of a function of the caller's. It must not count as
// no credential: a token is here, and it would be somebody else's to judge.
func refusedBy(function string, err error, f *flaw) error {
	if errors.Is(err, bridge.ErrNoCredential) {
		return &flaw{f.code, f.message, fmt.Errorf("%s: %s", function, err)}
	}
	return fmt.Errorf("%s: %w", function, err)
}

// explain makes a rejection of a flaw, and says of every other error whose it
// is.
func (a *Authenticator) explain(err error) error {
	if f := (*flaw)(nil); errors.As(err, &f) {
		return bridge.Reject(f.code, f.message, fmt.Errorf("%s: %w", a.opts.Name, f.reason))
	}
	return fmt.Errorf("%s: %w", a.opts.Name, err)
}
