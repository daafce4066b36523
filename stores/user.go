package stores

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// UserID returns the id of the user that is logged in to a session: the value
// at a path, as a string. 0 is a user. If nothing is there, or null, false or
// "", it returns an error that wraps [ErrNoUser]; [UserPaths] says where else to
// look. An object or a list is an error that names the paths to try instead.
func UserID(v Values, path string) (string, error) {
	value, ok := v.Lookup(path)
	if !ok {
		return "", fmt.Errorf("%w: nothing at %q", ErrNoUser, path)
	}
	return userID(value, path)
}

func userID(value any, path string) (string, error) {
	switch u := value.(type) {
	case nil:
		return "", fmt.Errorf("%w: null at %q", ErrNoUser, path)
	case bool:
		if !u {
			return "", fmt.Errorf("%w: false at %q", ErrNoUser, path)
		}
		return "", fmt.Errorf("true at %q is no user id", path)
	case string:
		if u == "" {
			return "", fmt.Errorf("%w: an empty string at %q", ErrNoUser, path)
		}
		if strings.Contains(u, "\ufffd") {
			// It stands for what has no text, a lone surrogate in JSON say,
			// and two users could share it.
			return "", fmt.Errorf("the string at %q is no user id: it holds U+FFFD", path)
		}
		return u, nil
	case float64:
		if math.IsNaN(u) || math.IsInf(u, 0) {
			return "", fmt.Errorf("the number at %q is no user id", path)
		}
		return formatNumber(u), nil
	case map[string]any:
		return "", notScalar("an object", path, u)
	case []any:
		return "", fmt.Errorf("a list at %q is no user id", path)
	case encoding.TextMarshaler: // a UUID, say, that a Go service stored
		text, err := u.MarshalText()
		if err != nil || len(text) == 0 {
			return "", fmt.Errorf("the value at %q is no user id", path)
		}
		return string(text), nil
	}
	switch rv := reflect.ValueOf(value); {
	case rv.CanInt():
		return strconv.FormatInt(rv.Int(), 10), nil
	case rv.CanUint():
		return strconv.FormatUint(rv.Uint(), 10), nil
	case rv.CanFloat():
		return userID(rv.Float(), path)
	case rv.Kind() == reflect.String:
		return userID(rv.String(), path)
	case rv.Kind() == reflect.Bool:
		return userID(rv.Bool(), path)
	}
	return "", fmt.Errorf("the value at %q is no user id", path)
}

// notScalar names the paths inside an object, so that the right one can be
// picked from the log. Names are the application's own code, not its data.
func notScalar(what, path string, members map[string]any) error {
	var inside []string
	for name, v := range members {
		switch v.(type) {
		case map[string]any, []any:
			continue
		}
		p := EscapeName(name)
		if path != "" {
			p = path + "." + p
		}
		if len(p) <= 100 {
			inside = append(inside, strconv.Quote(p))
		}
	}
	if len(inside) == 0 {
		return fmt.Errorf("%s at %q is no user id", what, path)
	}
	slices.Sort(inside)
	if len(inside) > 10 {
		inside = append(inside[:10], "…")
	}
	return errors.New(what + " at " + strconv.Quote(path) + " is no user id; inside it are " + strings.Join(inside, ", "))
}

// maxExact bounds the integers that a float64 holds exactly.
const maxExact = 1 << 53

// formatNumber writes a number as JavaScript does (ECMA-262, Number::toString):
// an Express user id 42 is "42", and 1e21 is "1e+21".
func formatNumber(f float64) string {
	if i := int64(f); i > -maxExact && i < maxExact && float64(i) == f {
		return strconv.FormatInt(i, 10) // minus zero is "0"
	}
	if a := math.Abs(f); a >= 1e21 || a < 1e-6 {
		s := strconv.FormatFloat(f, 'e', -1, 64)
		// Go writes at least two digits of exponent.
		if n := len(s); s[n-2] == '0' && (s[n-3] == '-' || s[n-3] == '+') {
			s = s[:n-2] + s[n-1:]
		}
		return s
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}
