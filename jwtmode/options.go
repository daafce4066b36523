package jwtmode

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sessionbridge/sessionbridge/bridge"
)

const (
	defaultLeeway = 30 * time.Second
	maxLeeway     = 5 * time.Minute // RFC 7519, section 4.1.4: "usually no more than a few minutes"
)

// Options say which tokens hold. Algorithms and a key must be given, or a
// Provider, which knows both; every other zero field has the default that its
// comment gives.
type Options struct {
	// Name is the Via of the identities. Default "jwt".
	Name string

	// Algorithms lists the values of "alg" that are allowed (RFC 8725,
	// section 3.1): HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384,
	// PS512, ES256, ES384, ES512 and EdDSA (Ed25519). Default: those of
	// Provider; without one there is no default.
	Algorithms []string

	// Key verifies the signatures. Its type must be that of the algorithms:
	//
	//	HS…    []byte: at least as many bytes as the hash has, 32, 48 or 64
	//	       (RFC 7518, section 3.2); see also [SecretBase64]
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

	// JWKS holds the issuer's keys. It may stand beside Key and MoreKeys,
	// which are tried first, while one way replaces the other. It needs
	// Issuer and Audience, as such keys sign for more than one service.
	JWKS *JWKS

	// Provider is what [Discover] found out: it gives Issuer, JWKS, and
	// Algorithms if they are not set.
	Provider *Provider

	// KeyFunc finds the key of each token, instead of all of these.
	KeyFunc KeyFunc

	// Issuer is what a token's "iss" must be. Default "": not checked, which
	// is safe only if the key signs for nobody but this issuer.
	Issuer string

	// Audience lists whom a token may be for: one of them must be in its
	// "aud". Default none: not checked, which is safe only if the key signs
	// for nobody but this service (RFC 8725, section 3.9).
	Audience []string

	// Type is what the "typ" of a token's header must be, "at+jwt" say, so
	// that a token of another kind by the same issuer does not pass (RFC 8725,
	// section 3.11). Upper and lower case are the same, and "application/"
	// before it is left out (RFC 7515, section 4.1.9). Default "": not
	// checked, but for "ticket+jwt", which only [NewTickets] accepts.
	Type string

	// RequiredClaims lists claims that a token must have, at the top level and
	// not null. "exp" and UserClaim always must be there. Default none.
	RequiredClaims []string

	// RFC9068 accepts only OAuth 2.0 access tokens of that profile: the typ is
	// at+jwt, and iss, aud, exp, sub, client_id, iat and jti are there (RFC
	// 9068, section 2.2 and 4). Issuer and Audience must be given.
	RFC9068 bool

	// UserClaim names the claim that holds the user's id, at the top level:
	// a string, or an integer, which is taken digit by digit. Default "sub".
	UserClaim string

	// Check is asked about every token that holds in all else, with the
	// identity made of it, which it must not modify. An error that wraps
	// [bridge.ErrRejected] rejects the token; [bridge.Reject] makes one with
	// a code and a message for the client. An error that wraps
	// [bridge.ErrNoCredential] rejects it too: a token is there. Any other
	// error means that it could not be found out. The text is logged and must
	// hold nothing of the token. It must honour ctx and may be called
	// concurrently. Default nil: every such token holds.
	Check func(ctx context.Context, id *bridge.Identity) error

	// Leeway is how far the issuer's clock may be off: "exp" is taken to be
	// so much later, "nbf" and "iat" so much earlier. Default 30 s; negative:
	// none. At most 5 min.
	Leeway time.Duration

	// Sources lists where a token is looked for, in order: [SourceHeader],
	// [SourceSubprotocol], [SourceMessage], [SourceCookie] and
	// [InsecureSourceQuery]. Default: the first three. The order only says
	// which source's mistake is reported; a request with two different tokens
	// is rejected.
	Sources []Source

	// Cookie is the name of the cookie of SourceCookie, such as
	// "__Host-token"; there is no default.
	Cookie string

	// QueryParam is the name of the parameter of InsecureSourceQuery.
	// Default "token".
	QueryParam string

	// Revocations end tokens before their exp, at the handshake and on live
	// connections. Default nil: a token holds until its exp.
	Revocations *Revocations

	// InsecureShortSecrets accepts HMAC secrets that are shorter than the
	// hash. Who has seen one token can guess such a secret offline, and then
	// sign tokens for any user.
	InsecureShortSecrets bool

	// InsecureAnyIssuer accepts what any issuer has signed with a key of the
	// JWKS. Some providers publish the keys of all their customers together.
	InsecureAnyIssuer bool

	// InsecureAnyAudience accepts a token that the issuer of the JWKS made for
	// another service, whose operator can then present it here. Where tokens
	// carry no aud, look at their client_id or azp in Check.
	InsecureAnyAudience bool
}

