package stores_test

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/internal/vectors"
	"github.com/sessionbridge/sessionbridge/stores"
)

// Whatever is decoded is what encoding/json makes of it, in every place.
func FuzzExpress(f *testing.F) {
	for _, file := range []string{"express.json", "express-values.json"} {
		for _, v := range vectors.Read[textVector](f, file) {
			f.Add([]byte(v.Value))
		}
	}
	f.Add([]byte(`{"cookie":{"expires":"2026-11-22T10:00:00Z"},"a.b":[1,{"\u0061":"\ud800"}],"":{"":-0},"a":1e400}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, _, err := stores.Express().Decode(b)
		if (v == nil) != (err != nil) {
			t.Fatalf("= %v, %v", v, err)
		}
		if ttl, ok := stores.Express().Lifetime(b); ttl < 0 || ttl > 0 && (!ok || err != nil) || err != nil && !ok {
			t.Errorf("lives for %v, %v, after the error %v", ttl, ok, err)
		}
		if err != nil {
			return
		}
		var want any
		if err := json.Unmarshal(b, &want); err != nil {
			if json.Valid(b) {
				return // a number beyond float64
			}
			t.Fatalf("decoded, but %v", err)
		}
		if !cmp.Equal(any(v.Map()), want) {
			t.Fatal("Map differs")
		}
		left := 100
		checkLookups(t, v, nil, want, &left)
		if _, err := stores.UserID(v, "passport.user"); err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("error %q", err)
		}
	})
}

// checkLookups looks up a value and what is in it, as far as left goes.
func checkLookups(t *testing.T, v stores.Values, names []string, want any, left *int) {
	if *left--; *left < 0 {
		return
	}
	var escaped []string
	for _, n := range names {
		escaped = append(escaped, stores.EscapeName(n))
	}
	path := strings.Join(escaped, ".")
	if path == "" && len(names) > 0 {
		return // one empty name cannot be written
	}
	if got, ok := v.Lookup(path); !ok || !cmp.Equal(got, want) {
		t.Errorf("Lookup(%q) = %#v, %v, want %#v", path, got, ok, want)
	}
	names = names[:len(names):len(names)]
	switch want := want.(type) {
	case map[string]any:
		for name, member := range want {
			checkLookups(t, v, append(names, name), member, left)
		}
	case []any:
		for i, element := range want {
			checkLookups(t, v, append(names, strconv.Itoa(i)), element, left)
		}
	}
}

// Bytes that are no session give an error, never a panic or half a session.
func FuzzGorilla(f *testing.F) {
	for _, v := range vectors.Read[byteVector](f, "gorilla.json") {
		f.Add(v.Value)
	}
	f.Add(gobSession(f, map[any]any{"a": []any{gobAccount{Owner: &vectorUser{}}, "x"}, 1: uuid{1, 2}}))
	f.Add(gobSession(f, map[any]any{&gobAccount{Owner: &vectorUser{}}: 1}))
	f.Add(deepGob(f, 1000))
	f.Fuzz(func(t *testing.T, b []byte) {
		if bytes.Contains(b, []byte("map[")) {
			t.Skip("gob believes a map's length: see Gorilla")
		}
		v, _, err := stores.Gorilla(nil).Decode(b)
		if (v == nil) != (err != nil) {
			t.Fatalf("= %v, %v", v, err)
		}
		if err == nil {
			for name := range v.Map() {
				if name == "" {
					continue
				}
				if _, ok := v.Lookup(stores.EscapeName(name)); !ok {
					t.Errorf("%q is in the map and cannot be looked up", name)
				}
				_, _ = stores.UserID(v, stores.EscapeName(name))
			}
		}
	})
}

func FuzzSplitPath(f *testing.F) {
	if len(paths) == 0 {
		f.Fatal("no seeds")
	}
	for _, p := range paths {
		f.Add(p.path)
	}
	f.Fuzz(func(t *testing.T, s string) {
		names := stores.SplitPath(s)
		var escaped []string
		for _, n := range names {
			escaped = append(escaped, stores.EscapeName(n))
		}
		if again := stores.SplitPath(strings.Join(escaped, ".")); !cmp.Equal(again, names) {
			t.Errorf("%q is %q, but escaped %q", s, names, again)
		}
		if got := stores.SplitPath(stores.EscapeName(s)); s != "" && !cmp.Equal(got, []string{s}) {
			t.Errorf("the name %q comes back as %q", s, got)
		}
	})
}
