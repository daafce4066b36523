package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"github.com/sessionbridge/sessionbridge/stores"
)

// maxPrinted bounds the session as it is printed: shared values are printed in
// each place, so that a small session could be a large text.
const maxPrinted = 64 << 20

// jsonAppender is implemented by values that know better than their Map how
// they are printed: in order, or with every digit.
type jsonAppender interface {
	AppendJSON(dst []byte, limit int) ([]byte, error)
}

// sessionJSON prints a session; null if it cannot be printed.
func sessionJSON(v stores.Values) json.RawMessage {
	if a, ok := v.(jsonAppender); ok {
		text, err := a.AppendJSON(nil, maxPrinted)
		if err != nil {
			return json.RawMessage("null")
		}
		return text
	}
	m := v.Map()
	if m == nil {
		m = map[string]any{}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(m); err != nil {
		return json.RawMessage("null")
	}
	return bytes.TrimSpace(b.Bytes())
}

// memberNames returns the names of the session's own members, in order if the
// session has one.
func memberNames(v stores.Values) (list []string) {
	if _, ordered := v.(jsonAppender); ordered {
		dec := json.NewDecoder(bytes.NewReader(sessionJSON(v)))
		if t, err := dec.Token(); err != nil || t != json.Delim('{') {
			return nil
		}
		for dec.More() {
			t, err := dec.Token()
			name, ok := t.(string)
			if err != nil || !ok {
				return list
			}
			list = append(list, name)
			if dec.Decode(new(json.RawMessage)) != nil {
				return list
			}
		}
		return list
	}
	return slices.Sorted(maps.Keys(v.Map()))
}
