package main

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/stores"
)

var nodeStacks = []*entry{
	{
		name:    "express",
		about:   "express-session with connect-redis",
		example: cookie.Express(),
		takes:   takesSecret | takesPrefix,
		shape:   expressShape,
		ways: func(s *settings, name string) ([]cookie.Stack, error) {
			return one(name, cookie.Express(s.Secret...)), nil
		},
	},
	{
		name:    "koa-session",
		about:   "koa-session, its sessions in the cookie",
		example: cookie.KoaSession(),
		takes:   takesSecret | takesUnsigned,
		shape: func(c namedCookie, _ cookie.Jar) shape {
			return shapeIf(isKoaJSON(c))
		},
		ways: func(s *settings, name string) ([]cookie.Stack, error) {
			stack := cookie.KoaSession()
			stack.Opener = cookie.KeygripJSON(s.keygrip())
			return inCookie(s, name, stack)
		},
	},
	{
		name:    "koa-redis",
		about:   "koa-session with koa-redis; the cookie's value is the whole key",
		example: cookie.KoaRedis(),
		takes:   takesSecret | takesPrefix | takesUnsigned,
		shape: func(c namedCookie, jar cookie.Jar) shape {
			return shapeIf(hasSig(c, jar) && isUUID(c.value[strings.LastIndexByte(c.value, ':')+1:]))
		},
		ways: koaRedisWays,
	},
	{
		name:    "koa-generic",
		about:   "koa-generic-session with koa-redis",
		example: cookie.KoaGeneric(),
		takes:   takesSecret | takesPrefix | takesUnsigned,
		shape: func(c namedCookie, jar cookie.Jar) shape {
			return shapeIf(hasSig(c, jar) && stores.KoaGenericKeyspace().ID.Check(c.value) == nil)
		},
		ways: func(s *settings, name string) ([]cookie.Stack, error) {
			stack := cookie.KoaGeneric()
			stack.Opener = cookie.KeygripID(s.keygrip())
			return one(name, stack), nil
		},
	},
	{
		name:    "cookie-session",
		about:   "cookie-session for Express, its sessions in the cookie",
		example: cookie.CookieSession(),
		takes:   takesSecret,
		shape: func(c namedCookie, jar cookie.Jar) shape {
			return shapeIf(hasSig(c, jar) && isBase64JSON(c) && !isKoaJSON(c))
		},
		ways: func(s *settings, name string) ([]cookie.Stack, error) {
			return inCookie(s, name, cookie.CookieSession(s.Secret...))
		},
	},
	{
		name:    "fastify",
		about:   "@fastify/session with connect-redis",
		example: cookie.Fastify(),
		takes:   takesSecret | takesPrefix,
		shape: func(c namedCookie, _ cookie.Jar) shape {
			id, signature, ok := strings.Cut(unescape(c.value), ".")
			return shapeIf(ok && len(signature) == 43 && stores.FastifyKeyspace().ID.Check(id) == nil)
		},
		ways: fastifyWays,
	},
}

func expressShape(c namedCookie, _ cookie.Jar) shape {
	return shapeIf(hasPrefixFold(c.value, "s%3a") || hasPrefixFold(c.value, "s:"))
}

func (s *settings) keygrip() cookie.Keygrip {
	return cookie.Keygrip{Keys: s.Secret, InsecureUnsigned: s.InsecureUnsigned}
}

// inCookie is a stack whose sessions no id names.
func inCookie(s *settings, cookieName string, stack cookie.Stack) ([]cookie.Stack, error) {
	if s.SessionID != nil && s.value == nil {
		return nil, usagef("%s keeps the session in the cookie: give --cookie, not --session-id", stack.Name)
	}
	return one(cookieName, stack), nil
}

// koaRedisWays: --prefix may be koa-session's own, which is in the cookie too,
// or ioredis' keyPrefix, which is not.
func koaRedisWays(s *settings, name string) ([]cookie.Stack, error) {
	stack := cookie.KoaRedis()
	stack.Opener = cookie.KeygripID(s.keygrip())
	if s.Prefix == nil || *s.Prefix == "" || s.SessionID != nil {
		return one(name, stack), nil
	}
	cut := stack
	cut.Opener = withoutPrefix{stack.Opener, *s.Prefix}
	return append(one(name, cut), one(name, stack)...), nil
}

// withoutPrefix takes off the id what the key's prefix puts there again.
type withoutPrefix struct {
	cookie.Opener
	prefix string
}

func (o withoutPrefix) Open(jar cookie.Jar, name string) (cookie.Opened, error) {
	opened, err := o.Opener.Open(jar, name)
	opened.ID = strings.TrimPrefix(opened.ID, o.prefix)
	return opened, err
}

// fastifyWays: cookiePrefix is "s:" where sessions come from express-session.
func fastifyWays(s *settings, name string) ([]cookie.Stack, error) {
	stack := cookie.Fastify(s.Secret...)
	if value, _ := s.jar.Get(name); expressShape(namedCookie{name, value}, s.jar) == ownShape {
		stack.Opener = cookie.FastifySigned("s:", s.Secret...)
	}
	return one(name, stack), nil
}

// hasSig reports whether a cookie has the companion that keygrip writes.
func hasSig(c namedCookie, jar cookie.Jar) bool {
	_, ok := jar.Get(c.name + ".sig")
	return ok
}

func fromBase64(value string) []byte {
	value = strings.TrimRight(unescape(value), "=")
	enc := base64.RawStdEncoding
	if strings.ContainsAny(value, "-_") {
		enc = base64.RawURLEncoding
	}
	b, err := enc.DecodeString(value)
	if err != nil {
		return nil
	}
	return b
}

func isBase64JSON(c namedCookie) bool { return bytes.HasPrefix(fromBase64(c.value), []byte("{")) }

// isKoaJSON: koa-session keeps its own members in the session.
func isKoaJSON(c namedCookie) bool {
	b := fromBase64(c.value)
	return bytes.HasPrefix(b, []byte("{")) && (bytes.Contains(b, []byte(`"_expire":`)) || bytes.Contains(b, []byte(`"_session":`)))
}

func isUUID(s string) bool {
	return len(s) == 36 && strings.Count(s, "-") == 4 && strings.Trim(s, "0123456789abcdefABCDEF-") == ""
}

func unescape(v string) string {
	decoded, err := url.PathUnescape(v)
	if err != nil {
		return v
	}
	return decoded
}
