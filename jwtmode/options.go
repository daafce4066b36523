package jwtmode

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	defaultLeeway = 30 * time.Second
	maxLeeway     = 5 * time.Minute // RFC 7519, section 4.1.4: "usually no more than a few minutes"
)

// Options say which tokens hold. Algorithms and a key must be given; every
// other zero field has the default that its comment gives.
type Options struct {
	// Name is the Via of the identities. Default "jwt".
	Name string

	// Algorithms lists the values of "alg" that are allowed (RFC 8725,
	// section 3.1): HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384,
	// PS512, ES256, ES384, ES512 and EdDSA (Ed25519). There is no default.
	Algorithms []string

	// Key verifies the signatures. Its type must be that of the algorithms:
	//
	//	HS…    []byte: at least as many bytes as the hash has, 32, 48 or 64
	//	       (RFC 7518, section 3.2)
	//	RS…    *rsa.PublicKey of at least 2048 bits (RFC 7518, section 3.3)
	//	PS…    the same
	//	ES…    *ecdsa.PublicKey on the algorithm's own curve, P-256, P-384 or
	//	       P-521 (RFC 7518, section 3.4)
	//	EdDSA  ed25519.PublicKey
	//
	// jwt.ParseRSAPublicKeyFromPEM and its siblings make the public ones.
	Key any

	// MoreKeys may have signed a token too: the former key, or the next,
	// while one replaces the other. Each must fit one of the algorithms. The
	// keys are tried in order, Key first; a token's kid is not looked at.
	MoreKeys []any

	// KeyFunc finds the key of each token, instead of Key.
	KeyFunc KeyFunc

	// Issuer is what a token's "iss" must be. Default "": not checked, which
	// is safe only if the key signs for nobody but this issuer.
	Issuer string

	// Audience lists whom a token may be for: one of them must be in its
	// "aud". Default none: not checked, which is safe only if the key signs
	// for nobody but this service (RFC 8725, section 3.9).
	Audience []string

	// UserClaim names the claim that holds the user's id, at the top level:
	// a string, or an integer, which is taken digit by digit. Default "sub".
	UserClaim string

	// Leeway is how far the issuer's clock may be off: "exp" is taken to be
	// so much later, "nbf" and "iat" so much earlier. Default 30 s; negative:
	// none. At most 5 min.
	Leeway time.Duration

	// Sources lists where a token is looked for, in order. Default: all of
	// [SourceHeader], [SourceSubprotocol] and [SourceMessage]. A request with
	// two different tokens is rejected, whatever the order.
	Sources []Source

	// InsecureShortSecrets accepts HMAC secrets that are shorter than the
	// hash. Who has seen one token can guess such a secret offline, and then
	// sign tokens for any user.
	InsecureShortSecrets bool
}

// KeyFunc returns the key for a token, one of the types of [Options.Key]. The
// token is not verified: its header and claims are only what the client says.
// Its Method is set and allowed, and its Claims are a [jwt.MapClaims] that must
// not be modified.
//
// A nil key without an error, or an error that wraps [bridge.ErrRejected] or
// [bridge.ErrNoCredential], rejects the token: no key is known for it. Any other
// error means that the key could not be found out. The text is logged and must hold nothing of the
// token. The function must honour ctx and may be called concurrently, by
// anybody who can reach the service, so it must not let a token choose a URL.
type KeyFunc func(ctx context.Context, r *http.Request, t *jwt.Token) (any, error)

// withDefaults returns a checked copy, but for the keys.
func (o Options) withDefaults() (Options, error) {
	if o.Name == "" {
		o.Name = "jwt"
	}
	if o.UserClaim == "" {
		o.UserClaim = "sub"
	}
	if slices.Contains(o.Audience, "") {
		return o, errors.New("jwtmode: an empty string in Audience; leave Audience nil if it is not to be checked")
	}
	o.Audience = slices.Clone(o.Audience)
	switch {
	case o.Leeway == 0:
		o.Leeway = defaultLeeway
	case o.Leeway < 0:
		o.Leeway = 0
	case o.Leeway > maxLeeway:
		return o, fmt.Errorf("jwtmode: a Leeway of %v is no clock's error; at most %v is accepted, and tokens that should live longer need a later exp", o.Leeway, maxLeeway)
	}
	if len(o.Sources) == 0 {
		o.Sources = []Source{SourceHeader, SourceSubprotocol, SourceMessage}
	}
	o.Sources = slices.Clone(o.Sources)
	for i, s := range o.Sources {
		if s != SourceMessage && requestReaders[s] == nil {
			return o, fmt.Errorf("jwtmode: there is no source %q; Sources may list %q, %q and %q", s, SourceHeader, SourceSubprotocol, SourceMessage)
		}
		if slices.Contains(o.Sources[:i], s) {
			return o, fmt.Errorf("jwtmode: Sources lists %q twice; list it once", s)
		}
	}
	return o, nil
}
