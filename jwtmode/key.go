package jwtmode

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// keyKind is what a key is, as an error names it. A key verifies the
// algorithms of its own kind and no other, so that a public key, which
// everybody may know, is never an HMAC secret (RFC 8725, section 2.1).
type keyKind string

const (
	secretKey  keyKind = "an HMAC secret ([]byte)"
	rsaKey     keyKind = "an RSA public key (*rsa.PublicKey)"
	p256Key    keyKind = "a P-256 public key (*ecdsa.PublicKey)"
	p384Key    keyKind = "a P-384 public key (*ecdsa.PublicKey)"
	p521Key    keyKind = "a P-521 public key (*ecdsa.PublicKey)"
	ed25519Key keyKind = "an Ed25519 public key (ed25519.PublicKey)"
)

// minRSABits: "A key of size 2048 bits or larger MUST be used with these
// algorithms" (RFC 7518, sections 3.3 and 3.5).
const minRSABits = 2048

// kindOf says what a key is, or why it can be none.
func kindOf(key any) (keyKind, error) {
	switch k := key.(type) {
	case nil:
		return "", errors.New("the key is nil; was the error of reading it checked?")
	case []byte:
		return secretKey, checkSecret(k)
	case *rsa.PublicKey:
		return rsaKey, checkRSA(k)
	case *ecdsa.PublicKey:
		return kindOfECDSA(k)
	case ed25519.PublicKey:
		if len(k) != ed25519.PublicKeySize {
			return "", fmt.Errorf("an Ed25519 public key has %d bytes, this one %d", ed25519.PublicKeySize, len(k))
		}
		return ed25519Key, nil
	case string:
		return "", errors.New("the key is a string; write []byte(secret) for an HMAC secret, decode it first if it is base64, and parse a PEM text with jwt.ParseRSAPublicKeyFromPEM or a sibling")
	case rsa.PublicKey, ecdsa.PublicKey:
		return "", fmt.Errorf("the key is a %T; give a pointer to it", key)
	case crypto.Signer:
		return "", fmt.Errorf("the key is a %T, which can sign; a service that only verifies is given the public half", key)
	default:
		return "", fmt.Errorf("a %T is no key; see Options.Key for the types", key)
	}
}

// checkSecret refuses a secret that is none: empty, or a public key's text,
// with which everybody could sign.
func checkSecret(secret []byte) error {
	if len(secret) == 0 {
		return errors.New("the secret is empty; is an environment variable unset?")
	}
	_, notPKIX := x509.ParsePKIXPublicKey(secret)
	_, notPKCS1 := x509.ParsePKCS1PublicKey(secret)
	if notPKIX == nil || notPKCS1 == nil || bytes.Contains(secret, []byte("-----BEGIN ")) || bytes.Contains(secret, []byte(`"kty"`)) {
		return errors.New("the secret is the encoding of a key; parse it, with jwt.ParseRSAPublicKeyFromPEM say, and allow that key's algorithms")
	}
	return nil
}

func checkRSA(k *rsa.PublicKey) error {
	if k == nil || k.N == nil {
		return errors.New("the RSA key is nil; was the error of parsing it checked?")
	}
	if bits := k.N.BitLen(); bits < minRSABits {
		return fmt.Errorf("the RSA key has %d bits; %d are the least (RFC 7518, section 3.3)", bits, minRSABits)
	}
	if k.E < 3 || k.E%2 == 0 {
		return fmt.Errorf("the RSA key has the exponent %d, with which signatures can be forged", k.E)
	}
	return nil
}

func kindOfECDSA(k *ecdsa.PublicKey) (keyKind, error) {
	if k == nil || *k == (ecdsa.PublicKey{Curve: k.Curve}) {
		return "", errors.New("the ECDSA key is nil; was the error of parsing it checked?")
	}
	var kind keyKind
	switch k.Curve {
	case elliptic.P256():
		kind = p256Key
	case elliptic.P384():
		kind = p384Key
	case elliptic.P521():
		kind = p521Key
	default:
		return "", errors.New("the ECDSA key is on a curve of no JWT algorithm; P-256, P-384 and P-521 are")
	}
	if _, err := k.Bytes(); err != nil {
		return "", errors.New("the ECDSA key is no point on its curve")
	}
	return kind, nil
}

// longEnough refuses a secret that is too short for an algorithm.
func (a algorithm) longEnough(key any) error {
	if secret, ok := key.([]byte); ok && len(secret) < a.secret {
		return fmt.Errorf("the secret has %d bytes and %s needs %d (RFC 7518, section 3.2); make one with openssl rand -base64 %d, or set InsecureShortSecrets", len(secret), a.Alg(), a.secret, a.secret)
	}
	return nil
}

