package cookie

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/stores"
)

// advised is an error with what was seen beside it and what to try, for the log
// of a refused handshake.
type advised struct {
	err    error
	advice string
}

func (e *advised) Error() string { return e.err.Error() + e.advice }

func (e *advised) Unwrap() error { return e.err }

func advise(err error, advice string) error { return &advised{err, advice} }

// maxExplained bounds the sessions, in bytes, that are searched for a user after
// none was found at the path: visitors who are not logged in come often, and
// must not cost much.
const maxExplained = 8 << 10

// nobodyError says that nobody is logged in to a session.
type nobodyError struct {
	err     error
	session stores.Values
}

func (e *nobodyError) Error() string { return e.err.Error() }

func (e *nobodyError) Unwrap() error { return e.err }

// explain adds to the error of a session that was looked up.
func explain(err error) error {
	var decode *stores.DecodeError
	var nobody *nobodyError
	switch {
	case errors.Is(err, errNoKey):
		return advise(err, "; if the user is logged in, the application has another prefix, server or database, or another session handler")
	case errors.As(err, &nobody):
		return advise(err, instead(nobody.session))
	case errors.As(err, &decode) && decode.Like != "":
		return advise(err, "; it looks like "+decode.Like+": set Keyspace.Codec to what the application writes")
	}
	return err
}

// errNoKey is in the error of a session that is not in the store.
var errNoKey = errors.New("no such key")

// missing returns the error of a session that is not in the store: the usual
// mistake is to look in the wrong place, so the place is in it.
func missing(store stores.Store, stacks ...*Stack) error {
	const most = 6
	var under []string
	for _, s := range stacks {
		for _, p := range append([]string{s.Keyspace.Prefix}, s.Keyspace.Alternatives...) {
			if p = strconv.Quote(p); !slices.Contains(under, p) {
				under = append(under, p)
			}
		}
	}
	if len(under) > most {
		under = append(under[:most], "…")
	}
	where := strings.Join(under, " or ")
	if s, ok := store.(fmt.Stringer); ok {
		where += " in " + s.String()
	}
	return &missingError{"no such session under " + where}
}

type missingError struct{ text string }

func (e *missingError) Error() string { return e.text }

func (e *missingError) Is(target error) bool {
	return target == stores.ErrNotFound || target == errNoKey
}

// instead says what a session holds in the place of a user: where the user may
// be, or else what is there at all.
func instead(session stores.Values) string {
	const most = 4
	quoted := func(list []string) (told []string) {
		for _, name := range list {
			if len(told) < most && !slices.ContainsFunc(stores.SplitPath(name), notTold) {
				told = append(told, strconv.Quote(name))
			}
		}
		return told
	}
	if likely := quoted(stores.UserPaths(session)); len(likely) > 0 {
		return "; if the user is logged in, set User to " + strings.Join(likely, " or ")
	}
	var members []string
	for _, name := range stores.Members(session) {
		members = append(members, stores.EscapeName(name))
	}
	if told := quoted(members); len(told) > 0 {
		return "; the session has " + strings.Join(told, ", ")
	}
	return ""
}

// notTold reports whether a name may be data, a token that is a key say, and
// not a word of the application's code.
func notTold(name string) bool {
	name = strings.TrimSuffix(name, "_"+sessionGuardSHA1) // of a class' name
	digits := 0
	for _, r := range name {
		switch {
		case '0' <= r && r <= '9':
			digits++
		case r > unicode.MaxASCII, !unicode.IsLetter(r) && !strings.ContainsRune("_-.:/", r):
			return true
		}
	}
	return name == "" || len(name) > 24 || digits > 2
}

// otherCookies adds to the error of a request without the cookie called name
// what it has in its place, and why that may be missing.
func otherCookies(err error, r *http.Request, name string) error {
	const most = 4
	var told []string
	more := false
	for pair := range JarOf(r).pairs() {
		n, _, ok := strings.Cut(pair, "=")
		switch n = trim(n); {
		case n == name:
			return advise(err, "; the one that was sent stands for none")
		case !ok || notTold(n) || len(told) == most:
			more = true
		default:
			told = append(told, strconv.Quote(n))
		}
	}
	if more {
		told = append(told, "…")
	}
	page := foreignPage(r)
	switch {
	case len(told) > 0:
		return advise(err, "; the request has "+strings.Join(told, ", ")+": if none is the session's, check its Domain, Path, Secure and SameSite")
	case page != "":
		return advise(err, "; the request has none at all: the page is of "+page+", and cookies go only to the host that set them, cross-site only with SameSite=None")
	}
	return advise(err, "; the request has none at all: check Domain, Path, Secure and SameSite")
}

// foreignPage returns the origin of the page that made a request, if that is of
// another host.
func foreignPage(r *http.Request) string {
	u, err := url.Parse(r.Header.Get("Origin"))
	if err != nil || u.Host == "" {
		return ""
	}
	if here, err := url.Parse("//" + r.Host); err == nil && strings.EqualFold(here.Hostname(), u.Hostname()) {
		return "" // cookies know no ports
	}
	return fmt.Sprintf("%.200q", u.Scheme+"://"+u.Host)
}

// reject is what becomes of a cookie that cannot be the application's.
func (a *Authenticator) reject(err error) error {
	if errors.Is(err, stores.ErrBadID) {
		err = advise(err, "; if the application makes such ids, set Keyspace.ID")
	} else {
		err = advise(err, "; if the cookie is the application's, compare its name and secret with those set here")
	}
	return bridge.Reject(bridge.CodeInvalidSession, "the session cookie is not valid", fmt.Errorf("%s: %w", a.stack.Name, err))
}
