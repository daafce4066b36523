package stores

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
)

// pythonCodec reads what the serializers of Django and Flask-Session write.
// They are told apart by their first byte: a session is a dict, which begins
// with "{" in JSON, with 0x80 to 0x8f, 0xde or 0xdf in msgpack, and with 0x80
// and the protocol's number, or "(", or "}", in a pickle.
type pythonCodec struct {
	name   string
	advice string // what to set so that sessions hold no objects
}

// FlaskSession returns the codec of Flask-Session: msgpack or JSON since 0.6,
// pickle before. Which one is found out, as Flask-Session itself does.
//
// A pickle is read as far as it is plain data, of Python's standard library
// also dates, times, UUIDs, decimals, sets and ordered dicts; nothing in it is
// run. One that holds any other object cannot be decoded.
func FlaskSession() Codec {
	return pythonCodec{
		name:   "msgpack, JSON or pickle",
		advice: "use Flask-Session 0.6 or later, which writes msgpack, or keep plain data in the session",
	}
}

// Django returns the codec of Django's sessions in a cache: JSON, msgpack or a
// pickle, as the cache's serializer writes it, which is found out. Pickles are
// read as by [FlaskSession].
func Django() Codec {
	return pythonCodec{
		name: "JSON, msgpack or pickle",
		advice: "set SERIALIZER in the cache's OPTIONS to django_redis.serializers.json.JSONSerializer" +
			" and SESSION_SERIALIZER to django.contrib.sessions.serializers.JSONSerializer",
	}
}

func (c pythonCodec) Name() string { return c.name }

func (c pythonCodec) Decode(value []byte) (Values, time.Time, error) {
	v, err := c.decode(value)
	return v, time.Time{}, err
}

func (c pythonCodec) decode(value []byte) (Values, error) {
	if len(value) == 0 {
		return nil, ErrNotFound
	}
	var root any
	var err error
	switch b := value[0]; {
	case b == 0x80 && len(value) > 1, b == '(', b == '}', b == ']', b == 'c':
		if root, err = unpickle(value); errors.Is(err, errObject) {
			err = fmt.Errorf("it is a pickle: %w; %s", err, c.advice)
		}
	case b == 0x80:
		root = &treeDict{} // msgpack's empty map
	case b >= 0x81 && b <= 0x8f, b == 0xde, b == 0xdf:
		root, err = unmsgpack(value)
	default:
		return pythonJSON(value)
	}
	if err != nil {
		return nil, err
	}
	return newTreeValues(root)
}

// pythonJSON reads what Python's json module writes: JSON, but also NaN,
// Infinity and -Infinity.
func pythonJSON(value []byte) (Values, error) {
	if bytes.Contains(value, []byte("NaN")) || bytes.Contains(value, []byte("Infinity")) {
		value = quoteNonFinite(value)
	}
	doc, err := parseJSON(value)
	if err != nil {
		return nil, err
	}
	return exactJSON{doc}, nil
}

// quoteNonFinite makes strings of Python's numbers that JSON has not.
func quoteNonFinite(text []byte) []byte {
	out := make([]byte, 0, len(text)+len(text)/2)
	for i := 0; i < len(text); {
		if text[i] == '"' {
			end := stringEnd(text, i)
			out = append(out, text[i:end]...)
			i = end
			continue
		}
		n := 1
		for _, c := range []struct{ python, json string }{
			{"NaN", `"NAN"`}, {"-Infinity", `"-INF"`}, {"Infinity", `"INF"`},
		} {
			if bytes.HasPrefix(text[i:], []byte(c.python)) {
				out = append(out, c.json...)
				n = len(c.python)
				break
			}
		}
		if n == 1 {
			out = append(out, text[i])
		}
		i += n
	}
	return out
}

var errSealed = errors.New("it has not the shape of a signed cookie's content")

// maxCookiePickle bounds what a cookie decompresses to if it is no JSON, which
// needs no more room than its text: a cookie holds 4 KiB.
const maxCookiePickle = 1 << 20

