package cookie

import (
	"crypto/hmac"
	"crypto/sha1" // it is what keygrip uses
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
)

// Keygrip is how the npm packages cookies and keygrip sign a cookie, for
// cookie-session and everything on Koa: a second cookie, called name.sig, holds
// the unpadded base64url of the HMAC of "name=value".
type Keygrip struct {
	// Keys are those of the application, app.keys in Koa, newest first. Any of
	// them may have signed.
	Keys []string

	// Hash is keygrip's algorithm; nil for its default, SHA-1.
	Hash func() hash.Hash

	// InsecureUnsigned accepts a cookie that has no signature, for
	// applications with signed: false. Whoever writes such a cookie is
	// believed: where it holds the session itself, anybody can be any user.
	// One that has a signature must still fit one of the Keys, if there are
	// any.
	InsecureUnsigned bool
}

var (
	errNoSig      = errors.New("the cookie is not signed: its companion, whose name ends in .sig, is missing")
	errNoKeys     = errors.New("no key; give those of the application's keys option (in Koa, app.keys)")
	errEmptyKey   = errors.New("an empty key signs for anybody; is an environment variable unset?")
	errNotBase64  = errors.New("the cookie is not the base64 of a session")
	errCookieSize = errors.New("the cookie is longer than 64 KiB")
)

// maxSealed bounds a cookie that is decoded or decrypted. Browsers keep 4 KiB.
const maxSealed = 64 << 10

func (k Keygrip) clone() Keygrip {
	k.Keys = slices.Clone(k.Keys)
	return k
}

func (k Keygrip) validate() error {
	switch {
	case len(k.Keys) == 0 && !k.InsecureUnsigned:
		return errNoKeys
	case slices.Contains(k.Keys, ""):
		return errEmptyKey
	}
	return nil
}

// open finds a cookie and checks its signature.
func (k Keygrip) open(jar Jar, name string) (value string, signed bool, err error) {
	if value = cookiesGet(jar, name); value == "" {
		return "", false, noCookie(name)
	}
	if len(value) > maxSealed {
		return "", false, errCookieSize
	}
	signature := cookiesGet(jar, name+".sig")
	switch {
	case k.InsecureUnsigned && (signature == "" || len(k.Keys) == 0):
		return value, false, nil
	case signature == "":
		return "", false, errNoSig
	}
	for _, key := range k.Keys {
		if hmac.Equal([]byte(k.sign(key, name+"="+value)), []byte(signature)) {
			return value, true, nil
		}
	}
	return "", false, misfit(len(k.Keys), "key")
}

// sign returns the signature as text, which is what keygrip compares: a decoder
// would accept padding and non-canonical last bits that it refuses.
func (k Keygrip) sign(key, data string) string {
	h := k.Hash
	if h == nil {
		h = sha1.New
	}
	mac := hmac.New(h, []byte(key))
	_, _ = mac.Write([]byte(data)) // a hash never fails
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// misfit says that a signature, or an encryption, is none of n secrets'.
func misfit(n int, secret string) error {
	if n == 1 {
		return errors.New("the signature does not fit the one " + secret)
	}
	return fmt.Errorf("the signature fits none of %d %ss", n, secret)
}

// cookiesGet returns a cookie as the npm package cookies finds it, with
// (?:^|;) *name=([^;]*) and without quotes; "" if there is none.
func cookiesGet(jar Jar, name string) string {
	for pair := range jar.pairs() {
		value, ok := strings.CutPrefix(strings.TrimLeft(pair, " "), name+"=")
		if !ok {
			continue
		}
		if strings.HasPrefix(value, `"`) {
			value = value[1:max(1, len(value)-1)] // the last byte, whatever it is
		}
		return fromLatin1(value)
	}
	return ""
}

// KeygripID opens a cookie that holds a session id.
func KeygripID(k Keygrip) Opener { return keygripID{k.clone()} }

type keygripID struct{ Keygrip }

func (o keygripID) Validate() error { return o.validate() }

func (o keygripID) Open(jar Jar, name string) (Opened, error) {
	id, signed, err := o.open(jar, name)
	if err != nil {
		return Opened{}, err
	}
	return Opened{ID: id, Signed: signed}, nil
}

// KeygripJSON opens a cookie that holds the session itself: the base64 of JSON.
func KeygripJSON(k Keygrip) Opener { return keygripJSON{k.clone()} }

type keygripJSON struct{ Keygrip }

func (o keygripJSON) Validate() error    { return o.validate() }
func (o keygripJSON) holdsSession() bool { return true }

func (o keygripJSON) Open(jar Jar, name string) (Opened, error) {
	value, _, err := o.open(jar, name)
	if err != nil {
		return Opened{}, err
	}
	session, err := decodeBase64(value)
	if err != nil {
		return Opened{}, err
	}
	// Without a signature, InsecureUnsigned vouches for the session.
	return Opened{Signed: true, Value: session}, nil
}

// decodeBase64 decodes either alphabet, with padding or without, as Node does
// with what it wrote itself. It is never nil.
func decodeBase64(s string) ([]byte, error) {
	s = strings.TrimRight(s, "=")
	enc := base64.RawStdEncoding
	if strings.ContainsAny(s, "-_") {
		enc = base64.RawURLEncoding
	}
	b, err := enc.DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return nil, errNotBase64
	}
	return b, nil
}
