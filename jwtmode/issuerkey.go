package jwtmode

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"
)

// verifier returns the key that verifies what a signing key signs, once it is
// known that it fits the algorithm and is long enough.
func verifier(key any, a algorithm) (any, error) {
	public, err := publicHalf(key)
	if err != nil {
		return nil, err
	}
	kind, err := kindOf(public)
	if err != nil {
		return nil, err
	}
	if kind != a.key {
		return nil, fmt.Errorf("%s is verified with %s, and this key is not the like; choose another Algorithm or key", a.Alg(), a.key)
	}
	if secret, ok := public.([]byte); ok && len(secret) < a.secret {
		return nil, fmt.Errorf("the secret has %d bytes and %s needs %d (RFC 7518, section 3.2); make one with openssl rand -base64 %d", len(secret), a.Alg(), a.secret, a.secret)
	}
	return public, nil
}

func publicHalf(key any) (any, error) {
	errNil := errors.New("the key is nil; was the error of parsing it checked?")
	switch k := key.(type) {
	case []byte:
		return bytes.Clone(k), nil
	case *rsa.PrivateKey:
		if k == nil {
			return nil, errNil
		}
		return &k.PublicKey, k.Validate()
	case *ecdsa.PrivateKey:
		if k == nil || k.Curve == nil {
			return nil, errNil
		}
		return &k.PublicKey, nil
	case ed25519.PrivateKey:
		if len(k) != ed25519.PrivateKeySize {
			return nil, fmt.Errorf("an Ed25519 private key has %d bytes, this one %d", ed25519.PrivateKeySize, len(k))
		}
		return k.Public(), nil
	}
	_, err := kindOf(key) // a string, say, for which it knows advice
	if err == nil || strings.Contains(err.Error(), "can sign") {
		err = fmt.Errorf("a %T cannot sign here; give the private key, see IssuerOptions.Key for the types", key)
	}
	return nil, err
}
