package jwtmode

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// algorithm is one "alg" of RFC 7518, section 3.1, or RFC 8037, section 3.1.
type algorithm struct {
	jwt.SigningMethod
	key keyKind

	// secret is the least length of an HMAC secret in bytes; 0 for others:
	// "A key of the same size as the hash output (for instance, 256 bits for
	// "HS256") or larger MUST be used" (RFC 7518, section 3.2).
	secret int
}

// algorithms holds all that are supported. It does not come from golang-jwt's
// registry, which has "none" and which any package of the program can extend.
var algorithms = map[string]algorithm{
	"HS256": {jwt.SigningMethodHS256, secretKey, 32},
	"HS384": {jwt.SigningMethodHS384, secretKey, 48},
	"HS512": {jwt.SigningMethodHS512, secretKey, 64},
	"RS256": {jwt.SigningMethodRS256, rsaKey, 0},
	"RS384": {jwt.SigningMethodRS384, rsaKey, 0},
	"RS512": {jwt.SigningMethodRS512, rsaKey, 0},
	"PS256": {strictPSS(jwt.SigningMethodPS256), rsaKey, 0},
	"PS384": {strictPSS(jwt.SigningMethodPS384), rsaKey, 0},
	"PS512": {strictPSS(jwt.SigningMethodPS512), rsaKey, 0},
	"ES256": {jwt.SigningMethodES256, p256Key, 0},
	"ES384": {jwt.SigningMethodES384, p384Key, 0},
	"ES512": {jwt.SigningMethodES512, p521Key, 0},
	"EdDSA": {jwt.SigningMethodEdDSA, ed25519Key, 0},
}

// strictPSS is m without its allowance for salts of another length: "The size
// of the salt value is the same size as the hash function output" (RFC 7518,
// section 3.5).
func strictPSS(m *jwt.SigningMethodRSAPSS) *jwt.SigningMethodRSAPSS {
	return &jwt.SigningMethodRSAPSS{SigningMethodRSA: m.SigningMethodRSA, Options: m.Options}
}

// allow returns the algorithms with the given names.
func allow(names []string) (map[string]algorithm, error) {
	if len(names) == 0 {
		return nil, errors.New(`jwtmode: no Algorithms; list the one that the issuer signs with, Algorithms: []string{"RS256"} say, as a token must not choose it`)
	}
	allowed := make(map[string]algorithm, len(names))
	for _, name := range names {
		a, ok := algorithms[name]
		switch {
		case strings.EqualFold(name, "none"):
			return nil, errors.New(`jwtmode: the algorithm "none" lets anybody sign; list the one that the issuer signs with`)
		case !ok:
			return nil, fmt.Errorf("jwtmode: there is no algorithm %q; Algorithms may list %s", name, strings.Join(slices.Sorted(maps.Keys(algorithms)), ", "))
		}
		allowed[name] = a
	}
	return allowed, nil
}
