package cookie

import (
	"net/http"
	"strings"
)

// Jar holds the cookies of a request, as sent. Of cookies with one name the
// first counts, as it does in every stack that a Jar is read for.
//
// [http.Request.Cookie] is not used because it passes over cookies that it
// finds malformed, so that a second one of the same name would count here but
// not in the application.
type Jar []string

// JarOf returns the cookies of a request.
func JarOf(r *http.Request) Jar { return r.Header["Cookie"] }

// Get returns the value of the first cookie called name, without white space
// around name and value (RFC 6265, section 5.2), but not decoded in any way.
func (j Jar) Get(name string) (value string, ok bool) {
	return j.find(func(n, v string) (string, bool) {
		return strings.Trim(v, " \t"), strings.Trim(n, " \t") == name
	})
}

// getPHP returns the value of the first cookie that PHP takes to be called
// name: only white space before the name is passed over
// (php-src main/php_variables.c, php_default_treat_data).
func (j Jar) getPHP(name string) (value string, ok bool) {
	return j.find(func(n, v string) (string, bool) {
		return v, strings.TrimLeft(n, " \t\r\n\v\f") == name
	})
}

func (j Jar) find(match func(name, value string) (string, bool)) (string, bool) {
	for _, header := range j {
		for pair := range strings.SplitSeq(header, ";") {
			name, value, ok := strings.Cut(pair, "=")
			if !ok {
				continue
			}
			if v, ok := match(name, value); ok {
				return v, true
			}
		}
	}
	return "", false
}