// SecretBase64 decodes a secret that is written in base64, as Auth0 and many
// key generators do: in the standard or the URL alphabet, with all of its
// padding or with none. White space around it, which files and environment
// variables pick up, is left out; within it, nothing but the alphabet is
// accepted. The error holds nothing of the secret.
//
// jsonwebtoken and other libraries take the text itself as the secret. If
// tokens do not verify, try []byte(s).
func SecretBase64(s string) ([]byte, error) {
	s = strings.TrimSpace(s)
	// The decoder skips line breaks, even when it is strict.
	if s == "" || strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("jwtmode: the secret is empty or broken into lines; give the base64 text on one line")
	}
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
		if secret, err := e.Strict().DecodeString(s); err == nil {
			return secret, nil
		}
	}
	return nil, errors.New("jwtmode: the secret is not in base64; write []byte(secret) if it is the text itself")
}

// finder finds the keys that may have signed a token, all of the kind of its
// algorithm. An error that is a *flaw rejects the token; any other means that
// the keys could not be found out.
type finder func(ctx context.Context, r *http.Request, t *jwt.Token, a algorithm) ([]any, error)

// newFinders returns the finders that the options ask for, in order.
func newFinders(o Options, allowed map[string]algorithm) ([]finder, error) {
	hasKeys := o.Key != nil || len(o.MoreKeys) > 0
	switch {
	case o.KeyFunc != nil && (hasKeys || o.JWKS != nil):
		return nil, errors.New("jwtmode: Key, MoreKeys and JWKS have no effect beside KeyFunc; set one of them")
	case o.KeyFunc != nil:
		return []finder{o.dynamicKey}, nil
	case !hasKeys && o.JWKS == nil:
		return nil, errors.New("jwtmode: no Key; give the secret as a []byte, or the issuer's public key, or set JWKS or KeyFunc")
	}
	var finders []finder
	byKind := map[keyKind][]any{}
	if hasKeys {
		var err error
		if byKind, err = o.staticKeys(allowed); err != nil {
			return nil, err
		}
		finders = append(finders, func(_ context.Context, _ *http.Request, _ *jwt.Token, a algorithm) ([]any, error) {
			return byKind[a.key], nil
		})
	}
	for _, alg := range slices.Sorted(maps.Keys(allowed)) {
		kind := allowed[alg].key
		switch {
		case byKind[kind] != nil || o.JWKS != nil && kind != secretKey:
		case o.JWKS != nil:
			return nil, fmt.Errorf("jwtmode: %s is verified with %s, which is no part of a JWKS; leave the algorithm out, or give the secret in Key", alg, kind)
		default:
			return nil, fmt.Errorf("jwtmode: %s is verified with %s, and no such key is given; leave the algorithm out, or give the key in MoreKeys", alg, kind)
		}
	}
	if o.JWKS != nil {
		finders = append(finders, o.JWKS.find)
	}
	return finders, nil
}

// staticKeys sorts the keys by kind. Each key must serve an algorithm: one that
// never can is a mistake.
func (o Options) staticKeys(allowed map[string]algorithm) (map[keyKind][]any, error) {
	byKind := map[keyKind][]any{}
	for i, key := range append([]any{o.Key}, o.MoreKeys...) {
		name := "Key"
		if i > 0 {
			name = fmt.Sprintf("MoreKeys[%d]", i-1)
		}
		kind, err := kindOf(key)
		if err != nil {
			return nil, fmt.Errorf("jwtmode: %s: %w", name, err)
		}
		serves := false
		for _, alg := range slices.Sorted(maps.Keys(allowed)) {
			a := allowed[alg]
			if a.key != kind {
				continue
			}
			serves = true
			if err := a.longEnough(key); err != nil && !o.InsecureShortSecrets {
				return nil, fmt.Errorf("jwtmode: %s: %w", name, err)
			}
		}
		if !serves {
			return nil, fmt.Errorf("jwtmode: %s is %s, with which none of the Algorithms is verified; allow that key's algorithm instead", name, kind)
		}
		if secret, ok := key.([]byte); ok {
			key = bytes.Clone(secret)
		}
		byKind[kind] = append(byKind[kind], key)
	}
	return byKind, nil
}

// dynamicKey is a finder that asks KeyFunc.
func (o Options) dynamicKey(ctx context.Context, r *http.Request, t *jwt.Token, a algorithm) ([]any, error) {
	key, err := o.KeyFunc(ctx, r, t)
	if err != nil {
		return nil, refusedBy("KeyFunc", err, flawNoKey)
	}
	if key == nil {
		return nil, flawNoKey
	}
	kind, err := kindOf(key)
	if err == nil && !o.InsecureShortSecrets {
		err = a.longEnough(key)
	}
	if err != nil {
		return nil, fmt.Errorf("KeyFunc: %w", err)
	}
	if kind != a.key {
		return nil, flawAlgorithmOfKey
	}
	return []any{key}, nil
}
