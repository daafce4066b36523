package main

import "strings"

// shape says how far a cookie's value looks like a stack's.
type shape int

const (
	noShape    shape = iota
	plainShape       // an id that could be any stack's
	ownShape         // what hardly another stack writes
)

func shapeIf(own bool) shape {
	if own {
		return ownShape
	}
	return noShape
}

// named reports whether a cookie is called as session cookies are, so that one
// of plain shape is worth a try.
func (c namedCookie) named() bool {
	name := strings.ToLower(c.name)
	return strings.Contains(name, "sess") || strings.Contains(name, "sid")
}

// fits reports whether a cookie that was not asked for by name may be a
// stack's.
func (e *entry) fits(c namedCookie, jar []string, plain bool) bool {
	switch e.shape(c, jar) {
	case ownShape:
		return true
	case plainShape:
		return plain
	}
	return false
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
