package cookie

import (
	"iter"
	"net/http"
	"strings"
)

// Jar holds the cookies of a request, as sent. Of cookies with one name the
// first counts, as it does in the applications.
//
// [http.Request.Cookie] is for Go applications only: it passes over cookies
// that it finds malformed, so that a second one of the same name would count
// here but not in an application of another stack.
type Jar []string

// JarOf returns the cookies of a request.
func JarOf(r *http.Request) Jar { return r.Header["Cookie"] }

// Get returns the value of the first cookie called name, without white space
// around name and value (RFC 6265, section 5.2), but not decoded in any way.
func (j Jar) Get(name string) (value string, ok bool) {
	for _, rest := range j {
		for more := true; more; {
			var pair string
			pair, rest, more = strings.Cut(rest, ";")
			n, v, ok := strings.Cut(pair, "=")
			if ok && trim(n) == name {
				return trim(v), true
			}
		}
	}
	return "", false
}

// trim leaves out the spaces and tabs around s.
func trim(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// pairs yields what stands between the semicolons.
func (j Jar) pairs() iter.Seq[string] {
	return func(yield func(pair string) bool) {
		for _, header := range j {
			for pair := range strings.SplitSeq(header, ";") {
				if !yield(pair) {
					return
				}
			}
		}
	}
}
