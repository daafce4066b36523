package stores

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxJSONDepth bounds the nesting of JSON values. Real sessions have a handful
// of levels; PHP's json_decode stops at 512.
const maxJSONDepth = 512

var (
	errNotUTF8    = errors.New("it is not UTF-8")
	errJSON       = errors.New("it is not valid JSON")
	errJSONDepth  = errors.New("it is nested more than 512 levels deep")
	errJSONObject = errors.New("it is JSON, but not an object")
	errNoCookie   = errors.New(`it has no object "cookie", which express-session always writes`)
)

// Express returns the codec of express-session with connect-redis: JSON with
// the cookie's attributes at "cookie".
//
// An empty value, null, 0, false and "" are no session, and a value without
// "cookie" cannot be decoded, as in express-session's createSession
// (session/store.js). The session ends by its lifetime in Redis, as in the
// stack: a request that changes nothing extends that alone (connect-redis'
// touch), so cookie.expires may have passed. The codec is stricter than the
// stack in three points: without a lifetime in Redis (connect-redis'
// disableTTL), cookie.expires is the deadline; and a value that is not UTF-8,
// or nested more than 512 levels deep, cannot be decoded.
func Express() LifetimeCodec { return expressCodec{} }

type expressCodec struct{}

func (expressCodec) Name() string { return "json" }

func (expressCodec) Decode(value []byte) (Values, time.Time, error) {
	doc, err := parseJSON(value)
	if err != nil {
		return nil, time.Time{}, err
	}
	cookie, ok := doc.at("cookie")
	if !ok || !cookieLike(cookie) {
		return nil, time.Time{}, errNoCookie
	}
	var deadline time.Time
	if raw, ok := cookie.at("expires"); ok && raw[0] == '"' {
		deadline = parseDate(raw)
	}
	return doc, deadline, nil
}

// Lifetime implements [LifetimeCodec]. A request that changes nothing sets the
// cookie's expires to originalMaxAge from then (express-session's
// Session.touch), and the key's lifetime to what is left until expires in whole
// seconds, or to the store's ttl without expires (connect-redis' touch and
// getTTL).
func (expressCodec) Lifetime(value []byte) (time.Duration, bool) {
	doc, err := parseJSON(value)
	if err != nil {
		return 0, true
	}
	cookie, ok := doc.at("cookie")
	if !ok || !cookieLike(cookie) {
		return 0, true
	}
	raw, ok := cookie.at("originalMaxAge")
	switch {
	case !ok || raw[0] == 'n':
		return 0, false
	case raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9':
		ms, _ := strconv.ParseFloat(string(raw), 64)
		seconds := max(0, min(math.Ceil(ms/1000), maxSeconds))
		return time.Duration(seconds) * time.Second, true
	}
	return 0, !falsy(raw) // Cookie's maxAge refuses what is true but no number
}

// maxSeconds is the longest lifetime that a Duration holds, 292 years.
const maxSeconds = float64(math.MaxInt64 / int64(time.Second))

// cookieLike reports whether createSession makes a Cookie of a value: it fails
// on null, and on what is neither an object nor false (session/cookie.js).
func cookieLike(raw jsonValues) bool {
	switch raw[0] {
	case '{', '[':
		return true
	case 'n':
		return false
	}
	return falsy(raw)
}

// parseDate reads what JSON.stringify makes of a Date, or of a date string
// that an application set. What is no date is no deadline, as in JavaScript,
// where every comparison with an invalid Date is false.
func parseDate(raw []byte) time.Time {
	s := unquote(raw)
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t
	}
	t, _ := http.ParseTime(s)
	return t
}

// jsonValues is a JSON object that was checked as a whole and is read where
// somebody looks.
type jsonValues []byte

// parseJSON checks a value as strictly as JSON.parse, and that it is an
// object. Values that JavaScript takes for false are no session.
func parseJSON(value []byte) (jsonValues, error) {
	if len(value) == 0 {
		return nil, ErrNotFound
	}
	value = bytes.Trim(value, " \t\r\n")
	switch {
	case !utf8.Valid(value):
		return nil, errNotUTF8
	case bytes.Count(value, []byte{'{'})+bytes.Count(value, []byte{'['}) > maxJSONDepth && jsonDepth(value) > maxJSONDepth:
		return nil, errJSONDepth
	case !validJSON(value):
		return nil, errJSON
	case falsy(value):
		return nil, ErrNotFound
	case value[0] != '{':
		return nil, errJSONObject
	}
	return jsonValues(value), nil
}

