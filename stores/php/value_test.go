package php_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/stores/php"
)

func mustDecode(t *testing.T, h php.Handler, data string) php.Value {
	t.Helper()
	v, err := php.Decode(h, []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestZeroValue(t *testing.T) {
	var v php.Value
	if v.Kind() != php.Null || !v.IsZero() || v.Any() != nil || v.Len() != 0 || v.Text() != "" || v.Class() != "" {
		t.Errorf("the zero Value is not null: %v", v.Kind())
	}
	for range v.All() {
		t.Error("the zero Value has entries")
	}
	if _, ok := v.At("a"); ok {
		t.Error("the zero Value has an entry")
	}
	if out, err := v.AppendJSON(nil, 4); err != nil || string(out) != "null" {
		t.Errorf("JSON of the zero Value: %s, %v", out, err)
	}
}

func TestKinds(t *testing.T) {
	v := mustDecode(t, php.HandlerPHP, `n|N;b|b:1;i|i:-7;f|d:0.5;s|s:2:"hi";a|a:1:{i:0;i:1;}`+
		`o|O:3:"Foo":1:{s:1:"p";i:1;}e|E:11:"Suit:Hearts";c|C:3:"Bar":4:{body}r|R:3;`)
	for name, want := range map[string]php.Kind{
		"n": php.Null, "b": php.Bool, "i": php.Int, "f": php.Float, "s": php.String, "a": php.Array,
		"o": php.Object, "e": php.Enum, "c": php.Opaque, "r": php.Int,
	} {
		got, ok := v.At(name)
		if !ok || got.Kind() != want {
			t.Errorf("%s: %v, %v; want %v", name, got.Kind(), ok, want)
		}
	}
	at := func(path ...string) php.Value { got, _ := v.At(path...); return got }
	if !at("b").Bool() || at("i").Int() != -7 || at("f").Float() != 0.5 || at("s").Text() != "hi" || at("r").Int() != -7 {
		t.Error("wrong scalar")
	}
	if at("s").Int() != 0 || at("i").Text() != "" || at("i").Bool() {
		t.Error("a value was converted")
	}
	if at("o").Class() != "Foo" || at("e").Class() != "Suit" || at("e").Text() != "Hearts" ||
		at("c").Class() != "Bar" || at("c").Text() != "body" {
		t.Error("wrong class, case or body")
	}
}

func TestAt(t *testing.T) {
	v := mustDecode(t, php.HandlerSerialize, `a:4:{i:0;s:1:"z";i:-3;s:1:"m";s:2:"05";s:1:"t";s:1:"o";`+
		"O:5:\"Child\":4:{s:12:\"\x00Parent\x00same\";i:1;s:4:\"\x00*\x00p\";i:2;s:11:\"\x00Child\x00same\";i:3;s:1:\"7\";i:4;}}")
	for _, tt := range []struct {
		path string
		want any
	}{
		{"0", "z"}, {"-3", "m"}, {"05", "t"}, {"5", nil}, {"00", nil}, {"-0", nil},
		{"o.same", int64(3)}, {"o.Parent::same", int64(1)}, {"o.Child::same", nil}, {"o.p", int64(2)},
		{"o.7", int64(4)}, {"0.x", nil},
	} {
		got, ok := v.At(strings.Split(tt.path, ".")...)
		if ok != (tt.want != nil) || got.Any() != tt.want {
			t.Errorf("At(%s) = %v, %v; want %v", tt.path, got.Any(), ok, tt.want)
		}
	}
}

func TestAny(t *testing.T) {
	for _, tt := range []struct {
		name, data string
		want       any
	}{
		{"list and map", `a:2:{s:1:"l";a:2:{i:0;i:1;i:1;d:2.5;}s:1:"m";a:1:{i:1;b:0;}}`,
			map[string]any{"l": []any{int64(1), 2.5}, "m": map[string]any{"1": false}}},
		{"empty", `a:1:{s:1:"e";a:0:{}}`, map[string]any{"e": []any{}}},
		{"not in order", `a:2:{i:1;i:1;i:0;i:0;}`, map[string]any{"0": int64(0), "1": int64(1)}},
		{"duplicate keeps its place", `a:3:{i:0;i:1;i:1;i:2;i:0;i:3;}`, []any{int64(3), int64(2)}},
		{"cycle", `a:1:{i:0;a:2:{i:0;i:1;i:1;R:2;}}`, []any{[]any{int64(1), nil}}},
		{"object in itself", `O:1:"A":1:{s:1:"a";r:1;}`, map[string]any{"a": nil}},
		{"enum and body", `a:2:{i:0;E:6:"A:Case";i:1;C:1:"B":2:{xy}}`, []any{"A::Case", "xy"}},
		{"escaped", `a:1:{S:1:"\61";S:2:"\41b";}`, map[string]any{"a": "Ab"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, err := php.Unserialize([]byte(tt.data))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, v.Any()); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("shared", func(t *testing.T) {
		v, err := php.Unserialize([]byte(`a:2:{s:1:"a";O:1:"A":1:{s:1:"x";i:1;}s:1:"b";r:2;}`))
		if err != nil {
			t.Fatal(err)
		}
		m := v.Any().(map[string]any)
		m["a"].(map[string]any)["x"] = "changed"
		if m["b"].(map[string]any)["x"] != "changed" {
			t.Error("a shared object is two maps")
		}
	})
}

func TestJSON(t *testing.T) {
	for _, tt := range []struct{ name, data, want string }{
		{"scalars", `a:4:{i:0;N;i:1;b:1;i:2;i:-9223372036854775808;i:3;s:1:"x";}`, `[null,true,-9223372036854775808,"x"]`},
		{"nested empty", `a:1:{s:1:"a";a:0:{}}`, `{"a":[]}`},
		{"not a list", `a:1:{i:1;i:1;}`, `{"1":1}`},
		{"floats", `a:9:{i:0;d:1;i:1;d:-0;i:2;d:0.1;i:3;d:1.0E+25;i:4;d:1.5E-7;i:5;d:0.0001;i:6;d:100000000000000000;i:7;d:12345678901234567;i:8;d:4.9E-324;}`,
			`[1,-0.0,0.1,1.0e+25,1.5e-7,0.0001,1.0e+17,12345678901234568,5.0e-324]`},
		{"no numbers", `a:3:{i:0;d:INF;i:1;d:-INF;i:2;d:NAN;}`, `["INF","-INF","NAN"]`},
		{"escapes", "s:8:\"\"\\/\n\t\x01é\";", `"\"\\/\n\t\u0001é"`},
		{"binary", "a:1:{s:2:\"\xff\xfe\";s:1:\"\x80\";}", `{"$base64://4=":{"$base64":"gA=="}}`},
		{"object", "O:3:\"Foo\":3:{s:1:\"a\";i:1;s:4:\"\x00*\x00b\";i:2;s:6:\"\x00Foo\x00c\";i:3;}", `{"a":1,"b":2,"c":3}`},
		{"empty object", `O:3:"Foo":0:{}`, `{}`},
		{"parent's private", "O:1:\"C\":2:{s:4:\"\x00P\x00x\";i:1;s:4:\"\x00C\x00x\";i:2;}", `{"P::x":1,"x":2}`},
		{"only a parent's private", "O:1:\"C\":1:{s:4:\"\x00P\x00x\";i:1;}", `{"x":1}`},
		{"public before protected", "O:1:\"C\":2:{s:1:\"x\";i:1;s:4:\"\x00*\x00x\";i:2;}", `{"x":1,"*::x":2}`},
		{"enum", `E:15:"App\Suit:Hearts";`, `"App\\Suit::Hearts"`},
		{"body", "a:2:{i:0;C:1:\"A\":2:{hi}i:1;C:1:\"A\":1:{\xff}}", `[{"$serialized":"hi"},{"$serialized":{"$base64":"/w=="}}]`},
		{"shared", `a:2:{i:0;a:1:{i:0;i:1;}i:1;R:2;}`, `[[1],[1]]`},
		{"cycle", `a:1:{s:3:"a.b";a:1:{s:1:"c";a:1:{i:0;R:2;}}}`, `{"a.b":{"c":[{"$ref":"a\\.b"}]}}`},
		{"cycle to the root", `a:1:{i:0;R:1;}`, `[{"$ref":""}]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, err := php.Unserialize([]byte(tt.data))
			if err != nil {
				t.Fatal(err)
			}
			got, err := v.AppendJSON([]byte("x"), len(tt.want))
			if err != nil || string(got) != "x"+tt.want {
				t.Errorf("got %s, %v\nwant x%s", got, err, tt.want)
			}
			if _, err := v.AppendJSON(nil, len(tt.want)-1); !errors.Is(err, php.ErrTooLarge) {
				t.Errorf("one byte less: %v", err)
			}
		})
	}
}

func TestSessionJSON(t *testing.T) {
	for _, tt := range []struct {
		h          php.Handler
		data, want string
	}{
		{php.HandlerPHP, "", `{}`},
		{php.HandlerPHP, "0|i:1;", `{"0":1}`},
		{php.HandlerPHP, "a|a:0:{}", `{"a":[]}`},
		{php.HandlerSerialize, "N;", `{}`},
		{php.HandlerSerialize, "i:5;", `{}`},
		{php.HandlerSerialize, "a:1:{i:0;i:1;}", `{"0":1}`},
		{php.HandlerSerialize, `O:1:"A":1:{s:1:"b";i:1;}`, `{"b":1}`},
		{php.HandlerMsgpack, "*", `{}`},
	} {
		got, err := mustDecode(t, tt.h, tt.data).AppendSessionJSON(nil, 100)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s %q: %s, %v; want %s", tt.h, tt.data, got, err, tt.want)
		}
	}
}

func TestErrors(t *testing.T) {
	if _, err := php.Decode("wddx", []byte("x")); !errors.Is(err, php.ErrUnknownHandler) {
		t.Errorf("wddx: %v", err)
	}
	for _, tt := range []struct {
		h      php.Handler
		data   string
		offset int
	}{
		{php.HandlerPHP, `user_id|i:42;n|s:5:"ab`, 17},
		{php.HandlerPHP, `user_id|i:42;b`, 13},
		{php.HandlerSerialize, `a:1:{b:1;i:1;}`, 5},
		{php.HandlerBinary, "\x7fab", 0},
		{php.HandlerIgbinary, "\x00\x00\x00\x03\x00", 0},
		{php.HandlerIgbinary, "\x00\x00\x00\x02\x14\x01\x0e\x09\x00", 7},
	} {
		_, err := php.Decode(tt.h, []byte(tt.data))
		var syntax *php.SyntaxError
		if !errors.As(err, &syntax) || syntax.Offset != tt.offset || syntax.Format != tt.h {
			t.Errorf("%s %q: %v, want offset %d", tt.h, tt.data, err, tt.offset)
		}
	}
	// Only the class knows how many values its body holds, and so which value
	// the number 3 means.
	_, err := php.Decode(php.HandlerPHP, []byte(`a|C:1:"A":6:{a:0:{}}b|i:1;c|R:2;`))
	if !errors.Is(err, php.ErrAmbiguousReference) {
		t.Errorf("reference past a body: %v", err)
	}
	// A number too large for PHP's int is a string, and a string here is a class.
	v, err := php.UnserializeMsgpack([]byte("\x82\xc0\xcf\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02"))
	if err != nil || v.Class() != "18446744073709551615" {
		t.Errorf("class %q, %v", v.Class(), err)
	}
	if _, err := php.UnserializeMsgpack([]byte("\x81\xa1a")); err == nil {
		t.Error("half a msgpack map")
	}
	if _, err := php.UnserializeIgbinary([]byte("\x00\x00\x00\x02\x06\x2a\x00")); err == nil {
		t.Error("a byte behind an igbinary value")
	}
}

func TestUnserialize(t *testing.T) {
	v, err := php.UnserializeIgbinary([]byte("\x00\x00\x00\x02\x14\x01\x11\x01a\x06\x2a"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"a": int64(42)}, v.Any()); diff != "" {
		t.Error(diff)
	}
	v, err = php.UnserializeMsgpack([]byte("\x92\x01\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{int64(1), math.Inf(1)}, v.Any()); diff != "" {
		t.Error(diff)
	}
}

func TestGuess(t *testing.T) {
	for _, tt := range []struct {
		data string
		want []php.Handler
	}{
		{"", []php.Handler{"php", "php_serialize", "php_binary", "igbinary", "msgpack"}},
		{"user_id|i:42;", []php.Handler{"php"}},
		{"a:1:{s:1:\"a\";i:1;}", []php.Handler{"php_serialize"}},
		{"a:1:{s:1:\"a\";i:1;}\n", nil},
		{"\x07user_idi:42;", []php.Handler{"php_binary"}},
		{"\x00\x00\x00\x02\x14\x01\x11\x01a\x06\x2a", []php.Handler{"igbinary"}},
		{"\x81\xa1a\x01", []php.Handler{"msgpack"}},
		{`{"user":1}`, nil},
		{"i:5;", nil},
		{"*", nil},
	} {
		if diff := cmp.Diff(tt.want, php.Guess([]byte(tt.data))); diff != "" {
			t.Errorf("%q: %s", tt.data, diff)
		}
	}
}
