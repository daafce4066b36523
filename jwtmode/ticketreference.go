package jwtmode

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// Sessions is an authenticator by sessions to which a token can refer. Those of
// package cookie are.
type Sessions interface {
	bridge.Authenticator

	// Reference returns what Resume finds the session again by, on any node,
	// that an identity was read from; ok is false if it was none of these
	// sessions.
	Reference(r *http.Request, id *bridge.Identity) (ref string, ok bool)

	// Resume returns the binding of a session, whose Reload gives the identity
	// that it holds; ok is false if the reference is not of these sessions.
	Resume(ref string) (b bridge.Binding, ok bool)
}

// references encrypts what tokens refer to their sessions with. A reference
// holds the session id, which the client must not see: a page's script can read
// the token and not the cookie. The first key encrypts; all decrypt.
type references []cipher.AEAD

const minReferenceKey = 32

// newReferences takes the reference key or, if there is none, the secrets among
// the issuer's keys. It returns nil if there are none of these either.
func newReferences(own []byte, keys []any) (references, error) {
	if len(own) > 0 {
		if len(own) < minReferenceKey {
			return nil, fmt.Errorf("jwtmode: the ReferenceKey has %d bytes and needs %d; make one with openssl rand -base64 %d", len(own), minReferenceKey, minReferenceKey)
		}
		keys = []any{own}
	}
	var all references
	for _, key := range keys {
		secret, ok := key.([]byte)
		if !ok {
			continue
		}
		// Never the signing secret itself: one key for one purpose.
		derived, err := hkdf.Key(sha256.New, secret, nil, "sessionbridge session reference", 32)
		if err != nil {
			return nil, err
		}
		block, err := aes.NewCipher(derived)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, err
		}
		all = append(all, aead)
	}
	return all, nil
}

// seal encrypts a reference for the token with this jti and for no other.
func (a references) seal(ref, jti string) string {
	return base64.RawURLEncoding.EncodeToString(a[0].Seal(nil, nil, []byte(ref), []byte(jti)))
}

var errSealed = errors.New("the reference to its session cannot be decrypted")

func (a references) open(sealed, jti string) (string, error) {
	b, err := decodeBase64(sealed, "reference")
	if err != nil {
		return "", errSealed
	}
	for _, aead := range a {
		if ref, err := aead.Open(nil, nil, b, []byte(jti)); err == nil {
			return string(ref), nil
		}
	}
	return "", errSealed
}

// reference returns the reference to the session of an identity that a request
// was authenticated as.
func (i *Issuer) reference(r *http.Request, id *bridge.Identity) (string, bool) {
	for _, s := range i.opts.Sessions {
		if ref, ok := s.Reference(r, id); ok && ref != "" {
			return ref, true
		}
	}
	return "", false
}

var flawReference = token("jwt of an unknown session", errors.New("the reference to its session cannot be decrypted, or is of none of the Sessions"))

// session is what a token refers to.
type session struct {
	reference string
	binding   bridge.Binding
}

// session returns the session that a token refers to; nil if there is none.
func (i *Issuer) session(claims map[string]any) (*session, error) {
	claim, ok := claims[claimReference]
	if !ok {
		return nil, nil
	}
	sealed, _ := claim.(string)
	jti, _ := claims["jti"].(string)
	ref, err := i.refs.open(sealed, jti)
	if err != nil {
		return nil, flawReference
	}
	for _, s := range i.opts.Sessions {
		if b, ok := s.Resume(ref); ok {
			return &session{ref, b}, nil
		}
	}
	return nil, flawReference
}

var errSessionUser = bridge.Reject(bridge.CodeUserChanged, "the session is another user's", errors.New("the token's session is another user's now"))

// sameUser reports whether a session is still the user's whom a token names.
func sameUser(token, session *bridge.Identity) error {
	if via, _ := token.Claims[claimVia].(string); session.User != token.User || session.Via != via {
		return errSessionUser
	}
	return nil
}

// over makes a rejection of what a session says that is over: the token is
// there, and is no credential for anybody else to judge.
func over(err error) error {
	if errors.Is(err, bridge.ErrNoCredential) {
		return bridge.Reject(bridge.CodeSessionEnded, "the session is over", errors.New("the token's session: "+err.Error()))
	}
	return err
}
