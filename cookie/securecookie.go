package cookie

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/gorilla/securecookie"

	"github.com/sessionbridge/sessionbridge/stores"
)

// GorillaCookie is gorilla/sessions' CookieStore: the session is in the cookie,
// whose name is the one given to the store's Get; the key pairs are those of
// NewCookieStore, each a hash key and a block key or nil, newest first. The user
// is at "user_id". It needs no store. Nothing but the browser knows of a logout.
// For an application that sets Options.MaxAge, set Keyspace.Codec to
// [stores.GorillaCookie].
func GorillaCookie(cookieName string, keyPairs ...[]byte) Stack {
	return Stack{
		Name:     "go",
		Cookie:   cookieName,
		Opener:   SecureCookie(keyPairs...),
		Keyspace: stores.GorillaCookieKeyspace(),
		User:     "user_id",
	}
}

// SecureCookie opens a cookie of gorilla/securecookie that holds a session: the
// base64url of date|value|mac, the value encrypted if there is a block key. The
// date is the codec's to check.
func SecureCookie(keyPairs ...[]byte) Opener {
	o := secureCookie{}
	for pair := range slices.Chunk(keyPairs, 2) {
		hashKey, blockKey := pair[0], []byte(nil)
		if len(pair) == 2 && len(pair[1]) > 0 {
			blockKey = pair[1]
		}
		switch {
		case len(hashKey) == 0:
			o.err = errEmptyKey
		case blockKey != nil && len(blockKey) != 16 && len(blockKey) != 24 && len(blockKey) != 32:
			o.err = fmt.Errorf("a block key is %d bytes long, not 16, 24 or 32; keys come in pairs, a hash key and a block key (or none)", len(blockKey))
		}
		c := securecookie.New(slices.Clone(hashKey), slices.Clone(blockKey))
		c.SetSerializer(securecookie.NopEncoder{})
		c.MaxAge(0).MaxLength(maxSealed)
		o.codecs = append(o.codecs, c)
	}
	return o
}

type secureCookie struct {
	codecs []*securecookie.SecureCookie
	err    error // in the keys
}

func (o secureCookie) Validate() error {
	if len(o.codecs) == 0 {
		return errors.New("no keys; give those of the application's NewCookieStore")
	}
	return o.err
}

func (secureCookie) holdsSession() bool { return true }

func (o secureCookie) Open(jar Jar, name string) (Opened, error) {
	opened, err := netHTTP{}.Open(jar, name)
	if err != nil {
		return Opened{}, err
	}
	for _, c := range o.codecs {
		var session []byte
		if c.Decode(name, opened.ID, &session) != nil { // its errors hold parts of the cookie
			continue
		}
		raw, _ := base64.URLEncoding.DecodeString(opened.ID) // as it just did
		date, _, _ := bytes.Cut(raw, []byte("|"))
		return Opened{Signed: true, Value: slices.Concat(date, []byte("|"), session)}, nil
	}
	return Opened{}, misfit(len(o.codecs), "key pair")
}
