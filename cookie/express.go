package cookie

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// ExpressSigned opens the cookie of express-session: "s:", the id, a dot, and
// the unpadded base64 of the id's HMAC-SHA256, percent-encoded
// (cookie-signature's index.js). Any of the secrets may have signed it; the
// first is the one that the application signs with now.
func ExpressSigned(secrets ...string) Opener {
	return &expressSigned{slices.Clone(secrets), newIDSigners(secrets)}
}

type expressSigned struct {
	secrets []string
	signers idSigners
}

var errUnsigned = errors.New(`the cookie is not signed: it does not begin with "s:"`)

func (o *expressSigned) Validate() error {
	if len(o.secrets) == 0 {
		return errors.New("no secret; give the one of the application's session({secret: …})")
	}
	if slices.Contains(o.secrets, "") {
		return errors.New("an empty secret signs for anybody; is an environment variable unset?")
	}
	return nil
}

func (o *expressSigned) Open(jar Jar, name string) (Opened, error) {
	value := expressValue(jar, name)
	if value == "" {
		return Opened{}, noCookie(name)
	}
	signed, ok := strings.CutPrefix(value, "s:")
	if !ok {
		return Opened{}, errUnsigned
	}
	id, err := o.signers.open(signed)
	return Opened{ID: id, Signed: err == nil}, err
}

// expressValue returns a cookie's value as the npm package cookie has it. It is
// a function of its own to leave the stack to those who verify the value.
//
//go:noinline
func expressValue(jar Jar, name string) string {
	value, _ := jar.Get(name)
	return decodeURIComponent(fromLatin1(unquote(value)))
}

// decodeURIComponent decodes as the npm package cookie does: what is not well
// encoded stays as it is.
func decodeURIComponent(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	decoded, err := url.PathUnescape(s)
	if err != nil || !utf8.ValidString(decoded) {
		return s
	}
	return decoded
}

// unquote drops the quotes around a value, as the npm package cookie does: a
// single quote mark is both of them.
func unquote(s string) string {
	if s == `"` {
		return ""
	}
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// fromLatin1 makes UTF-8 of a header: to Node, its bytes are Latin-1.
func fromLatin1(s string) string {
	ascii := true
	for i := range len(s) {
		ascii = ascii && s[i] < utf8.RuneSelf
	}
	if ascii {
		return s
	}
	b := make([]byte, 0, 2*len(s))
	for i := range len(s) {
		b = utf8.AppendRune(b, rune(s[i]))
	}
	return string(b)
}
