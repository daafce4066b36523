package cookie

import (
	"crypto/hmac"
	"crypto/sha1" // it is what itsdangerous uses
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"github.com/sessionbridge/sessionbridge/stores"
)

// FlaskSession is Flask-Session in Redis: cookie "session", which is signed if
// SESSION_USE_SIGNER is set; give "" if it is not. The user is where
// Flask-Login puts it, at "_user_id".
func FlaskSession(secretKey string) Stack {
	s := Stack{
		Name:     "flask-session",
		Cookie:   "session",
		Opener:   pythonPlain{},
		Keyspace: stores.FlaskSessionKeyspace(),
		User:     "_user_id",
	}
	if secretKey != "" {
		s.Opener = FlaskSigned(secretKey)
	}
	return s
}

// Flask is Flask's own sessions: in the cookie "session", signed with one of
// the secret keys (SECRET_KEY, then SECRET_KEY_FALLBACKS), the user where
// Flask-Login puts it, at "_user_id". It needs no store. Nothing but the
// browser knows of a logout. For an application that sets
// PERMANENT_SESSION_LIFETIME, set Keyspace.Codec to [stores.FlaskCookie].
func Flask(secretKeys ...string) Stack {
	return Stack{
		Name:     "flask",
		Cookie:   "session",
		Opener:   itsdangerous{newSigners("cookie-session", secretKeys), true},
		Keyspace: stores.FlaskKeyspace(),
		User:     "_user_id",
	}
}

// FlaskSigned opens the cookie of Flask-Session with SESSION_USE_SIGNER: the
// id, a dot, and itsdangerous' signature.
func FlaskSigned(secretKeys ...string) Opener {
	return itsdangerous{newSigners("flask-session", secretKeys), false}
}

// itsdangerous opens what the package of that name signed (itsdangerous'
// signer.py, with HMAC-SHA1 and the key derivation "hmac").
type itsdangerous struct {
	signers signers
	holds   bool // the session itself, and the time of the signature
}

// signers are the keys that are derived from an application's.
type signers struct {
	keys    [][]byte
	missing bool // a secret was empty
}

func newSigners(salt string, secrets []string) signers {
	s := signers{missing: slices.Contains(secrets, "")}
	for _, secret := range secrets {
		s.keys = append(s.keys, hmacSHA1([]byte(secret), salt))
	}
	return s
}

func hmacSHA1(key []byte, data string) []byte {
	mac := hmac.New(sha1.New, key)
	_, _ = mac.Write([]byte(data)) // a hash never fails
	return mac.Sum(nil)
}

var (
	errNoSecretKey = errors.New("no secret key; give the application's SECRET_KEY")
	errNoSignature = errors.New("the cookie is not signed")
	errNoTime      = errors.New("the cookie is signed, but without the time of it; is it another one of the application's?")
)

func (o itsdangerous) Validate() error {
	switch {
	case len(o.signers.keys) == 0:
		return errNoSecretKey
	case o.signers.missing:
		return errEmptyKey
	}
	return nil
}

func (o itsdangerous) holdsSession() bool { return o.holds }

func (o itsdangerous) Open(jar Jar, name string) (Opened, error) {
	value, _ := jar.Get(name)
	if value = pythonUnquote(value); value == "" {
		return Opened{}, noCookie(name)
	}
	if len(value) > maxSealed {
		return Opened{}, errCookieSize
	}
	dot := strings.LastIndexByte(value, '.')
	if dot < 0 {
		return Opened{}, errNoSignature
	}
	value, text := value[:dot], value[dot+1:]
	signature, ok := pythonBase64(text)
	if !ok {
		return Opened{}, errNoSignature
	}
	for _, key := range o.signers.keys {
		if !hmac.Equal(hmacSHA1(key, value), signature) {
			continue
		}
		if !o.holds {
			return Opened{ID: value, Signed: true}, nil
		}
		if !strings.Contains(value[min(1, len(value)):], ".") { // but for the dot that says compressed
			return Opened{}, errNoTime
		}
		return Opened{Signed: true, Value: []byte(value)}, nil
	}
	return Opened{}, misfit(len(o.signers.keys), "secret key")
}

// pythonBase64 decodes as base64.urlsafe_b64decode does, after padding: bytes
// outside both alphabets are passed over, and padding ends the data where it
// may stand (CPython's binascii.a2b_base64).
func pythonBase64(s string) ([]byte, bool) {
	s += strings.Repeat("=", (4-len(s)%4)%4)
	data := make([]byte, 0, len(s))
	pads := 0
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '=':
			if pads++; len(data)%4 >= 2 && len(data)%4+pads >= 4 {
				return rawBase64(data)
			}
			continue
		case c == '-':
			c = '+'
		case c == '_':
			c = '/'
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '+', c == '/':
		default:
			continue
		}
		pads = 0
		data = append(data, c)
	}
	if len(data)%4 != 0 {
		return nil, false
	}
	return rawBase64(data)
}

func rawBase64(data []byte) ([]byte, bool) {
	b, err := base64.RawStdEncoding.AppendDecode(nil, data)
	return b, err == nil
}

// pythonPlain opens a cookie of a Python application that holds the id itself.
type pythonPlain struct{}

func (pythonPlain) Validate() error { return nil }

func (pythonPlain) Open(jar Jar, name string) (Opened, error) {
	value, _ := jar.Get(name)
	if value = pythonUnquote(value); value == "" {
		return Opened{}, noCookie(name)
	}
	return Opened{ID: value}, nil
}

// pythonUnquote undoes the quotes of Python's http.cookies. Inside them, a
// backslash stands before a quotation mark or another backslash, or before
// three octal digits.
func pythonUnquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	s = s[1 : len(s)-1]
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b = append(b, s[i])
			continue
		}
		if i+3 < len(s) && octal(s[i+1], '3') && octal(s[i+2], '7') && octal(s[i+3], '7') {
			b = append(b, (s[i+1]-'0')<<6|(s[i+2]-'0')<<3|(s[i+3]-'0'))
			i += 3
			continue
		}
		i++
		b = append(b, s[i])
	}
	return string(b)
}

func octal(c, most byte) bool { return '0' <= c && c <= most }
