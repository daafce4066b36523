package cookie

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha1" // Rails before 7.0 derives its keys with it
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"hash"
	"net/url"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/sessionbridge/sessionbridge/stores"
)

// railsUser is where Devise puts the id of its scope user: Warden's
// [[id], salt].
const railsUser = `warden\.user\.user\.key.0.0`

// Rails is Rails' cookie_store since 5.2: the session is in the cookie, which
// is encrypted with AES-256-GCM by a key from one of the secret key bases
// (newest first), the user where Devise puts it, at `warden\.user\.user\.key.0.0`.
// It needs no store. Nothing but the browser knows of a logout.
func Rails(cookieName string, secretKeyBases ...string) Stack {
	return Stack{
		Name:     "rails",
		Cookie:   cookieName,
		Opener:   RailsEncrypted(secretKeyBases...),
		Keyspace: stores.RailsKeyspace(),
		User:     railsUser,
	}
}

// RailsRedis is Rails' redis_store (redis-actionpack): a cookie that is the id
// itself, or with the option signed is encrypted by a key from one of the
// secret key bases; give none if it is not. Keyspace.Prefix is the namespace
// and a colon. The user is as in [Rails].
func RailsRedis(cookieName string, secretKeyBases ...string) Stack {
	s := Stack{
		Name:     "rails",
		Cookie:   cookieName,
		Opener:   railsPlain{},
		Keyspace: stores.RailsRedisKeyspace(),
		User:     railsUser,
	}
	if len(secretKeyBases) > 0 {
		s.Opener = railsSealedID{newRailsSealed(secretKeyBases)}
	}
	return s
}

// RailsEncrypted opens an encrypted cookie of Rails': data, nonce and tag in
// base64 with "--" between them. Keys are derived as by Rails before 7.0, with
// SHA-1, and since, with SHA-256. The cookie's purpose, its name, is checked;
// its expiry is the codec's to check.
func RailsEncrypted(secretKeyBases ...string) Opener {
	return railsSession{newRailsSealed(secretKeyBases)}
}

var (
	errNoKeyBase   = errors.New("no secret_key_base; give the application's")
	errRailsShape  = errors.New("the cookie is not encrypted with AES-256-GCM: it is not data, nonce and tag with -- between them (Rails before 5.2 needs use_authenticated_cookie_encryption)")
	errRailsPur    = errors.New("the cookie was encrypted as another one of the application's")
	errRailsNoID   = errors.New("the cookie does not hold a session id")
	errRailsCipher = errors.New("the cookie was encrypted with none of the secret_key_bases")
)

// railsSealed decrypts cookies.
type railsSealed struct {
	bases []string
	keys  func() []cipher.AEAD
}

func newRailsSealed(bases []string) railsSealed {
	bases = slices.Clone(bases)
	// Deriving takes a millisecond for each, so it waits for the first cookie.
	return railsSealed{bases, sync.OnceValue(func() []cipher.AEAD { return railsKeys(bases) })}
}

// railsKeys derives the keys as ActiveSupport::KeyGenerator does.
func railsKeys(bases []string) (keys []cipher.AEAD) {
	for _, base := range bases {
		for _, h := range []func() hash.Hash{sha1.New, sha256.New} {
			key, err := pbkdf2.Key(h, base, []byte("authenticated encrypted cookie"), 1000, 32)
			if err != nil {
				continue // FIPS mode refuses SHA-1
			}
			block, err := aes.NewCipher(key)
			if err != nil {
				continue
			}
			if aead, err := cipher.NewGCM(block); err == nil {
				keys = append(keys, aead)
			}
		}
	}
	return keys
}

func (o railsSealed) Validate() error {
	switch {
	case len(o.bases) == 0:
		return errNoKeyBase
	case slices.Contains(o.bases, ""):
		return errEmptyKey
	}
	return nil
}

