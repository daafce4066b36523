package vectors

import (
	"bytes"
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"testing"
)

// JSON decodes JSON so that values written by different software compare:
// integers keep all of their digits, and other numbers compare by their value.
func JSON(tb testing.TB, text []byte) any {
	tb.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		tb.Fatalf("%q: %v", text, err)
	}
	return numbers(v)
}

func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if _, ok := new(big.Int).SetString(string(v), 10); ok && v != "-0" {
			return string(v)
		}
		f, _ := strconv.ParseFloat(string(v), 64)
		if f == 0 {
			return "0" // whatever its sign
		}
		if f == math.Trunc(f) {
			return strconv.FormatFloat(f, 'f', -1, 64)
		}
		return f
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = numbers(v[name])
		}
	}
	return v
}
