package jwtmode

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// IssuerOptions configure an [Issuer]. Issuer, Audience, Algorithm and Key must
// be given.
type IssuerOptions struct {
	// Issuer is the "iss" of the tokens, a URL usually.
	Issuer string

	// Audience lists the services that the tokens are for: their "aud".
	Audience []string

	// Algorithm is what the tokens are signed with, one of those of
	// [Options.Algorithms].
	Algorithm string

	// Key signs: a []byte for HS…, an *rsa.PrivateKey, an *ecdsa.PrivateKey or
	// an ed25519.PrivateKey. It must fit the algorithm, as the public half in
	// [Options.Key] must.
	Key any

	// MoreKeys are former keys, or the next one, whose tokens hold beside
	// those of Key: private ones or secrets, as Key.
	MoreKeys []any

	// KeyID is the "kid" of the tokens. Default none.
	KeyID string

	// TTL is how long a token holds, a second at least. Default 5 min. See
	// [TicketHandlerOptions] for tickets.
	TTL time.Duration

	// Claims returns further claims for an identity's token: its roles, say.
	// They can be read by whoever has the token. Those that the issuer makes
	// itself cannot be set. Default none.
	Claims func(*bridge.Identity) map[string]any

	// Sessions are the authenticators whose sessions a token can come from. It
	// then refers to its session, encrypted, so that it and the connections
	// that it opens end with it. All nodes need the same.
	Sessions []Sessions

	// ReferenceKey is the secret, of 32 bytes at least, that references are
	// encrypted under. Default: the Key, or one derived from it, if it is a
	// secret; a private key cannot be used for it.
	ReferenceKey []byte
}

// Token is a token of an [Issuer].
type Token struct {
	Text    string    // what the client presents: a secret
	ID      string    // its jti
	Expires time.Time // its exp
}

// Claims of our own, beside the registered ones of RFC 7519 and OpenID
// Connect's auth_time.
const (
	claimVia       = "via"
	claimBegan     = "auth_time" // when the first token of a chain of refreshed ones was issued
	claimReference = "session"   // encrypted
	claimUntil     = "until"     // when the identity ends that the token was made from
	claimOrigin    = "origin"    // of the page that a ticket is for
)

const (
	typeAccess = "JWT" // RFC 7519, section 5.1
	typeTicket = "ticket+jwt"

	defaultTTL = 5 * time.Minute
)

// Issuer signs short-lived tokens of our own. It is safe for concurrent use.
type Issuer struct {
	opts   IssuerOptions
	method jwt.SigningMethod
	public []any // of Key and MoreKeys
	refs   references
}

// NewIssuer returns an issuer. It refuses a key that does not fit the algorithm
// or is too short.
func NewIssuer(opts IssuerOptions) (*Issuer, error) {
	switch {
	case opts.Issuer == "":
		return nil, errors.New("jwtmode: the Issuer has no name; give the URL that tokens name as their iss")
	case len(opts.Audience) == 0 || slices.Contains(opts.Audience, ""):
		return nil, errors.New("jwtmode: the Issuer has no Audience, or an empty one; name the service that the tokens are for, or every service with the key accepts them")
	case opts.TTL == 0:
		opts.TTL = defaultTTL
	case opts.TTL < time.Second:
		return nil, errors.New("jwtmode: the Issuer's TTL is less than a second; leave it zero for 5 min")
	}
	for _, s := range opts.Sessions {
		if isNil(s) {
			return nil, errors.New("jwtmode: an authenticator in Sessions is nil; was the error of its constructor checked?")
		}
	}
	opts.Audience, opts.Sessions = slices.Clone(opts.Audience), slices.Clone(opts.Sessions)
	allowed, err := allow([]string{opts.Algorithm})
	if err != nil {
		return nil, err
	}
	alg := allowed[opts.Algorithm]
	i := &Issuer{opts: opts, method: alg.SigningMethod}
	keys := append([]any{opts.Key}, opts.MoreKeys...)
	for n, key := range keys {
		public, err := verifier(key, alg)
		if err != nil {
			name := "Key"
			if n > 0 {
				name = fmt.Sprintf("MoreKeys[%d]", n-1)
			}
			return nil, fmt.Errorf("jwtmode: the Issuer's %s: %w", name, err)
		}
		i.public = append(i.public, public)
	}
	if secret, ok := opts.Key.([]byte); ok {
		i.opts.Key = bytes.Clone(secret)
	}
	if i.refs, err = newReferences(opts.ReferenceKey, keys); err != nil {
		return nil, err
	}
	if len(opts.Sessions) > 0 && i.refs == nil {
		return nil, errors.New("jwtmode: the Issuer has Sessions, and a private key encrypts no reference; give a ReferenceKey of 32 bytes")
	}
	return i, nil
}

