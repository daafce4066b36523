package php

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var handlers = []Handler{HandlerPHP, HandlerSerialize, HandlerBinary, HandlerIgbinary, HandlerMsgpack}

// vector is a session that real PHP wrote, with what PHP read back; or, in the
// cases- files, made by hand, with PHP's verdict. The versions stand in the
// files.
type vector struct {
	Name      string
	Value     []byte
	Generated string
	OK        *bool
	Typed     any
	Plain     any
	User      any
	UserPath  string `json:"user_path"`
	Errors    []string
}

func load(tb testing.TB, file string) []vector {
	tb.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		tb.Fatal(err)
	}
	var doc struct{ Vectors, Cases []vector }
	if err := json.Unmarshal(raw, &doc); err != nil {
		tb.Fatalf("%s: %v", file, err)
	}
	all := append(doc.Vectors, doc.Cases...)
	if len(all) == 0 {
		tb.Fatalf("%s holds no vectors", file)
	}
	return all
}

// phpFailed reports whether PHP refused the session that it had written itself:
// a class that it needs was not loaded when it read.
func (v vector) phpFailed() bool {
	return slices.ContainsFunc(v.Errors, func(s string) bool {
		return strings.Contains(s, "Failed to decode session object")
	})
}

func TestVectors(t *testing.T) {
	for _, h := range handlers {
		for _, v := range load(t, string(h)+".json") {
			t.Run(string(h)+"/"+v.Name, func(t *testing.T) {
				got, err := Decode(h, v.Value)
				if v.phpFailed() {
					if err == nil {
						t.Fatal("decoded what PHP could not")
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if v.Typed == nil {
					return // PHP died of it; decoding is enough
				}
				if diff := cmp.Diff(normalize(v.Typed), any(typed(got))); diff != "" {
					t.Errorf("typed value (-php +go):\n%s", diff)
				}
				checkOutputs(t, got)
				if id, ok := v.User.(string); ok {
					path := strings.Split(strings.ReplaceAll(strings.TrimPrefix(v.UserPath, "$."), "->", "."), ".")
					u, ok := got.At(path...)
					if !ok || plainText(u) != id {
						t.Errorf("At(%q) = %q, %v; want %q", path, plainText(u), ok, id)
					}
				}
			})
		}
	}
}

func plainText(v Value) string {
	out, err := v.AppendJSON(nil, 1<<20)
	if err != nil {
		return err.Error()
	}
	return strings.Trim(string(out), `"`)
}

// checkOutputs holds v against properties that every value has.
func checkOutputs(t *testing.T, v Value) {
	t.Helper()
	v.Any()
	out, err := v.AppendSessionJSON(nil, 1<<22)
	if err != nil {
		t.Errorf("AppendSessionJSON: %v", err)
		return
	}
	var back map[string]any
	if err := json.Unmarshal(out, &back); err != nil {
		t.Errorf("not a JSON object: %v\n%s", err, out)
	}
}

func TestCases(t *testing.T) {
	for _, h := range handlers {
		for _, v := range load(t, "cases-"+string(h)+".json") {
			t.Run(string(h)+"/"+v.Name, func(t *testing.T) {
				if v.Generated != "" {
					if v.Generated != "a| + 'a:1:{i:0;'*N + 'i:1;' + '}'*N" {
						t.Fatalf("unknown recipe %s", v.Generated)
					}
					v.Value = []byte("a|" + nested(4090))
				}
				got, err := Decode(h, v.Value)
				if ok := err == nil; ok != *v.OK {
					t.Fatalf("decoded: %v (%v), PHP: %v", ok, err, *v.OK)
				}
				if err != nil || v.Generated != "" {
					return
				}
				want := normalize(v.Typed)
				if m, ok := want.(map[string]any); ok { // the session was no array
					want = m["not_array"]
					if diff := cmp.Diff(want, typedOne(got)); diff != "" {
						t.Errorf("typed value (-php +go):\n%s", diff)
					}
					return
				}
				if diff := cmp.Diff(want, any(typed(got))); diff != "" {
					t.Errorf("typed value (-php +go):\n%s", diff)
				}
			})
		}
	}
}

// nested is n arrays in each other, the innermost holding 1.
func nested(n int) string {
	return strings.Repeat("a:1:{i:0;", n) + "i:1;" + strings.Repeat("}", n)
}
