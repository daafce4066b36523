package stores

import (
	"errors"
	"math"
	"strconv"
	"time"
)

// JSON returns the codec of sessions that are a JSON object and nothing more,
// as cookie-session writes them. An empty value, null, 0, false and "" are no
// session.
func JSON() Codec { return plainJSON{} }

type plainJSON struct{}

func (plainJSON) Name() string { return "json" }

func (plainJSON) Decode(value []byte) (Values, time.Time, error) {
	doc, err := parseJSON(value)
	if err != nil {
		return nil, time.Time{}, err
	}
	return doc, time.Time{}, nil
}

// KoaSession returns the codec of koa-session with a store: JSON, whose member
// _expire is the deadline. The Redis key outlives it by 10 seconds. A value
// that is no JSON cannot be decoded; koa-redis takes it for no session.
func KoaSession() Codec { return koaCodec{} }

// KoaSessionCookie is [KoaSession] for sessions in the cookie, which are shown
// as the application sees them: without _expire and _maxAge, which koa-session
// keeps there for itself.
func KoaSessionCookie() Codec { return koaCodec{inCookie: true} }

type koaCodec struct{ inCookie bool }

func (koaCodec) Name() string { return "json" }

func (c koaCodec) Decode(value []byte) (Values, time.Time, error) {
	doc, err := parseJSON(value)
	if err != nil {
		return nil, time.Time{}, err
	}
	var deadline time.Time
	if raw, ok := doc.at("_expire"); ok {
		deadline = koaDeadline(raw)
	}
	if c.inCookie {
		doc = withoutMembers(doc, "_expire", "_maxAge", "_session")
	}
	return doc, deadline, nil
}

// maxDate is the last time that a JavaScript Date holds, in ms (ECMA-262, Time
// Values and Time Range).
const maxDate = 8.64e15

// koaDeadline returns the first moment at which _expire, in ms, is before
// Date.now(), which has no fractions of a millisecond (koa-session's
// ContextSession.valid). What is not a number is no deadline there either.
func koaDeadline(raw []byte) time.Time {
	if raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return time.Time{}
	}
	ms, _ := strconv.ParseFloat(string(raw), 64)
	if ms > maxDate {
		return time.Time{}
	}
	return time.UnixMilli(int64(math.Floor(max(ms, 0))) + 1)
}

// withoutMembers returns an object without its members of some names.
func withoutMembers(object jsonValues, names ...string) jsonValues {
	out := append(make(jsonValues, 0, len(object)), '{')
	for i := skipSpace(object, 1); object[i] != '}'; {
		start, end := i, stringEnd(object, i)
		drop := false
		for _, name := range names {
			drop = drop || sameName(object[start:end], name)
		}
		i = skipValue(object, skipSpace(object, skipSpace(object, end)+1))
		if !drop {
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = append(out, object[start:i]...)
		}
		if i = skipSpace(object, i); object[i] == ',' {
			i = skipSpace(object, i+1)
		}
	}
	return append(out, '}')
}

// CookieJSON returns the codec of @fastify/session and koa-generic-session:
// JSON with the cookie's attributes at "cookie", whose "expires" is the
// deadline.
//
// For @fastify/session that is the stack's own rule. koa-generic-session goes
// by the lifetime in Redis, which it takes from the same time; this codec is
// stricter with a session whose cookie.expires has passed and whose key has
// not.
func CookieJSON() Codec { return cookieJSON{} }

type cookieJSON struct{}

func (cookieJSON) Name() string { return "json" }

func (cookieJSON) Decode(value []byte) (Values, time.Time, error) {
	doc, err := parseJSON(value)
	if err != nil {
		return nil, time.Time{}, err
	}
	// In @fastify/session's Cookie originalExpires, which it writes beside
	// expires, is overwritten from expires when a session is read.
	raw, ok := doc.at("cookie", "expires")
	if !ok {
		return doc, time.Time{}, nil
	}
	deadline := jsDate(raw)
	if raw[0] == '"' && deadline.IsZero() {
		return nil, time.Time{}, errCookieExpires // @fastify/session fails to set the cookie then
	}
	return doc, deadline, nil
}

var errCookieExpires = errors.New("its cookie.expires is no date")

// jsDate is what new Date makes of a JSON value; zero if that is invalid, or
// null.
func jsDate(raw []byte) time.Time {
	switch {
	case raw[0] == '"':
		return parseDate(raw)
	case raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9':
		ms, _ := strconv.ParseFloat(string(raw), 64)
		if ms != 0 && math.Abs(ms) <= maxDate { // 0 is no date to "if (cookie.expires)"
			return time.UnixMilli(int64(ms))
		}
	}
	return time.Time{}
}

// CookieSessionKeyspace is cookie-session, which keeps sessions in the cookie.
func CookieSessionKeyspace() Keyspace { return inCookie(JSON()) }

// KoaSessionKeyspace is koa-session without a store: in the cookie.
func KoaSessionKeyspace() Keyspace { return inCookie(KoaSessionCookie()) }

// inCookie is the keyspace of sessions that are in the cookie itself: no id
// names one.
func inCookie(c Codec) Keyspace {
	return Keyspace{ID: IDRule{Min: 1, Max: 1, Chars: "-"}, Codec: c}
}

// KoaRedisKeyspace is koa-session with koa-redis: the cookie's value is the
// whole key. By default it is a UUID; koa-session's prefix option puts
// something before it. An id that nothing vouches for must be a UUID alone, or
// a client could name any key.
func KoaRedisKeyspace() Keyspace {
	return Keyspace{ID: uuidRule, Codec: KoaSession()}
}

// uuidRule fits UUIDs, as their own packages write them.
var uuidRule = IDRule{Min: 36, Max: 36, Chars: digits + "abcdef-"}

// KoaGenericKeyspace is koa-generic-session with koa-redis: "koa:sess:" and the
// id, 32 characters of base64url.
func KoaGenericKeyspace() Keyspace {
	return Keyspace{Prefix: "koa:sess:", ID: IDRule{Min: 20, Max: 128, Chars: alphanum + "-_"}, Codec: CookieJSON()}
}

// FastifyKeyspace is @fastify/session with connect-redis: "sess:" and the id,
// 32 characters of base64url.
func FastifyKeyspace() Keyspace {
	return Keyspace{Prefix: "sess:", ID: IDRule{Min: 20, Max: 128, Chars: alphanum + "-_"}, Codec: CookieJSON()}
}
