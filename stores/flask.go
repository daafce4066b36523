package stores

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"time"
)

// FlaskCookie returns the codec of Flask's own sessions: the cookie without its
// signature, payload.timestamp, as [Keyspace] gets it from the cookie's opener.
// The session is over maxAge after it was signed: Flask's
// PERMANENT_SESSION_LIFETIME, 31 days if it is zero.
//
// Flask's tags are resolved: tuples are lists, dates and UUIDs their text, and
// bytes {"$base64": …}.
func FlaskCookie(maxAge time.Duration) Codec {
	if maxAge == 0 {
		maxAge = 31 * 24 * time.Hour
	}
	return flaskCookie{maxAge}
}

type flaskCookie struct{ maxAge time.Duration }

var errFlaskTag = errors.New("it has a tag of Flask's JSON whose value is malformed")

func (flaskCookie) Name() string { return "tagged JSON" }

func (c flaskCookie) Decode(value []byte) (Values, time.Time, error) {
	var deadline time.Time
	if len(value) > 0 && value[0] != '{' { // "{": the session as it was before it was signed
		payload, stamp, ok := cutLast(string(value), '.')
		raw, err := base64.RawURLEncoding.DecodeString(stamp)
		if !ok || err != nil || len(raw) > 8 {
			return nil, time.Time{}, errSealed
		}
		signed := bigEndianStamp(raw)
		if signed < 0 {
			return nil, time.Time{}, errSealed
		}
		if value, err = unsealPython(payload); err != nil {
			return nil, time.Time{}, err
		}
		// itsdangerous counts whole seconds: over if more than maxAge of them
		// have gone by.
		deadline = time.Unix(signed+1, 0).Add(c.maxAge)
	}
	v, err := pythonJSON(value)
	if err != nil {
		return nil, time.Time{}, err
	}
	doc := v.(exactJSON).jsonValues
	if bytes.Contains(doc, []byte(`":`)) && bytes.Contains(doc, []byte(`" `)) {
		text, err := untag(make([]byte, 0, len(doc)+32), doc)
		if err != nil {
			return nil, time.Time{}, err
		}
		if doc = text; doc[0] != '{' {
			return nil, time.Time{}, errJSONObject
		}
	}
	return exactJSON{doc}, deadline, nil
}

// bigEndianStamp reads a timestamp; -1 if it is after the year 9999.
func bigEndianStamp(b []byte) int64 {
	var n uint64
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	if n > math.MaxInt64 || n > maxStamp {
		return -1
	}
	return int64(n)
}

// untag appends a checked text with Flask's tags resolved: objects of one
// member whose name begins with a space (flask/json/tag.py).
func untag(dst, text []byte) ([]byte, error) {
	switch text[0] {
	case '[', '{':
	default:
		return append(dst, text...), nil
	}
	if name, value, ok := onlyMember(text); ok {
		if out, known, err := untagValue(dst, name, value); known || err != nil {
			return out, err
		}
	}
	open := text[0]
	dst = append(dst, open)
	i := skipSpace(text, 1)
	for n := 0; text[i] != open+2; n++ { // "]" and "}" stand two after their partners
		if n > 0 {
			dst = append(dst, ',')
		}
		if open == '{' {
			end := stringEnd(text, i)
			dst = append(append(dst, text[i:end]...), ':')
			i = skipSpace(text, skipSpace(text, end)+1)
		}
		end := skipValue(text, i)
		var err error
		if dst, err = untag(dst, text[i:end]); err != nil {
			return nil, err
		}
		if i = skipSpace(text, end); text[i] == ',' {
			i = skipSpace(text, i+1)
		}
	}
	return append(dst, open+2), nil
}

// onlyMember returns the member of an object that has just one.
func onlyMember(text []byte) (name string, value []byte, ok bool) {
	i := skipSpace(text, 1)
	if text[0] != '{' || text[i] != '"' {
		return "", nil, false
	}
	end := stringEnd(text, i)
	name = jsonString(text[i:end])
	i = skipSpace(text, skipSpace(text, end)+1)
	end = skipValue(text, i)
	return name, text[i:end], text[skipSpace(text, end)] == '}'
}

func jsonString(quoted []byte) (s string) {
	_ = json.Unmarshal(quoted, &s) // checked before
	return s
}

func untagValue(dst []byte, name string, value []byte) (out []byte, known bool, err error) {
	switch name {
	case " t": // tuple
		if value[0] == '[' {
			out, err = untag(dst, value)
			return out, true, err
		}
	case " di": // a dict that looks like a tag
		if inner, v, ok := onlyMember(value); ok && len(inner) >= 2 {
			dst = appendQuoted(append(dst, '{'), inner[:len(inner)-2])
			if out, err = untag(append(dst, ':'), v); err != nil {
				return nil, true, err
			}
			return append(out, '}'), true, nil
		}
	case " b", " m", " u", " d":
		if value[0] == '"' {
			out, err = untagText(dst, name, jsonString(value))
			return out, true, err
		}
	default:
		return nil, false, nil
	}
	return nil, true, errFlaskTag
}

func untagText(dst []byte, name, s string) ([]byte, error) {
	switch name {
	case " b":
		if _, err := base64.StdEncoding.DecodeString(s); err != nil {
			return nil, errFlaskTag
		}
		return append(appendQuoted(append(dst, `{"$base64":`...), s), '}'), nil
	case " u":
		if len(s) != 32 {
			return nil, errFlaskTag
		}
		s = dashed(s)
	case " d":
		t, err := http.ParseTime(s)
		if err != nil {
			return nil, errFlaskTag
		}
		s = pyDateText(t)
	}
	return appendQuoted(dst, s), nil // Markup is a string too
}

// FlaskKeyspace is Flask's own sessions, which are in the cookie.
func FlaskKeyspace() Keyspace { return inCookie(FlaskCookie(0)) }