// falsy reports whether JavaScript takes a JSON value for false.
func falsy(raw []byte) bool {
	switch raw[0] {
	case 'n', 'f':
		return true
	case '"':
		return len(raw) == 2
	case '{', '[', 't':
		return false
	}
	f, _ := strconv.ParseFloat(string(raw), 64) // 1e-400 too is 0
	return f == 0
}

// jsonDepth returns how deep a text is nested, without regard to whether it is
// valid.
func jsonDepth(text []byte) (deepest int) {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i = stringEnd(text, i) - 1
		case '{', '[':
			if depth++; depth > deepest {
				deepest = depth
			}
		case '}', ']':
			depth--
		}
	}
	return deepest
}

// stringEnd returns where the string that starts at i ends.
func stringEnd(text []byte, i int) int {
	for start := i + 1; ; {
		n := bytes.IndexByte(text[i+1:], '"')
		if n < 0 {
			return len(text)
		}
		i += 1 + n
		backslashes := 0
		for i-1-backslashes >= start && text[i-1-backslashes] == '\\' {
			backslashes++
		}
		if backslashes%2 == 0 {
			return i + 1
		}
	}
}

// skipValue returns where the value that starts at i ends. The text is valid.
func skipValue(text []byte, i int) int {
	switch text[i] {
	case '"':
		return stringEnd(text, i)
	case '{', '[':
		depth := 0
		for ; i < len(text); i++ {
			switch text[i] {
			case '"':
				i = stringEnd(text, i) - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
		return i
	}
	for i < len(text) && bytes.IndexByte([]byte(",]} \t\r\n"), text[i]) < 0 {
		i++
	}
	return i
}

func skipSpace(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\t' || text[i] == '\r' || text[i] == '\n') {
		i++
	}
	return i
}

// at returns the text of the value at a path. Of members with one name the
// last counts, as in JSON.parse.
func (v jsonValues) at(path ...string) (raw jsonValues, ok bool) {
	raw = v
	for _, name := range path {
		if raw, ok = raw.child(name); !ok {
			return nil, false
		}
	}
	return raw, true
}

// find is at for a dotted path.
func (v jsonValues) find(path string) (raw jsonValues, ok bool) {
	if strings.IndexByte(path, '\\') >= 0 {
		return v.at(SplitPath(path)...)
	}
	raw = v
	for more := path != ""; more; {
		var name string
		name, path, more = strings.Cut(path, ".")
		if raw, ok = raw.child(name); !ok {
			return nil, false
		}
	}
	return raw, true
}

func (v jsonValues) child(name string) (raw jsonValues, ok bool) {
	switch v[0] {
	case '{':
		return member(v, name)
	case '[':
		return element(v, name)
	}
	return nil, false
}

func member(object []byte, name string) (value []byte, ok bool) {
	for i := skipSpace(object, 1); object[i] != '}'; {
		start := i
		i = stringEnd(object, i)
		key := object[start:i]
		i = skipSpace(object, skipSpace(object, i)+1) // the colon
		start = i
		i = skipValue(object, i)
		if sameName(key, name) {
			value, ok = object[start:i], true
		}
		if i = skipSpace(object, i); object[i] == ',' {
			i = skipSpace(object, i+1)
		}
	}
	return value, ok
}

func sameName(quoted []byte, name string) bool {
	if inner := quoted[1 : len(quoted)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(inner) == name // without a copy
	}
	return unquote(quoted) == name
}

// unquote returns what a string stands for that was checked before.
func unquote(raw []byte) string {
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner)
	}
	var s string
	_ = json.Unmarshal(raw, &s)
	return s
}

func element(list []byte, name string) (value []byte, ok bool) {
	want, err := strconv.Atoi(name)
	if err != nil || want < 0 || strconv.Itoa(want) != name {
		return nil, false
	}
	i := skipSpace(list, 1)
	for n := 0; list[i] != ']'; n++ {
		start := i
		i = skipValue(list, i)
		if n == want {
			return list[start:i], true
		}
		if i = skipSpace(list, i); list[i] == ',' {
			i = skipSpace(list, i+1)
		}
	}
	return nil, false
}

func (v jsonValues) Lookup(path string) (any, bool) {
	raw, ok := v.find(path)
	if !ok {
		return nil, false
	}
	switch {
	case raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9':
		f, _ := strconv.ParseFloat(string(raw), 64) // beyond float64 it is ±Inf, as in JavaScript
		return f, true
	case raw[0] == '"':
		return unquote(raw), true
	}
	var value any
	_ = json.Unmarshal(raw, &value) // checked before
	return value, true
}

func (v jsonValues) Map() map[string]any {
	var m map[string]any
	_ = json.Unmarshal(v, &m) // checked before
	return m
}