func (o railsSealed) open(jar Jar, name string) ([]byte, error) {
	value := rackCookie(jar, name)
	if value == "" {
		return nil, noCookie(name)
	}
	if len(value) > maxSealed {
		return nil, errCookieSize
	}
	parts := strings.Split(value, "--")
	if len(parts) != 3 {
		return nil, errRailsShape
	}
	var raw [3][]byte
	for i, p := range parts {
		var err error
		if raw[i], err = base64.StdEncoding.Strict().DecodeString(p); err != nil || strings.ContainsAny(p, "\r\n") {
			return nil, errRailsShape
		}
	}
	data, nonce, tag := raw[0], raw[1], raw[2]
	if len(nonce) != 12 || len(tag) != 16 {
		return nil, errRailsShape
	}
	data = append(data, tag...)
	for _, aead := range o.keys() {
		if plain, err := aead.Open([]byte{}, nonce, data, nil); err == nil {
			return plain, checkPurpose(plain, name)
		}
	}
	return nil, errRailsCipher
}

// checkPurpose refuses a message that was made for something else. One without
// a purpose, from before Rails 6.0, is good for everything.
func checkPurpose(plain []byte, name string) error {
	var envelope, meta map[string]json.RawMessage
	if json.Unmarshal(plain, &envelope) != nil || envelope["_rails"] == nil {
		return nil
	}
	if json.Unmarshal(envelope["_rails"], &meta) != nil {
		return errRailsPur
	}
	var purpose *string
	if raw := meta["pur"]; raw != nil && json.Unmarshal(raw, &purpose) != nil {
		return errRailsPur
	}
	if purpose != nil && *purpose != "" && *purpose != "cookie."+name {
		return errRailsPur
	}
	return nil
}

// railsSession opens a cookie that holds the session.
type railsSession struct{ railsSealed }

func (railsSession) holdsSession() bool { return true }

func (o railsSession) Open(jar Jar, name string) (Opened, error) {
	plain, err := o.open(jar, name)
	if err != nil {
		return Opened{}, err
	}
	return Opened{Signed: true, Value: plain}, nil
}

// railsSealedID opens a cookie that holds the id, encrypted.
type railsSealedID struct{ railsSealed }

func (o railsSealedID) Open(jar Jar, name string) (Opened, error) {
	plain, err := o.open(jar, name)
	if err != nil {
		return Opened{}, err
	}
	var envelope struct {
		Rails *struct {
			Message []byte `json:"message"`
		} `json:"_rails"`
	}
	if json.Unmarshal(plain, &envelope) == nil && envelope.Rails != nil {
		plain = envelope.Rails.Message
	}
	id, ok := railsString(plain)
	if !ok {
		return Opened{}, errRailsNoID
	}
	return Opened{ID: id, Signed: true}, nil
}

// railsString reads a string in JSON or in Ruby's Marshal, where 32 bytes have
// the length 0x25.
func railsString(b []byte) (s string, ok bool) {
	if rest, ok := strings.CutPrefix(string(b), "\x04\bI\"\x25"); ok && len(rest) > 32 {
		return rest[:32], strings.HasPrefix(rest[32:], "\x06:\x06E")
	}
	return s, json.Unmarshal(b, &s) == nil
}

// railsPlain opens a cookie that is the id itself.
type railsPlain struct{}

func (railsPlain) Validate() error { return nil }

func (railsPlain) Open(jar Jar, name string) (Opened, error) {
	value := rackCookie(jar, name)
	if value == "" {
		return Opened{}, noCookie(name)
	}
	return Opened{ID: value}, nil
}

// rackCookie returns a cookie as Rack finds it: the first of its name, spaces
// only before it, and decoded like a form, so that + is a space
// (Rack::Utils.parse_cookies_header).
func rackCookie(jar Jar, name string) string {
	for pair := range jar.pairs() {
		value, ok := strings.CutPrefix(strings.TrimLeft(pair, " "), name+"=")
		if !ok {
			continue
		}
		decoded, err := url.QueryUnescape(value)
		if err != nil || !utf8.ValidString(decoded) {
			return value
		}
		return decoded
	}
	return ""
}
