package main

import (
	"bytes"
	"strings"

	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/stores"
)

var furtherStacks = []*entry{
	{
		name:    "flask-session",
		about:   "Flask-Session in Redis, or Flask's own sessions in the cookie",
		example: cookie.FlaskSession(""),
		takes:   takesSecret | takesPrefix,
		shape:   flaskShape,
		ways:    flaskWays,
	},
	{
		name:    "django",
		about:   "Django's cache, cached_db and signed_cookies sessions",
		example: cookie.Django(),
		takes:   takesSecret | takesPrefix,
		shape:   djangoShape,
		ways:    djangoWays,
	},
	{
		name:    "spring",
		about:   "Spring Session in Redis",
		example: cookie.Spring(),
		takes:   takesPrefix,
		shape: func(c namedCookie, _ cookie.Jar) shape {
			return shapeIf(isUUID(string(fromBase64(c.value))))
		},
		ways: func(_ *settings, name string) ([]cookie.Stack, error) {
			return one(name, cookie.Spring()), nil
		},
	},
	{
		name:    "rails",
		about:   "Rails' encrypted cookie_store, and redis_store",
		example: cookie.RailsRedis(""),
		takes:   takesSecret | takesPrefix,
		shape:   railsShape,
		ways:    railsWays,
	},
	{
		name:     "gorilla",
		about:    "gorilla/sessions with rbcervilla/redisstore, and its CookieStore",
		example:  cookie.Gorilla(""),
		takes:    takesSecret | takesPrefix,
		handlers: []string{"gob", "json"},
		shape:    gorillaShape,
		ways:     gorillaWays,
	},
}

// flaskShape: Flask's own cookie is payload.time.signature, the payload
// beginning with a dot if it is compressed; Flask-Session's is the id, and with
// SESSION_USE_SIGNER a dot and the signature.
func flaskShape(c namedCookie, _ cookie.Jar) shape {
	id, signature, signed := strings.Cut(c.value, ".")
	switch {
	case isFlaskCookie(c.value):
		return ownShape
	case signed && len(signature) == 27 && stores.FlaskSessionKeyspace().ID.Check(id) == nil:
		return ownShape
	case !signed && stores.FlaskSessionKeyspace().ID.Check(id) == nil:
		return plainShape
	}
	return noShape
}

func isFlaskCookie(value string) bool {
	return strings.Count(strings.TrimPrefix(value, "."), ".") == 2
}

func flaskWays(s *settings, name string) ([]cookie.Stack, error) {
	inCookie, inRedis := cookie.Flask(s.Secret...), cookie.FlaskSession("")
	if s.value != nil {
		return append(one(name, inRedis), one(name, inCookie)...), nil
	}
	value, _ := s.jar.Get(name)
	switch {
	case s.SessionID != nil:
	case isFlaskCookie(value):
		return one(name, inCookie), nil
	case strings.Contains(value, "."):
		inRedis.Opener = cookie.FlaskSigned(s.Secret...)
	}
	return one(name, inRedis), nil
}

// djangoShape: signed_cookies has payload:time:signature.
func djangoShape(c namedCookie, _ cookie.Jar) shape {
	switch {
	case strings.Count(c.value, ":") == 2 && !strings.Contains(c.value, "/"):
		return ownShape
	case stores.DjangoKeyspace().ID.Check(c.value) == nil:
		return plainShape
	}
	return noShape
}

func djangoWays(s *settings, name string) ([]cookie.Stack, error) {
	inCookie, inRedis := cookie.DjangoCookie(s.Secret...), cookie.Django()
	if s.value != nil {
		return append(one(name, inRedis), one(name, inCookie)...), nil
	}
	if value, _ := s.jar.Get(name); s.SessionID == nil && strings.Contains(value, ":") {
		return one(name, inCookie), nil
	}
	return one(name, inRedis), nil
}

// railsShape: an encrypted cookie is data--nonce--tag.
func railsShape(c namedCookie, _ cookie.Jar) shape {
	switch {
	case isRailsSealed(c.value):
		return ownShape
	case len(c.value) == 32 && strings.Trim(c.value, "0123456789abcdef") == "":
		return plainShape
	}
	return noShape
}

func isRailsSealed(value string) bool {
	parts := strings.Split(value, "--")
	return len(parts) == 3 && len(unescape(parts[1])) == 16 && len(unescape(parts[2])) == 24
}

func railsWays(s *settings, name string) ([]cookie.Stack, error) {
	if name == "" && s.opens() {
		return nil, usagef("the cookie of Rails has no name of its own: give --cookie-name")
	}
	value, _ := s.jar.Get(name)
	switch {
	case s.value != nil || s.SessionID != nil || !strings.Contains(value, "--"):
		return one(name, cookie.RailsRedis(name)), nil
	case len(s.Secret) == 0:
		return one(name, cookie.Rails(name)), nil
	}
	// An encrypted cookie holds the session, or its id.
	withID := cookie.RailsRedis(name, s.Secret...)
	if _, err := withID.Opener.Open(s.jar, name); withID.Opener.Validate() == nil && err == nil {
		return one(name, withID), nil
	}
	return one(name, cookie.Rails(name, s.Secret...)), nil
}

func gorillaShape(c namedCookie, _ cookie.Jar) shape {
	return shapeIf(isGorillaCookie(c.value) || len(c.value) == 103 && stores.GorillaKeyspace().ID.Check(c.value) == nil)
}

// isGorillaCookie: securecookie's is the base64 of date|value|mac.
func isGorillaCookie(value string) bool {
	date, _, ok := bytes.Cut(fromBase64(value), []byte("|"))
	return ok && len(date) == 10 && len(bytes.Trim(date, "0123456789")) == 0
}

func gorillaWays(s *settings, name string) (list []cookie.Stack, err error) {
	if name == "" && s.opens() {
		return nil, usagef("gorilla's cookie has no name of its own: give --cookie-name")
	}
	inRedis := cookie.Gorilla(name)
	inRedis.Keyspace.Codec = gobCodec{Codec: inRedis.Keyspace.Codec}
	if s.Handler == "json" {
		inRedis.Keyspace.Codec = stores.JSON()
	}
	list = one(name, inRedis)
	if value, _ := s.jar.Get(name); s.value == nil && (s.SessionID != nil || !isGorillaCookie(value)) {
		return list, nil
	}
	// The secrets are hash keys, or hash keys and block keys by turns.
	alone := make([][]byte, 0, 2*len(s.Secret))
	pairs := make([][]byte, 0, len(s.Secret))
	for _, secret := range s.Secret {
		alone = append(alone, []byte(secret), nil)
		pairs = append(pairs, []byte(secret))
	}
	inCookie := gorillaCookie(name, alone)
	if s.value != nil {
		return append(list, inCookie), nil
	}
	list = one(name, inCookie)
	if paired := gorillaCookie(name, pairs); len(pairs)%2 == 0 && len(pairs) > 0 && paired.Opener.Validate() == nil {
		list = append(list, paired)
	}
	return list, nil
}

func gorillaCookie(name string, keyPairs [][]byte) cookie.Stack {
	stack := cookie.GorillaCookie(name, keyPairs...)
	stack.Keyspace.Codec = gobCodec{
		Codec: stack.Keyspace.Codec,
		strip: func(value []byte) []byte {
			_, session, _ := bytes.Cut(value, []byte("|"))
			return session
		},
	}
	return stack
}
