package stores

import (
	"time"

	"github.com/sessionbridge/sessionbridge/stores/php"
)

// PHP returns the codec of PHP's native sessions, as written by
// session.serialize_handler h. An empty value is an empty session.
func PHP(h php.Handler) Codec { return phpCodec{h} }

type phpCodec struct{ handler php.Handler }

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
	return at.Any(), true
}

func (v phpValues) Map() map[string]any {
	m := make(map[string]any, v.root.Len())
	for key, value := range v.root.All() {
		m[key.String()] = value.Any()
	}
	return m
}