// Options returns what [New] needs to accept the issuer's tokens, tickets
// excepted: algorithm, public keys or secrets, issuer, audience and type.
func (i *Issuer) Options() Options {
	return Options{
		Algorithms: []string{i.opts.Algorithm},
		Key:        i.public[0],
		MoreKeys:   slices.Clone(i.public[1:]),
		Issuer:     i.opts.Issuer,
		Audience:   slices.Clone(i.opts.Audience),
		Type:       typeAccess,
	}
}

// Issue signs a token for an identity. It holds for the TTL, and not longer
// than the identity. Its claims are iss, aud, sub (the user), via (the
// identity's), jti (128 random bits), iat in microseconds, exp, auth_time, and
// those of IssuerOptions.Claims.
//
// Whoever has only the token cannot look the session up again that the identity
// may come from: the token does not end with it. Tokens that do are those of a
// [TicketHandler].
func (i *Issuer) Issue(id *bridge.Identity) (Token, error) {
	return i.issue(issuance{identity: id, typ: typeAccess, ttl: i.opts.TTL, began: time.Now(), until: id.Expires})
}

// issuance is what a token is made of.
type issuance struct {
	identity  *bridge.Identity
	typ       string
	ttl       time.Duration
	began     time.Time // when the first token of the chain was issued
	end       time.Time // when the chain ends; zero for never
	until     time.Time // when the identity ends; zero if its session tells
	reference string    // "" if there is no session to refer to
	origin    *string   // of the page; nil: of any
}

func (i *Issuer) issue(n issuance) (Token, error) {
	id := n.identity
	for _, s := range []string{id.User, id.Via} {
		if s == "" || !utf8.ValidString(s) || strings.ContainsRune(s, utf8.RuneError) {
			return Token{}, errors.New("jwtmode: the identity's User or Via is empty or not well-formed Unicode, so that two of them could become one in a token")
		}
	}
	now := time.Now()
	exp := now.Add(n.ttl)
	for _, end := range []time.Time{id.Expires, n.end, n.until} {
		if !end.IsZero() && end.Before(exp) {
			exp = end
		}
	}
	exp = exp.Truncate(time.Second)
	if !now.Before(exp) {
		return Token{}, errors.New("jwtmode: the identity's time is over within a second")
	}
	claims := jwt.MapClaims{}
	if i.opts.Claims != nil {
		maps.Copy(claims, i.opts.Claims(id))
	}
	for _, name := range []string{"nbf", claimUntil, claimReference, claimOrigin} {
		delete(claims, name)
	}
	jti := newID()
	claims["iss"], claims["sub"], claims["jti"] = i.opts.Issuer, id.User, jti
	claims["aud"] = any(i.opts.Audience)
	if len(i.opts.Audience) == 1 {
		claims["aud"] = i.opts.Audience[0]
	}
	claims["iat"], claims["exp"] = numericDate(now), exp.Unix()
	claims[claimVia], claims[claimBegan] = id.Via, n.began.Unix()
	if !n.until.IsZero() {
		claims[claimUntil] = numericDate(n.until)
	}
	if n.reference != "" {
		claims[claimReference] = i.refs.seal(n.reference, jti)
	}
	if n.origin != nil {
		claims[claimOrigin] = *n.origin
	}
	t := jwt.NewWithClaims(i.method, claims)
	t.Header["typ"] = n.typ
	if i.opts.KeyID != "" {
		t.Header["kid"] = i.opts.KeyID
	}
	text, err := t.SignedString(i.opts.Key)
	if err != nil {
		return Token{}, fmt.Errorf("jwtmode: signing a token: %w", err)
	}
	if len(text) > maxToken {
		return Token{}, errors.New("jwtmode: the token would be longer than 8,192 bytes; let Claims return less")
	}
	return Token{Text: text, ID: jti, Expires: exp}, nil
}

// newID returns 128 random bits.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}
