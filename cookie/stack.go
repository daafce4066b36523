package cookie

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sessionbridge/sessionbridge/stores"
)

// Stack is the software that wrote a session: how its cookie is called and
// opened, where the session is kept and how it is written, and where in it the
// user is. Its functions ([PHP], [Express], …) return the stack's defaults;
// every field may be set before the stack is given to [New].
type Stack struct {
	// Name is the Via of the identities, and the "stack" of a rediskey
	// message.
	Name string

	// Cookie is the cookie's name.
	Cookie string

	// Opener turns the cookie into a session id.
	Opener Opener

	// Keyspace is where the session is kept and how it is written.
	Keyspace stores.Keyspace

	// User is the path in the session at which the user's id stands.
	User string

	// FindUser finds the user's id in a session whose stack does not simply
	// keep it at a path; it is given User. Its errors are those of
	// [stores.UserID], which nil stands for.
	FindUser func(v stores.Values, path string) (string, error)
}

func (s *Stack) validate() error {
	switch {
	case s.Name == "":
		return errors.New("cookie: the stack has no Name")
	case s.Cookie == "":
		return fmt.Errorf("cookie: %s: the stack has no Cookie name", s.Name)
	case strings.ContainsAny(s.Cookie, "=;, \t\r\n"):
		return fmt.Errorf("cookie: %s: no cookie can be called %q", s.Name, s.Cookie)
	case s.Opener == nil:
		return fmt.Errorf("cookie: %s: the stack has no Opener", s.Name)
	case s.User == "" && s.FindUser == nil:
		return fmt.Errorf("cookie: %s: the stack has no User path", s.Name)
	}
	if err := s.Opener.Validate(); err != nil {
		return fmt.Errorf("cookie: %s: %w", s.Name, err)
	}
	if err := s.Keyspace.Validate(); err != nil {
		return fmt.Errorf("cookie: %s: %w", s.Name, err)
	}
	return nil
}

// PHP is PHP's native sessions by phpredis: cookie PHPSESSID, handler php, the
// user at "user_id".
func PHP() Stack {
	return Stack{
		Name:     "php",
		Cookie:   "PHPSESSID",
		Opener:   PHPPlain(),
		Keyspace: stores.PHPKeyspace(),
		User:     "user_id",
	}
}

// Express is express-session by connect-redis: cookie connect.sid signed with
// one of the secrets (newest first), the user where passport puts it, at
// "passport.user".
func Express(secrets ...string) Stack {
	return Stack{
		Name:     "express",
		Cookie:   "connect.sid",
		Opener:   ExpressSigned(secrets...),
		Keyspace: stores.ExpressKeyspace(),
		User:     "passport.user",
	}
}

// Gorilla is gorilla/sessions by rbcervilla/redisstore: an unsigned cookie,
// whose name is the one given to the store's Get, and the user at "user_id".
func Gorilla(cookieName string) Stack {
	return Stack{
		Name:     "go",
		Cookie:   cookieName,
		Opener:   netHTTP{},
		Keyspace: stores.GorillaKeyspace(),
		User:     "user_id",
	}
}
