package cookie

import (
	"crypto/hmac"
	"crypto/sha1" // Django before 3.1 signed with it
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"slices"
	"strings"

	"github.com/sessionbridge/sessionbridge/stores"
)

// Django is Django's sessions in Redis, with the engine cache or cached_db:
// cookie "sessionid", which is the id itself, the user where
// django.contrib.auth puts it, at "_auth_user_id".
//
// Django also compares the session's _auth_user_hash with the user's password
// in the database, and ends other sessions when the password changes; that is
// out of reach here.
func Django() Stack {
	return Stack{
		Name:     "django",
		Cookie:   "sessionid",
		Opener:   djangoPlain{},
		Keyspace: stores.DjangoKeyspace(),
		User:     "_auth_user_id",
	}
}

// DjangoCookie is Django's sessions with the engine signed_cookies: in the
// cookie "sessionid", signed with one of the secret keys (SECRET_KEY, then
// SECRET_KEY_FALLBACKS), the user as in [Django]. It needs no store. Nothing
// but the browser knows of a logout. For an application that sets
// SESSION_COOKIE_AGE, set Keyspace.Codec to [stores.DjangoCookie].
func DjangoCookie(secretKeys ...string) Stack {
	return Stack{
		Name:     "django",
		Cookie:   "sessionid",
		Opener:   DjangoSigned(secretKeys...),
		Keyspace: stores.DjangoCookieKeyspace(),
		User:     "_auth_user_id",
	}
}

// DjangoSigned opens a cookie that holds a session as django.core.signing.dumps
// makes it: payload, timestamp and signature, with colons between them. The
// signature is HMAC-SHA256, or HMAC-SHA1, which Django before 3.1 wrote and 3.1
// to 3.2 accept.
func DjangoSigned(secretKeys ...string) Opener {
	return djangoSigned{slices.Clone(secretKeys)}
}

type djangoSigned struct{ keys []string }

func (o djangoSigned) Validate() error {
	switch {
	case len(o.keys) == 0:
		return errNoSecretKey
	case slices.Contains(o.keys, ""):
		return errEmptyKey
	}
	return nil
}

func (djangoSigned) holdsSession() bool { return true }

// djangoKeySalt is the salt of the session engine, and the suffix that Signer
// adds.
const djangoKeySalt = "django.contrib.sessions.backends.signed_cookies" + "signer"

func (o djangoSigned) Open(jar Jar, name string) (Opened, error) {
	value := djangoCookie(jar, name)
	if value == "" {
		return Opened{}, noCookie(name)
	}
	if len(value) > maxSealed {
		return Opened{}, errCookieSize
	}
	colon := strings.LastIndexByte(value, ':')
	if colon < 0 {
		return Opened{}, errNoSignature
	}
	value, signature := value[:colon], value[colon+1:]
	for _, key := range o.keys {
		for _, h := range []func() hash.Hash{sha256.New, sha1.New} {
			if !hmac.Equal([]byte(djangoSign(h, key, value)), []byte(signature)) {
				continue
			}
			if !strings.Contains(value, ":") {
				return Opened{}, errNoTime
			}
			return Opened{Signed: true, Value: []byte(value)}, nil
		}
	}
	return Opened{}, misfit(len(o.keys), "secret key")
}

// djangoSign is django.utils.crypto.salted_hmac, as text.
func djangoSign(h func() hash.Hash, key, value string) string {
	derived := h()
	_, _ = derived.Write([]byte(djangoKeySalt + key)) // a hash never fails
	mac := hmac.New(h, derived.Sum(nil))
	_, _ = mac.Write([]byte(value))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// djangoPlain opens a cookie that holds the id itself.
type djangoPlain struct{}

func (djangoPlain) Validate() error { return nil }

func (djangoPlain) Open(jar Jar, name string) (Opened, error) {
	value := djangoCookie(jar, name)
	if value == "" {
		return Opened{}, noCookie(name)
	}
	return Opened{ID: value}, nil
}

// djangoCookie returns the value of the last cookie of a name: Django puts them
// all into one dict (django/http/cookie.py, parse_cookie).
func djangoCookie(jar Jar, name string) (value string) {
	for pair := range jar.pairs() {
		n, v, ok := strings.Cut(pair, "=")
		if ok && strings.TrimSpace(n) == name {
			value = strings.TrimSpace(v)
		}
	}
	return pythonUnquote(value)
}