// DjangoCookie returns the codec of Django's signed_cookies sessions: the
// cookie without its signature, payload:timestamp, as [Keyspace] gets it from
// the cookie's opener. The session is over maxAge after it was signed: Django's
// SESSION_COOKIE_AGE, two weeks if it is zero.
//
// A session with an expiry of its own (set_expiry) is accepted by Django for
// SESSION_COOKIE_AGE all the same, and by this codec too.
func DjangoCookie(maxAge time.Duration) Codec {
	if maxAge == 0 {
		maxAge = 14 * 24 * time.Hour
	}
	return djangoCookie{pythonCodec{
		name:   "JSON or pickle",
		advice: "set SESSION_SERIALIZER to django.contrib.sessions.serializers.JSONSerializer",
	}, maxAge}
}

type djangoCookie struct {
	pythonCodec
	maxAge time.Duration
}

func (c djangoCookie) Decode(value []byte) (Values, time.Time, error) {
	if len(value) > 0 && (value[0] == '{' || value[0] == 0x80) { // the session as it was before it was signed
		return c.pythonCodec.Decode(value)
	}
	payload, stamp, ok := cutLast(string(value), ':')
	signed, err := base62(stamp)
	if !ok || err != nil {
		return nil, time.Time{}, errSealed
	}
	data, err := unsealPython(payload)
	if err != nil {
		return nil, time.Time{}, err
	}
	v, err := c.decode(data)
	// Django: over if more than maxAge has gone by, that is not yet after
	// exactly so long.
	return v, time.Unix(signed, 1).Add(c.maxAge), err
}

// cutLast cuts around the last separator.
func cutLast(s string, sep byte) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// base62 reads Django's timestamps (django/core/signing.py, b62_decode).
func base62(s string) (int64, error) {
	if s == "" || len(s) > 8 { // 62⁸ seconds are 7 million years
		return 0, errSealed
	}
	var n int64
	for i := range len(s) {
		d := strings.IndexByte(digits+upper+lower, s[i])
		if d < 0 {
			return 0, errSealed
		}
		n = 62*n + int64(d)
	}
	if n > maxStamp {
		return 0, errSealed
	}
	return n, nil
}

// maxStamp is the end of the year 9999 in seconds.
const maxStamp = 253402300799

// unsealPython decodes a payload of Django's signing module or of itsdangerous:
// base64, after a dot compressed by zlib.
func unsealPython(payload string) ([]byte, error) {
	payload, compressed := strings.CutPrefix(payload, ".")
	data, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil || strings.ContainsAny(payload, "\r\n") {
		return nil, errSealed
	}
	if !compressed {
		return data, nil
	}
	if data, err = inflate(data, MaxValue); err != nil {
		return nil, err
	}
	if len(data) > maxCookiePickle && data[0] != '{' {
		return nil, ErrTooLarge
	}
	return data, nil
}

// FlaskSessionKeyspace is Flask-Session: "session:" and the id, a UUID until
// 0.5 and 43 characters of base64url since. Lifetime is Flask's
// PERMANENT_SESSION_LIFETIME, by default 31 days; zero stands for
// SESSION_REFRESH_EACH_REQUEST = False.
func FlaskSessionKeyspace() Keyspace {
	return Keyspace{
		Prefix:   "session:",
		ID:       IDRule{Min: 20, Max: 128, Chars: alphanum + "-_"},
		Codec:    FlaskSession(),
		Lifetime: 31 * 24 * time.Hour,
	}
}

// DjangoKeyspace is Django's cache sessions by django-redis or Django's own
// Redis cache: KEY_PREFIX (empty), VERSION (1), the engine's module and the id,
// 32 lower-case letters and digits. The engine is cache or cached_db; what
// cached_db has in the database alone is not seen. An application with
// SESSION_SAVE_EVERY_REQUEST has SESSION_COOKIE_AGE, by default 14 days, as
// Lifetime.
func DjangoKeyspace() Keyspace {
	return Keyspace{
		Prefix:       ":1:django.contrib.sessions.cache",
		Alternatives: []string{":1:django.contrib.sessions.cached_db"},
		ID:           IDRule{Min: 32, Max: 32, Chars: digits + lower},
		Codec:        Django(),
	}
}

// DjangoCookieKeyspace is Django's signed_cookies sessions.
func DjangoCookieKeyspace() Keyspace { return inCookie(DjangoCookie(0)) }
