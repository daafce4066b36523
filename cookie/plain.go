package cookie

import "strings"

// PHPPlain opens the cookie of PHP's native sessions: the id itself, percent-
// decoded as PHP does it.
func PHPPlain() Opener { return phpPlain{} }

type phpPlain struct{}

func (phpPlain) Validate() error { return nil }

func (phpPlain) Open(jar Jar, name string) (Opened, error) {
	value, ok := jar.getPHP(name)
	if !ok || value == "" || value == "deleted" { // "deleted": setcookie("PHPSESSID", "", …)
		return Opened{}, noCookie(name)
	}
	return Opened{ID: phpRawURLDecode(value)}, nil
}

// phpRawURLDecode decodes percent escapes and leaves everything else, broken
// escapes included (php-src ext/standard/url.c, php_raw_url_decode).
func phpRawURLDecode(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
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

// Plain opens a cookie whose value is the id itself.
func Plain() Opener { return plain{} }

type plain struct{}

func (plain) Validate() error { return nil }

func (plain) Open(jar Jar, name string) (Opened, error) {
	value, ok := jar.Get(name)
	if !ok || value == "" {
		return Opened{}, noCookie(name)
	}
	return Opened{ID: value}, nil
}
