package jwtmode

import (
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/MicahParks/jwkset"
)

const (
	// maxKeys is the most keys that a set may have. Those of large providers
	// have about ten.
	maxKeys = 256

	// maxTried is the most keys that one token is tried with.
	maxTried = 16

	// maxSetRSABits bounds what verifying with a key of the set may cost.
	maxSetRSABits = 8192
)

// keySet is what a JWKS held when it was fetched. It is not changed any more.
type keySet struct {
	fetched time.Time // when the issuer was asked
	keys    []publicKey
	byID    map[string][]publicKey
}

// publicKey is one that may verify signatures.
type publicKey struct {
	kind keyKind
	alg  string // "" fits every alg of the kind
	key  any
}

func (p publicKey) fits(a algorithm) bool {
	return p.kind == a.key && (p.alg == "" || p.alg == a.Alg())
}

// named returns the keys of a kid that fit the algorithm; known is false if
// there is no key of that kid at all. "One example in which different keys
// might use the same 'kid' value is if they have different 'kty' values" (RFC
// 7517, section 4.5).
func (s *keySet) named(kid string, a algorithm) (keys []any, known bool) {
	candidates, known := s.byID[kid]
	return fitting(candidates, a), known
}

// fitting returns the keys that fit the algorithm, whatever their kid.
func (s *keySet) fitting(a algorithm) []any { return fitting(s.keys, a) }

func fitting(candidates []publicKey, a algorithm) []any {
	var keys []any
	for _, p := range candidates {
		if p.fits(a) && len(keys) < maxTried {
			keys = append(keys, p.key)
		}
	}
	return keys
}

// parseKeySet reads a JWK Set (RFC 7517, section 5). Keys that cannot be used
// are passed over, as that section wants; a set without any other is an error,
// so that an issuer's mishap does not take the place of its last good set.
func parseKeySet(body []byte) (*keySet, error) {
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &document); err != nil {
		return nil, errors.New("the issuer's answer is not a JWK Set in JSON")
	}
	if len(document.Keys) > maxKeys {
		return nil, fmt.Errorf("the issuer's JWK Set has %d keys, more than %d", len(document.Keys), maxKeys)
	}
	set := &keySet{byID: map[string][]publicKey{}}
	for _, raw := range document.Keys {
		m, p, ok := parseKey(raw)
		if !ok {
			continue
		}
		set.keys = append(set.keys, p)
		set.byID[m.KID] = append(set.byID[m.KID], p)
	}
	if len(set.keys) == 0 {
		return nil, errors.New("the issuer's JWK Set has no key that could verify a token")
	}
	return set, nil
}

// parseKey reads one key of a set.
func parseKey(raw json.RawMessage) (m jwkset.JWKMarshal, p publicKey, ok bool) {
	if json.Unmarshal(raw, &m) != nil {
		return m, p, false
	}
	switch {
	case m.USE != "" && m.USE != jwkset.UseSig:
	case len(m.KEYOPS) > 0 && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify):
	case m.K != "" || m.D != "": // whoever can read the set can sign with it
	default:
		ok = true
	}
	if !ok {
		return m, p, false
	}
	// The key is what counts; a certificate beside it is not looked at, and
	// above all not fetched.
	m.X5C, m.X5U, m.X5T, m.X5TS256 = nil, "", "", ""
	jwk, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{SkipAll: true})
	if err != nil {
		return m, p, false
	}
	p = publicKey{alg: string(m.ALG), key: jwk.Key()}
	if p.kind, err = kindOf(p.key); err != nil || p.kind == secretKey {
		return m, p, false
	}
	if k, ok := p.key.(*rsa.PublicKey); ok && k.N.BitLen() > maxSetRSABits {
		return m, p, false
	}
	if p.alg == "Ed25519" { // RFC 9864, section 2.2: the name that says which EdDSA
		p.alg = "EdDSA"
	}
	return m, p, true
}
