package stores

import (
	"encoding/json"
	"testing"

	"github.com/sessionbridge/sessionbridge/internal/vectors"
)

var jsonTexts = []string{
	``, ` `, `{}`, `[]`, ` { "a" : [ 1 , 2 ] , "b" : { } } `, `{"a":1,}`, `{"a"}`, `{a:1}`, `{,}`, `{"a":1 "b":2}`, `{"a":1`, `{"a":`, `{"a`, `{`,
	`[1,]`, `[,1]`, `[1 2]`, `[1`, `[`, `]`, `[]]`, `{}{}`, `{}x`,
	`0`, `-0`, `01`, `-01`, `-`, `+1`, `.5`, `1.`, `1.5`, `1.e1`, `1e`, `1e+`, `1e+05`, `1E-5`, `1e5.5`, `00`, `0x1`, `1a`, `- 1`,
	`true`, `false`, `null`, `tru`, `truex`, `True`, `nul`, `nullnull`,
	`""`, `"`, `"a`, `"\"`, `"\\"`, `"\n\t\r\b\f\/\""`, `"\x"`, `"\u00e9"`, `"\u00E9\uD800"`, `"\u12"`, `"\u12g4"`, `"\`, "\"\x00\"", "\"\n\"", "\"\x7f\"", "\"\xff\"", "\ufeff{}",
	"\v{}", "{}\v", "\t\r\n {}\n",
}

// validJSON agrees with encoding/json.
func FuzzValidJSON(f *testing.F) {
	for _, file := range []string{"express.json", "express-values.json"} {
		for _, v := range vectors.Read[struct {
			Value string `json:"value"`
		}](f, file) {
			f.Add([]byte(v.Value))
		}
	}
	for _, text := range jsonTexts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if jsonDepth(text) > maxJSONDepth {
			return // refused before
		}
		if got, want := validJSON(text), json.Valid(text); got != want {
			t.Errorf("%q is valid: %v, want %v", text, got, want)
		}
	})
}
