package cookie

import (
	"errors"
	"fmt"
	"strconv"
)

// Opener turns a cookie into a session id: plain, signed or encrypted.
type Opener interface {
	// Open finds the cookie called name and opens it. An error that wraps
	// ErrNoCookie says that there is none; every other that there is one and
	// it is forged or unreadable. Errors hold nothing of the cookie's value.
	Open(jar Jar, name string) (Opened, error)

	// Validate returns what is missing in the opener's configuration.
	Validate() error
}

// Opened is what a cookie held.
type Opened struct {
	ID string // the session id

	// Signed: a signature or encryption vouches for the id, so that it is
	// one that the application made. An id that is not must fit the
	// keyspace's ID rule.
	Signed bool

	// Value is the session itself if the stack keeps it in the cookie, signed
	// or encrypted; nil if it is to be looked up under ID. Nothing tells when
	// the application ends such a session, except a deadline inside it.
	Value []byte
}

// holder is an Opener whose cookie holds the session itself.
type holder interface{ holdsSession() bool }

func holdsSession(o Opener) bool {
	h, ok := o.(holder)
	return ok && h.holdsSession()
}

// ErrNoCookie says that a request has no such cookie, or one that stands for
// having no session, as PHP's "deleted" does.
var ErrNoCookie = errors.New("no cookie")

func noCookie(name string) error {
	return fmt.Errorf("%w %s", ErrNoCookie, strconv.Quote(name))
}
