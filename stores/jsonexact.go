package stores

import (
	"bytes"
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
)

// exactJSON is JSON of a language whose integers are not rounded: Python's,
// Ruby's and Java's.
type exactJSON struct{ jsonValues }

func (v exactJSON) Lookup(path string) (any, bool) {
	raw, ok := v.at(SplitPath(path)...)
	if !ok {
		return nil, false
	}
	return exactValue(raw), true
}

func (v exactJSON) Map() map[string]any {
	m, _ := exactValue(v.jsonValues).(map[string]any)
	return m
}

func exactValue(raw []byte) (value any) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	_ = d.Decode(&value) // checked before
	return exactInts(value)
}

func exactInts(v any) any {
	switch v := v.(type) {
	case json.Number:
		return exactNumber(string(v))
	case []any:
		for i := range v {
			v[i] = exactInts(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = exactInts(v[name])
		}
	}
	return v
}

func exactNumber(s string) any {
	if strings.ContainsAny(s, ".eE") {
		f, _ := strconv.ParseFloat(s, 64) // beyond float64 it is ±Inf, as in Python
		return f
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n
	}
	if len(s) <= 2*maxBigInt {
		if n, ok := new(big.Int).SetString(s, 10); ok {
			return n
		}
	}
	f, _ := strconv.ParseFloat(s, 64)
	return f
}
