package stores

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/sessionbridge/sessionbridge/stores/php"
)

// PHPJSON returns the codec of sessions that a PHP application writes with
// json_encode, by a session handler of its own. An empty session is [], as
// PHP's empty array is. An empty value, null, 0, false and "" are no session.
//
// Integers are exact, as they are in PHP, where an Express session's are
// rounded to what a float64 holds.
func PHPJSON() Codec { return phpJSONCodec{} }

type phpJSONCodec struct{}

func (phpJSONCodec) Name() string { return "json" }

func (phpJSONCodec) Decode(value []byte) (Values, time.Time, error) {
	v, err := parsePHPJSON(value)
	if err != nil {
		return nil, time.Time{}, err
	}
	return v, time.Time{}, nil
}

// phpJSON is a JSON object or list that PHP takes for an array.
type phpJSON struct{ root jsonValues }

var (
	errJSONArray     = errors.New("it is JSON, but neither an object nor a list")
	errJSONSurrogate = errors.New("it is JSON with half a surrogate pair")
)

// parsePHPJSON checks a value as strictly as json_decode.
func parsePHPJSON(value []byte) (phpJSON, error) {
	root, err := parseJSON(value)
	if errors.Is(err, errJSONObject) {
		if root = bytes.Trim(value, " \t\r\n"); root[0] != '[' {
			return phpJSON{}, errJSONArray
		}
		err = nil
	}
	if err == nil && loneSurrogate(root) {
		err = errJSONSurrogate
	}
	if err != nil {
		return phpJSON{}, err
	}
	return phpJSON{root}, nil
}

// loneSurrogate reports whether a valid text has a \u escape that is half of a
// surrogate pair, where PHP fails and Go puts U+FFFD.
func loneSurrogate(text []byte) bool {
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 {
			return false
		}
		unit, n := escapeAt(text[i:])
		text = text[i+n:]
		switch {
		case unit < 0xd800 || unit > 0xdfff:
		case unit > 0xdbff || text == nil:
			return true
		default:
			low, n := escapeAt(text)
			if low < 0xdc00 || low > 0xdfff {
				return true
			}
			text = text[n:]
		}
	}
}

// escapeAt returns the code unit of the \u escape that a valid text begins
// with, -1 if it does not, and how long that escape is.
func escapeAt(text []byte) (unit int64, n int) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return -1, min(2, len(text))
	}
	u, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return -1, 2
	}
	return int64(u), 6
}

func (v phpJSON) Lookup(path string) (any, bool) {
	raw, ok := v.root.at(SplitPath(path)...)
	if !ok {
		return nil, false
	}
	return phpJSONValue(raw), true
}

// phpJSONValue gives a checked text as plain Go values, integers as int64.
func phpJSONValue(raw []byte) any {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var value any
	_ = d.Decode(&value) // checked before
	return phpNumbers(value)
}

// phpNumbers replaces numbers inside value, which is not nested deeper than
// maxJSONDepth.
func phpNumbers(value any) any {
	switch v := value.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return n
		}
		f, _ := strconv.ParseFloat(string(v), 64) // beyond float64 it is ±Inf, as in PHP
		return f
	case map[string]any:
		for name, member := range v {
			v[name] = phpNumbers(member)
		}
	case []any:
		for i, member := range v {
			v[i] = phpNumbers(member)
		}
	}
	return value
}

func (v phpJSON) Map() map[string]any { return sessionMap(phpJSONValue(v.root)) }

// AppendJSON appends the session as an object, its values as they were
// written. It fails with php.ErrTooLarge when that takes more than limit bytes.
func (v phpJSON) AppendJSON(dst []byte, limit int) ([]byte, error) {
	text := bytes.NewBuffer(make([]byte, 0, len(v.root)))
	_ = json.Compact(text, v.root) // checked before
	object := text.Bytes()
	if object[0] == '[' {
		object = append(object[:0:0], '{')
		for i, n := 1, 0; text.Bytes()[i] != ']'; n++ {
			if n > 0 {
				object = append(object, ',')
			}
			end := skipValue(text.Bytes(), i)
			object = append(strconv.AppendInt(append(object, '"'), int64(n), 10), '"', ':')
			object = append(object, text.Bytes()[i:end]...)
			if i = end; text.Bytes()[i] == ',' {
				i++
			}
		}
		object = append(object, '}')
	}
	if len(object) > max(limit, 0) {
		return dst, php.ErrTooLarge
	}
	return append(dst, object...), nil
}

// phpTime gives the moment from which a Unix time in whole seconds has passed
// for a stack that compares with <=.
func phpTime(seconds float64) time.Time {
	if math.IsNaN(seconds) || seconds > math.MaxInt32*1000.0 {
		return time.Time{} // no end
	}
	return time.Unix(int64(max(math.Floor(seconds), 0))+1, 0)
}
