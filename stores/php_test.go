package stores_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/stores"
	"github.com/sessionbridge/sessionbridge/stores/php"
)

func phpSession(tb testing.TB, h php.Handler, value string) stores.Values {
	tb.Helper()
	v, deadline, err := stores.PHP(h).Decode([]byte(value))
	if err != nil || !deadline.IsZero() {
		tb.Fatalf("Decode(%.100q): %v, %v", value, deadline, err)
	}
	return v
}

func TestPHPLookup(t *testing.T) {
	s := phpSession(t, php.HandlerPHP, `n|N;t|b:1;i|i:42;f|d:0.5;s|s:3:"abc";l|a:2:{i:0;s:1:"x";i:1;a:1:{s:1:"k";i:7;}}`+
		`a.b|i:1;o|O:4:"User":2:{s:2:"id";i:9;s:7:"`+"\x00*\x00name"+`";s:1:"z";}m|a:1:{i:5;i:6;}r|R:5;`)
	for _, c := range []struct {
		path string
		want any
		ok   bool
	}{
		{"n", nil, true},
		{"t", true, true},
		{"i", int64(42), true},
		{"f", 0.5, true},
		{"s", "abc", true},
		{"l", []any{"x", map[string]any{"k": int64(7)}}, true},
		{"l.0", "x", true},
		{"l.1.k", int64(7), true},
		{"l.2", nil, false},
		{`a\.b`, int64(1), true},
		{"a.b", nil, false},
		{"o", map[string]any{"id": int64(9), "name": "z"}, true},
		{"o.name", "z", true},
		{"m.5", int64(6), true},
		{"r", "abc", true},
		{"s.0", nil, false},
		{"I", nil, false},
		{"", s.Map(), true},
	} {
		if got, ok := s.Lookup(c.path); ok != c.ok || !cmp.Equal(got, c.want) {
			t.Errorf("Lookup(%q) = %#v, %v, want %#v, %v", c.path, got, ok, c.want, c.ok)
		}
	}
}

func TestPHPMap(t *testing.T) {
	for _, c := range []struct {
		handler php.Handler
		value   string
		want    map[string]any
	}{
		{php.HandlerPHP, "", map[string]any{}},
		{php.HandlerPHP, "a|i:1;b|N;", map[string]any{"a": int64(1), "b": nil}},
		{php.HandlerPHP, "a|i:1;a|i:2;", map[string]any{"a": int64(2)}},
		{php.HandlerSerialize, "", map[string]any{}},
		{php.HandlerSerialize, "N;", map[string]any{}},
		{php.HandlerSerialize, "i:1;", map[string]any{}},
		{php.HandlerSerialize, "a:0:{}", map[string]any{}},
		{php.HandlerSerialize, `a:2:{i:0;s:1:"x";i:1;i:2;}`, map[string]any{"0": "x", "1": int64(2)}},
		{php.HandlerSerialize, `O:1:"A":1:{s:1:"p";i:3;}`, map[string]any{"p": int64(3)}},
	} {
		if diff := cmp.Diff(c.want, phpSession(t, c.handler, c.value).Map()); diff != "" {
			t.Errorf("%s %q (-want +got):\n%s", c.handler, c.value, diff)
		}
	}
}

// Many variables, or one look at a large session, cost no more than the
// session is long.
func TestPHPCost(t *testing.T) {
	var b strings.Builder
	for i := range 20_000 {
		b.WriteString("v" + strconv.Itoa(i) + "|i:1;")
	}
	b.WriteString(`user_id|s:2:"42";big|s:4000000:"` + strings.Repeat("x", 4_000_000) + `";`)
	s := phpSession(t, php.HandlerPHP, b.String())
	if n := allocated(func() { s.Map() }); n > 32<<20 {
		t.Errorf("Map takes %d MiB", n>>20)
	}
	if n := allocated(func() { _, _ = stores.UserID(s, "user_id") }); n > 64<<10 {
		t.Errorf("UserID takes %d KiB", n>>10)
	}
}

func TestPHPErrors(t *testing.T) {
	ks := stores.PHPKeyspace()
	for _, value := range []string{`user_id|i:42`, `user_id|i: 42;`, "hunter2", `a|s:9:"hunter2";`, `a:1:{s:7:"user_id";i:42;}`, "\x00\xff"} {
		s, err := ks.Decode(record([]byte(value), -1), recorded)
		var decode *stores.DecodeError
		if s != nil || !errors.As(err, &decode) || decode.Codec != "php" || !strings.HasPrefix(err.Error(), "the session cannot be decoded as php: ") {
			t.Errorf("%q: %v, %v, want a DecodeError", value, s, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error %q repeats the session", err)
		}
	}
	// A session without variables is one, and nobody's.
	checkUser(t, ks, record(nil, 1440), "user_id", "")
}
