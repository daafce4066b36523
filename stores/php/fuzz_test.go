package php

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func FuzzDecodePHP(f *testing.F)       { fuzz(f, HandlerPHP) }
func FuzzDecodeSerialize(f *testing.F) { fuzz(f, HandlerSerialize) }
func FuzzDecodeBinary(f *testing.F)    { fuzz(f, HandlerBinary) }
func FuzzDecodeIgbinary(f *testing.F)  { fuzz(f, HandlerIgbinary) }
func FuzzDecodeMsgpack(f *testing.F)   { fuzz(f, HandlerMsgpack) }

func fuzz(f *testing.F, h Handler) {
	seeds := 0
	for _, file := range []string{string(h) + ".json", "cases-" + string(h) + ".json"} {
		for _, v := range load(f, file) {
			if len(v.Value) > 0 && len(v.Value) < 1<<14 {
				f.Add(v.Value)
				seeds++
			}
		}
	}
	for _, in := range hostileInputs() {
		if in.h == h && len(in.data) < 1<<13 {
			f.Add(in.data)
		}
	}
	if seeds < 10 {
		f.Fatalf("only %d seeds", seeds)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		untouched := bytes.Clone(data)
		v, err := Decode(h, data)
		again, errAgain := Decode(h, data)
		if !bytes.Equal(data, untouched) {
			t.Fatal("the input was changed")
		}
		if (err == nil) != (errAgain == nil) {
			t.Fatalf("once %v, once %v", err, errAgain)
		}
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Offset < 0 || syntax.Offset > len(data) || syntax.Format != h {
				t.Fatalf("unusable error: %#v", err)
			}
			if err.Error() != errAgain.Error() {
				t.Fatalf("once %v, once %v", err, errAgain)
			}
			return
		}
		const limit = 1 << 16
		out, err := v.AppendSessionJSON(nil, limit)
		outAgain, _ := again.AppendSessionJSON(nil, limit)
		if !bytes.Equal(out, outAgain) {
			t.Fatal("two decodings differ")
		}
		switch {
		case err == nil && (len(out) > limit || !json.Valid(out) || out[0] != '{'):
			t.Fatalf("bad JSON: %q", out)
		case err != nil && !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrTooDeep):
			t.Fatal(err)
		}
		v.Any()
		walk(t, v, 0)
		for _, g := range Guess(data) {
			if _, err := Decode(g, data); err != nil {
				t.Fatalf("guessed %s: %v", g, err)
			}
		}
		if len(data) < 1<<12 {
			// The fuzzing engine allocates beside us: a few tries.
			held := uint64(math.MaxUint64)
			for i := 0; i < 5 && held > budget(len(data)); i++ {
				held = min(held, allocated(func() { _, _ = Decode(h, data) }))
			}
			if held > budget(len(data)) {
				t.Fatalf("decoding %d bytes allocates %d", len(data), held)
			}
		}
	})
}

// walk holds the ways to look at v against each other.
func walk(t *testing.T, v Value, depth int) {
	if depth > 3 {
		return
	}
	n := 0
	for k, e := range v.All() {
		if n++; n > 100 {
			return
		}
		if i, ok := k.Int(); ok && v.IsList() && int(i) != n-1 {
			t.Fatalf("list with key %d at %d", i, n-1)
		}
		found, ok := v.At(k.String())
		if !ok {
			t.Fatalf("At does not find %q", k.String())
		}
		if found.Kind() != e.Kind() && unique(v, k.String()) {
			t.Fatalf("At(%q) is %s, All says %s", k.String(), found.Kind(), e.Kind())
		}
		walk(t, e, depth+1)
	}
	if v.Kind() != String && n != v.Len() {
		t.Fatalf("%d entries, Len %d", n, v.Len())
	}
	if diff := cmp.Diff(v.Text(), v.Text()); diff != "" {
		t.Fatal(diff)
	}
}

func unique(v Value, name string) bool {
	n := 0
	for k := range v.All() {
		if k.String() == name {
			n++
		}
	}
	return n == 1
}
