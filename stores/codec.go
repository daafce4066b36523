package stores

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/sessionbridge/sessionbridge/stores/php"
)

// Codec decodes the session values of a stack.
type Codec interface {
	// Name is the format's name as its stack calls it: "php", "json", "gob".
	Name() string

	// Decode decodes a value, which is not modified afterwards. The deadline
	// is one that the value itself holds; zero if it holds none. A value that
	// the stack takes for no session gives an error that wraps ErrNotFound.
	// Errors hold nothing of the value.
	Decode(value []byte) (v Values, deadline time.Time, err error)
}

// HashCodec is a [Codec] whose stack keeps a session in a Redis hash.
type HashCodec interface {
	Codec

	// DecodeHash is Decode for the hash's fields.
	DecodeHash(fields map[string]string) (v Values, deadline time.Time, err error)
}

// Values gives read access to a decoded session. Implementations are safe for
// concurrent use.
type Values interface {
	// Lookup returns the value at a dotted path as a plain Go value: nil,
	// bool, string, a number, []any or map[string]any. A dot inside a name is
	// written `\.`. ok is false if nothing is there.
	Lookup(path string) (value any, ok bool)

	// Map returns the whole session as plain Go values.
	Map() map[string]any
}

// DecodeError says that a session is there and cannot be read: the keyspace's
// codec is not the one that the application writes with, or the value is
// damaged. It is a misconfiguration, not a logout.
type DecodeError struct {
	Codec string // the name of the keyspace's codec
	Err   error  // what it said, which holds nothing of the value

	// Like is the format that the value seems to have instead: "json", or a
	// session.serialize_handler of PHP's; "" if that is not known.
	Like string
}

func (e *DecodeError) Error() string {
	return "the session cannot be decoded as " + e.Codec + ": " + e.Err.Error()
}

// Unwrap returns what the codec said.
func (e *DecodeError) Unwrap() error { return e.Err }

// formatOf returns the format that a value has, other than the one named; "" if
// it is not known, and of a long value.
func formatOf(value []byte, other string) string {
	const long = 64 << 10
	if len(value) == 0 || len(value) > long {
		return ""
	}
	if text := bytes.TrimSpace(value); other != "json" && len(text) > 0 && text[0] == '{' && json.Valid(text) {
		return "json"
	}
	for _, h := range php.Guess(value) { // the most specific first
		if string(h) != other {
			return string(h)
		}
	}
	return ""
}
