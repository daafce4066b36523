package stores

import (
	"bytes"
	"strconv"
	"time"
)

// GorillaCookie returns the codec of gorilla/sessions' CookieStore: gob of
// map[any]any, with the rules of [Gorilla], after the time at which it was
// signed and a "|", as [Keyspace] gets it from the cookie's opener. The session
// is over maxAge after that: the store's Options.MaxAge, 30 days if it is zero.
func GorillaCookie(maxAge time.Duration) Codec {
	if maxAge == 0 {
		maxAge = 30 * 24 * time.Hour
	}
	return gorillaCookie{Gorilla(nil), maxAge}
}

type gorillaCookie struct {
	Codec
	maxAge time.Duration
}

func (c gorillaCookie) Decode(value []byte) (Values, time.Time, error) {
	var deadline time.Time
	if stamp, session, ok := bytes.Cut(value, []byte("|")); ok && len(stamp) <= 12 {
		if signed, err := strconv.ParseInt(string(stamp), 10, 64); err == nil && signed >= 0 {
			// securecookie counts whole seconds: over if more than maxAge of
			// them have gone by.
			value, deadline = session, time.Unix(signed+1, 0).Add(c.maxAge)
		}
	}
	v, _, err := c.Codec.Decode(value)
	return v, deadline, err
}

// GorillaCookieKeyspace is gorilla/sessions' CookieStore.
func GorillaCookieKeyspace() Keyspace { return inCookie(GorillaCookie(0)) }
