package cookie

import (
	"fmt"

	"github.com/sessionbridge/sessionbridge/stores"
)

// LaravelCookieDriver is Laravel with SESSION_DRIVER=cookie: the session is in
// a second cookie, which is called as the session's id. It needs no store:
//
//	auth, err := cookie.New(nil, cookie.LaravelCookieDriver(os.Getenv("APP_KEY")))
//
// Nothing tells when such a session ends but its deadline: after a logout, a
// copy of the cookies is good until then, here as in the application.
func LaravelCookieDriver(appKey string, previous ...string) Stack {
	e := NewLaravelEncrypter(appKey, previous...)
	stack := Laravel("")
	stack.Opener = LaravelInCookie(e)
	stack.Keyspace.Codec = stores.LaravelInCookie(stores.LaravelFormat{Decrypt: e.Decrypt})
	return stack
}

// LaravelInCookie opens the two cookies of Laravel's CookieSessionHandler: the
// one called name, which holds the id, and the one called as the id, which
// holds the session.
func LaravelInCookie(e *LaravelEncrypter) Opener { return laravelInCookie{laravelEncrypted{e}} }

var laravelID = stores.LaravelKeyspace(nil).ID

type laravelInCookie struct{ laravelEncrypted }

func (laravelInCookie) holdsSession() bool { return true }

func (o laravelInCookie) Open(jar Jar, name string) (Opened, error) {
	id, err := o.open(jar, name)
	if err != nil {
		return Opened{}, err
	}
	// Laravel makes a new id instead of one like this, and so finds nothing.
	if err := laravelID.Check(id); err != nil {
		return Opened{}, err
	}
	value := phpCookie(jar, id)
	if value == "" || value == "deleted" {
		return Opened{}, fmt.Errorf("%w called as the session's id, which SESSION_DRIVER=cookie keeps the session in", ErrNoCookie)
	}
	session, err := o.cookie(id, phpRawURLDecode(value))
	if err != nil {
		return Opened{}, fmt.Errorf("the cookie with the session: %w", err)
	}
	return Opened{ID: id, Signed: true, Value: session}, nil
}
