package stores

import (
	"strconv"
	"time"

	"github.com/sessionbridge/sessionbridge/stores/php"
)

// PHP returns the codec of PHP's native sessions, as written by
// session.serialize_handler h. An empty value is an empty session.
func PHP(h php.Handler) Codec { return phpCodec{h} }

type phpCodec struct{ handler php.Handler }

func (c phpCodec) validate() error {
	_, err := php.Decode(c.handler, nil)
	return err
}

func (c phpCodec) Name() string { return string(c.handler) }

func (c phpCodec) Decode(value []byte) (Values, time.Time, error) {
	v, err := php.Decode(c.handler, value)
	if err != nil {
		return nil, time.Time{}, err
	}
	return phpValues{v}, time.Time{}, nil
}

type phpValues struct{ root php.Value }

func (v phpValues) Lookup(path string) (any, bool) {
	at, ok := v.root.At(SplitPath(path)...)
	if !ok {
		return nil, false
	}
	// Any copies the text of the whole session, whatever it returns.
	switch at.Kind() {
	case php.Null:
		return nil, true
	case php.Bool:
		return at.Bool(), true
	case php.Int:
		return at.Int(), true
	case php.Float:
		return at.Float(), true
	case php.String:
		return at.Text(), true
	}
	return at.Any(), true
}

// AppendJSON appends the session as a JSON object; see
// [php.Value.AppendSessionJSON].
func (v phpValues) AppendJSON(dst []byte, limit int) ([]byte, error) {
	return v.root.AppendSessionJSON(dst, limit)
}

func (v phpValues) Map() map[string]any { return sessionMap(v.root.Any()) }

// sessionMap returns a session of PHP's as a map; a list's keys are its indexes.
func sessionMap(session any) map[string]any {
	switch session := session.(type) {
	case map[string]any:
		return session
	case []any:
		m := make(map[string]any, len(session))
		for i, value := range session {
			m[strconv.Itoa(i)] = value
		}
		return m
	}
	return map[string]any{}
}