// KeyFunc returns the key for a token, one of the types of [Options.Key]. The
// token is not verified: its header and claims are only what the client says.
// Its Method is set and allowed, and its Claims are a [jwt.MapClaims] that must
// not be modified.
//
// A nil key without an error, or an error that wraps [bridge.ErrNoCredential],
// rejects the token with the code "invalid_secret": no key is known for it. So
// does an error that wraps [bridge.ErrRejected], with the code and the message
// of [bridge.Reject] if that made it. Any other error means that the key could
// not be found out. The text is logged and must hold nothing of the token. The
// function must honour ctx and may be called concurrently, by anybody who can
// reach the service, so it must not let a token choose a URL.
//
// With Options.Revocations a token is verified again while its connection
// lives: r's context is ctx then. For a token that a message brings, r is what
// [bridge.Handshake] says.
type KeyFunc func(ctx context.Context, r *http.Request, t *jwt.Token) (any, error)

// withDefaults returns a checked copy, but for the keys.
func (o Options) withDefaults() (Options, error) {
	if o.Provider != nil {
		var err error
		if o, err = o.withProvider(); err != nil {
			return o, err
		}
	}
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
	o.RequiredClaims = slices.Clone(o.RequiredClaims)
	if o.RFC9068 {
		if o.Type != "" && mediaType(o.Type) != accessTokenType {
			return o, fmt.Errorf("jwtmode: Type is %q and RFC9068 wants %q; leave Type empty", o.Type, accessTokenType)
		}
		o.Type = accessTokenType
		o.RequiredClaims = append(o.RequiredClaims, accessTokenClaims...)
		if o.Issuer == "" || len(o.Audience) == 0 {
			return o, errors.New("jwtmode: RFC9068 without an Issuer and an Audience; give both, an access token is for the service that its aud names only (RFC 9068, section 4)")
		}
	}
	if slices.Contains(o.RequiredClaims, "") {
		return o, errors.New("jwtmode: an empty string in RequiredClaims; leave it out")
	}
	o.Type = mediaType(o.Type)
	if o.JWKS != nil {
		switch {
		case o.Issuer == "" && !o.InsecureAnyIssuer:
			return o, errors.New("jwtmode: a JWKS without an Issuer; give the iss of its tokens, or set InsecureAnyIssuer")
		case len(o.Audience) == 0 && !o.InsecureAnyAudience:
			return o, errors.New("jwtmode: a JWKS without an Audience; give the aud of the tokens for this service, or set InsecureAnyAudience")
		}
	}
	return o.withSources()
}

// withSources checks where tokens come from.
func (o Options) withSources() (Options, error) {
	if len(o.Sources) == 0 {
		o.Sources = []Source{SourceHeader, SourceSubprotocol, SourceMessage}
	}
	o.Sources = slices.Clone(o.Sources)
	for i, s := range o.Sources {
		if !slices.Contains(sources, s) {
			return o, fmt.Errorf("jwtmode: there is no source %q; Sources may list %q", s, sources)
		}
		if slices.Contains(o.Sources[:i], s) {
			return o, fmt.Errorf("jwtmode: Sources lists %q twice; list it once", s)
		}
	}
	switch fromCookie := slices.Contains(o.Sources, SourceCookie); {
	case fromCookie && !isToken(o.Cookie):
		return o, fmt.Errorf("jwtmode: Cookie is %q, which no cookie is called; name the cookie that holds the token", o.Cookie)
	case !fromCookie && o.Cookie != "":
		return o, errors.New("jwtmode: Cookie has no effect without SourceCookie; list it in Sources")
	}
	switch fromQuery := slices.Contains(o.Sources, InsecureSourceQuery); {
	case !fromQuery && o.QueryParam != "":
		return o, errors.New("jwtmode: QueryParam has no effect without InsecureSourceQuery; list it in Sources")
	case o.QueryParam == "":
		o.QueryParam = "token"
	}
	return o, nil
}

// isToken reports whether s is a token of RFC 9110, section 5.6.2, as the name
// of a cookie must be (RFC 6265, section 4.1.1).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, c)
	})
}

// withProvider fills in what the provider knows.
func (o Options) withProvider() (Options, error) {
	p := o.Provider
	switch {
	case o.JWKS != nil || o.KeyFunc != nil:
		return o, errors.New("jwtmode: JWKS and KeyFunc have no effect beside Provider; set one of them")
	case p.JWKS == nil || p.Issuer == "":
		return o, errors.New("jwtmode: the Provider has no JWKS or no Issuer; Discover makes one that has")
	case o.Issuer != "" && o.Issuer != p.Issuer:
		return o, fmt.Errorf("jwtmode: Issuer is %q and the Provider's %q; leave Issuer empty", o.Issuer, p.Issuer)
	}
	o.Issuer, o.JWKS = p.Issuer, p.JWKS
	if len(o.Algorithms) == 0 {
		o.Algorithms = p.Algorithms
	}
	return o, nil
}
