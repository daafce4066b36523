package cookie

import "strings"

// PHPPlain opens the cookie of PHP's native sessions: the id itself, percent-
// decoded as PHP does it.
func PHPPlain() Opener { return phpPlain{} }

type phpPlain struct{}

func (phpPlain) Validate() error { return nil }

func (phpPlain) Open(jar Jar, name string) (Opened, error) {
	value := phpCookie(jar, name)
	if value == "" || value == "deleted" { // "deleted": setcookie("PHPSESSID", "", …)
		return Opened{}, noCookie(name)
	}
	return Opened{ID: phpRawURLDecode(value)}, nil
}

// phpRawURLDecode decodes percent escapes and leaves everything else, broken
// escapes included (php-src ext/standard/url.c, php_raw_url_decode).
func phpRawURLDecode(s string) string {
	first := strings.IndexByte(s, '%')
	if first < 0 {
		return s
	}
	b := append(make([]byte, 0, len(s)), s[:first]...)
	for i := first; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, ok1 := unhex(s[i+1])
			lo, ok2 := unhex(s[i+2])
			if ok1 && ok2 {
				b = append(b, hi<<4|lo)
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// phpCookie returns what PHP has in $_COOKIE under a name, not decoded yet, if
// that is a string: the first cookie of that name, unless another made it an
// array (php-src main/php_variables.c, php_default_treat_data and
// php_register_variable_ex).
func phpCookie(jar Jar, name string) (value string) {
	found := false
	for pair := range jar.pairs() {
		raw, v, _ := strings.Cut(pair, "=") // without = the value is empty
		n, array := phpName(raw)
		switch {
		case n != name:
		case array:
			return ""
		case !found:
			value, found = v, true
		}
	}
	return value
}

var phpNameChars = strings.NewReplacer(" ", "_", ".", "_", "[", "_")

// phpName returns the name that PHP registers a cookie under, and whether as an
// array. Other names can stand for the session's: APP.SESS is APP_SESS.
func phpName(raw string) (name string, array bool) {
	raw = strings.TrimLeft(raw, " \t\r\n\v\f")
	base, index, array := strings.Cut(raw, "[")
	if array = array && strings.Contains(index, "]"); !array {
		base = raw
	}
	name = phpNameChars.Replace(base)
	if name != base && (strings.HasPrefix(name, "__Host-") || strings.HasPrefix(name, "__Secure-")) {
		return "", false // browsers promise nothing of the name that was sent
	}
	return name, array
}
