package stores_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/stores"
)

func TestUserPaths(t *testing.T) {
	var many strings.Builder
	for i := range 200 {
		fmt.Fprintf(&many, `"m%d":{"user":"x"},`, i)
	}
	for _, c := range []struct {
		name, json string
		want       []string
	}{
		{"the likeliest first", `{"email":"a","id":1,"user":{"id":1,"name":"b"},"uid":2,"cart":{"id":3}}`, []string{"uid", "user.id", "email", "id", "cart.id"}},
		{"passport's", `{"cookie":{"path":"/"},"passport":{"user":42}}`, []string{"passport.user"}},
		{"a dot in a name", `{"my.app":{"user_id":"x"}}`, []string{`my\.app.user_id`}},
		{"nobody's", `{"user_id":null,"uid":false,"user":"","email":[]}`, []string{}},
		{"what no log should hold", `{"user\n":{"id":1},"` + strings.Repeat("x", 100) + `":{"uid":1}}`, []string{}},
		{"nothing", `{}`, []string{}},
		{"deep", `{"a":{"b":{"c":{"d":{"e":{"f":{"uid":1,"g":{"h":{"uid":2}}}}}}}}}`, []string{"a.b.c.d.e.f.uid"}},
		{"too long", `{"uid":1,"x":"` + strings.Repeat("x", 64<<10) + `"}`, []string{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, stores.UserPaths(decoded(t, c.json))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	if n := len(stores.UserPaths(decoded(t, "{"+many.String()+`"x":1}`))); n != 10 {
		t.Errorf("%d paths of many, want 10", n)
	}
}

func TestMembers(t *testing.T) {
	if diff := cmp.Diff([]string{"a.b", "c"}, stores.Members(decoded(t, `{"c":{"d":1},"a.b":null}`))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := stores.Members(decoded(t, `{"c":"`+strings.Repeat("x", 64<<10)+`"}`)); got != nil {
		t.Errorf("of a long session: %q", got)
	}
	if got := stores.Members(values{1}); len(got) == 0 {
		t.Error("of values without JSON: none")
	}
}

func decoded(t *testing.T, text string) stores.Values {
	t.Helper()
	v, _, err := stores.JSON().Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// What cannot be decoded is named, if it is known.
func TestDecodeErrorLike(t *testing.T) {
	for _, c := range []struct {
		name  string
		codec stores.Codec
		value string
		want  string
	}{
		{"php_serialize as JSON", stores.Express(), `a:1:{s:1:"a";i:1;}`, "php_serialize"},
		{"php as JSON", stores.Express(), "user_id|i:42;", "php"},
		{"JSON as gob", stores.Gorilla(nil), `{"user_id":42}`, "json"},
		{"igbinary as php", stores.PHP("php"), "\x00\x00\x00\x02\x14\x01\x11\x07user_id\x06*|", ""},
		{"igbinary as JSON", stores.JSON(), "\x00\x00\x00\x02\x14\x01\x11\x07user_id\x06*", "igbinary"},
		{"msgpack as JSON", stores.JSON(), "\x82\xc0\x01\xa1u\x2a", "msgpack"},
		{"damaged JSON", stores.JSON(), `{"user_id":42`, ""},
		{"JSON that is no Express session", stores.Express(), `{"user_id":42}`, ""},
		{"long", stores.JSON(), `a:1:{s:1:"a";s:70000:"` + strings.Repeat("x", 70000) + `";}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			ks := stores.Keyspace{Codec: c.codec}
			_, err := ks.Decode(stores.Record{Found: true, Value: []byte(c.value), TTL: -1}, time.Now())
			decode, ok := err.(*stores.DecodeError)
			if !ok || decode.Like != c.want {
				t.Errorf("error %v of %T, want one that is like %q", err, err, c.want)
			}
		})
	}
}
