package stores_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/stores"
)

func expressSession(t testing.TB, value string) stores.Values {
	t.Helper()
	v, _, err := stores.Express().Decode([]byte(value))
	if err != nil {
		t.Fatalf("Decode(%.100q): %v", value, err)
	}
	return v
}

func TestExpressDecodeErrors(t *testing.T) {
	nested := func(n int) string {
		return `{"cookie":{},"a":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `}`
	}
	absent := stores.ErrNotFound
	for _, c := range []struct {
		name, value string
		is          error  // ErrNotFound: no session
		want        string // what another error says; with neither it is a session
	}{
		{"object", `{"cookie":{}}`, nil, ""},
		{"white space around", " \t\r\n{ \"cookie\" : { } } \n", nil, ""},
		{"cookie is a list", `{"cookie":[]}`, nil, ""},
		{"cookie is false", `{"cookie":false}`, nil, ""},
		{"cookie is 0", `{"cookie":0}`, nil, ""},
		{"cookie is empty", `{"cookie":""}`, nil, ""},
		{"nested as deep as allowed", nested(512), nil, ""},
		{"brackets in a string", `{"cookie":{},"a":"` + strings.Repeat(`[\"{`, 600) + `"}`, nil, ""},

		{"empty", "", absent, ""},
		{"null", "null", absent, ""},
		{"false", "false", absent, ""},
		{"zero", "0", absent, ""},
		{"minus zero", "-0", absent, ""},
		{"zero with exponent", "0.0e5", absent, ""},
		{"so small that it is zero", "1e-400", absent, ""},
		{"empty string", `""`, absent, ""},
		{"null with white space", " null\n", absent, ""},

		{"white space only", " \n", nil, "not valid JSON"},
		{"truncated", `{"cookie":{}`, nil, "not valid JSON"},
		{"two values", `{"cookie":{}} {}`, nil, "not valid JSON"},
		{"byte order mark", "\ufeff" + `{"cookie":{}}`, nil, "not valid JSON"},
		{"NUL behind", `{"cookie":{}}` + "\x00", nil, "not valid JSON"},
		{"other white space", "\v" + `{"cookie":{}}`, nil, "not valid JSON"},
		{"no-break space", "\u00a0" + `{"cookie":{}}`, nil, "not valid JSON"},
		{"single quotes", `{'cookie':{}}`, nil, "not valid JSON"},
		{"trailing comma", `{"cookie":{},}`, nil, "not valid JSON"},
		{"comment", `{"cookie":{}}//`, nil, "not valid JSON"},
		{"leading zero", `{"cookie":{},"a":01}`, nil, "not valid JSON"},
		{"plus", `{"cookie":{},"a":+1}`, nil, "not valid JSON"},
		{"NaN", `{"cookie":{},"a":NaN}`, nil, "not valid JSON"},
		{"raw newline in a string", "{\"cookie\":{},\"a\":\"\n\"}", nil, "not valid JSON"},
		{"bad escape", `{"cookie":{},"a":"\x41"}`, nil, "not valid JSON"},
		{"string ends in a backslash", `{"cookie":{},"a":"\`, nil, "not valid JSON"},
		{"unclosed string", `"{`, nil, "not valid JSON"},
		{"closing first", `}{`, nil, "not valid JSON"},
		{"PHP", `user_id|i:42;`, nil, "not valid JSON"},
		{"Latin-1", "{\"cookie\":{},\"a\":\"\xe9\"}", nil, "not UTF-8"},
		{"encoded surrogate", "{\"cookie\":{},\"a\":\"\xed\xa0\x80\"}", nil, "not UTF-8"},
		{"overlong", "{\"cookie\":{},\"a\":\"\xc0\x80\"}", nil, "not UTF-8"},
		{"nested too deep", nested(513), nil, "512 levels"},
		{"very deep and unclosed", strings.Repeat("[", 1<<20), nil, "512 levels"},
		{"list", "[]", nil, "not an object"},
		{"string", `"x"`, nil, "not an object"},
		{"true", "true", nil, "not an object"},
		{"number", "1", nil, "not an object"},
		{"no cookie", `{"passport":{"user":42}}`, nil, `"cookie"`},
		{"cookie is null", `{"cookie":null}`, nil, `"cookie"`},
		{"cookie is a string", `{"cookie":"x"}`, nil, `"cookie"`},
		{"cookie is a number", `{"cookie":1}`, nil, `"cookie"`},
		{"cookie is true", `{"cookie":true}`, nil, `"cookie"`},
		{"cookie in another case", `{"Cookie":{}}`, nil, `"cookie"`},
		{"the last cookie counts", `{"cookie":{},"cookie":null}`, nil, `"cookie"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, deadline, err := stores.Express().Decode([]byte(c.value))
			switch {
			case c.is == nil && c.want == "":
				if v == nil || err != nil {
					t.Errorf("= %v, %v", v, err)
				}
			case v != nil || !deadline.IsZero() || err == nil || errors.Is(err, stores.ErrNotFound) != (c.is != nil) || !strings.Contains(err.Error(), c.want):
				t.Errorf("= %v, %v, %v", v, deadline, err)
			}
		})
	}
}

func TestExpressLookup(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		name, session, path string
		want                any
		ok                  bool
	}{
		{"number", `"a":{"b":42}`, "a.b", 42.0, true},
		{"minus zero", `"a":-0`, "a", math.Copysign(0, -1), true},
		{"beyond float64", `"a":1e400`, "a", inf, true},
		{"rounded", `"a":9007199254740993`, "a", 9007199254740992.0, true},
		{"null", `"a":null`, "a", nil, true},
		{"true", `"a":true`, "a", true, true},
		{"text", `"a":"é✓\n\"\\\u00e9"`, "a", "é✓\n\"\\é", true},
		{"surrogate pair", `"a":"\ud83d\ude00"`, "a", "😀", true},
		{"lone surrogate", `"a":"x\ud800"`, "a", "x\ufffd", true},
		{"list", `"a":[1,"x",null]`, "a", []any{1.0, "x", nil}, true},
		{"object", `"a":{"b":{}}`, "a", map[string]any{"b": map[string]any{}}, true},
		{"white space", ` "a" : { "b" : [ 1 , { "c" : 2 } ] } `, "a.b.1.c", 2.0, true},
		{"last of equal names", `"a":{"b":1},"a":{"b":2}`, "a.b", 2.0, true},
		{"only the last of equal names", `"a":{"b":1},"a":{}`, "a.b", nil, false},
		{"last of names equal by an escape", `"a":1,"\u0061":2`, "a", 2.0, true},
		{"escapes in a name", `"\u0061\n\"":1`, "a\n\"", 1.0, true},
		{"dot in a name", `"a.b":1,"a":{"b":2}`, `a\.b`, 1.0, true},
		{"another case", `"Passport":{"user":42}`, "passport.user", nil, false},
		{"__proto__", `"__proto__":{"passport":{"user":66}}`, "passport.user", nil, false},
		{"empty name", `"":{"":1}`, ".", 1.0, true},
		{"list index", `"a":[[10,20],30]`, "a.0.1", 20.0, true},
		{"list length", `"a":[10]`, "a.length", nil, false},
		{"index past the end", `"a":[10]`, "a.1", nil, false},
		{"negative index", `"a":[10]`, "a.-1", nil, false},
		{"index with plus", `"a":[10]`, "a.+0", nil, false},
		{"index with zero", `"a":[10,20]`, "a.01", nil, false},
		{"huge index", `"a":[10]`, "a.99999999999999999999", nil, false},
		{"empty list", `"a":[]`, "a.0", nil, false},
		{"into a scalar", `"a":"bcd"`, "a.0", nil, false},
		{"into null", `"a":null`, "a.b", nil, false},
		{"missing", `"a":1`, "b", nil, false},
		{"prefix of a name", `"ab":1`, "a", nil, false},
		{"a name as value", `"x":"a","y":["a",1]`, "a", nil, false},
		{"brackets in strings", `"x":"}]","y":["]","}"],"a":{"z":"{[","b":3}`, "a.b", 3.0, true},
		{"a string that ends in a backslash", `"x":"\\","a":{"y":"\\\\","b":5}`, "a.b", 5.0, true},
		{"escaped quotes", `"x":"\\\"}","a":4`, "a", 4.0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := expressSession(t, `{"cookie":{},`+c.session+`}`).Lookup(c.path)
			if ok != c.ok || !cmp.Equal(got, c.want) {
				t.Errorf("Lookup(%q) = %#v, %v, want %#v, %v", c.path, got, ok, c.want, c.ok)
			}
		})
	}
}

func TestExpressMap(t *testing.T) {
	const value = `{"cookie":{},"passport":{"user":42},"a":[1,{"b":null}],"a":2}`
	v := expressSession(t, value)
	var want map[string]any
	if err := json.Unmarshal([]byte(value), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, v.Map()); diff != "" {
		t.Errorf("Map (-want +got):\n%s", diff)
	}
	if whole, ok := v.Lookup(""); !ok || !cmp.Equal(whole, any(want)) {
		t.Errorf("Lookup of the whole = %v, %v", whole, ok)
	}
	v.Map()["cookie"] = 1
	if diff := cmp.Diff(want, v.Map()); diff != "" {
		t.Errorf("a caller's change stays (-want +got):\n%s", diff)
	}
}

// A lone surrogate has no text, so two users could share what stands for it.
func TestExpressUserWithoutText(t *testing.T) {
	user, err := stores.UserID(expressSession(t, `{"cookie":{},"passport":{"user":"\ud800"}}`), "passport.user")
	if user != "" || err == nil || errors.Is(err, stores.ErrNoUser) {
		t.Errorf("= %q, %v", user, err)
	}
}

// A session ends with its lifetime in Redis, which Express extends without
// writing cookie.expires anew; without a lifetime, at cookie.expires.
func TestExpressExpires(t *testing.T) {
	now := recorded // 10:00:00
	for _, c := range []struct {
		name, cookie string
		ttl          time.Duration
		want         time.Time // zero: no end
		is           error
	}{
		{"TTL only", `{}`, time.Hour, now.Add(time.Hour), nil},
		{"neither", `{}`, -1, time.Time{}, nil},
		{"null", `{"originalMaxAge":null,"expires":null}`, -1, time.Time{}, nil},
		{"false", `{"expires":false}`, -1, time.Time{}, nil},
		{"TTL of zero", `{}`, 0, now, nil},
		{"without TTL", `{"expires":"2026-11-22T10:30:00.000Z"}`, -1, now.Add(30 * time.Minute), nil},
		{"before the TTL", `{"originalMaxAge":1800000,"expires":"2026-11-22T10:30:00.000Z"}`, time.Hour, now.Add(time.Hour), nil},
		{"after the TTL", `{"originalMaxAge":7200000,"expires":"2026-11-22T12:00:00.000Z"}`, time.Hour, now.Add(time.Hour), nil},
		{"maxAge alone is no deadline", `{"originalMaxAge":1}`, time.Hour, now.Add(time.Hour), nil},
		{"HTTP date", `{"expires":"Sun, 22 Nov 2026 10:30:00 GMT"}`, -1, now.Add(30 * time.Minute), nil},
		{"another zone", `{"expires":"2026-11-22T11:30:00+01:00"}`, -1, now.Add(30 * time.Minute), nil},
		{"escaped", `{"expires":"2026-11-22T10\u003a30:00.000Z"}`, -1, now.Add(30 * time.Minute), nil},
		{"last of two", `{"expires":"2020-01-01T00:00:00Z","expires":"2026-11-22T10:30:00Z"}`, -1, now.Add(30 * time.Minute), nil},
		{"garbage", `{"expires":"garbage"}`, time.Hour, now.Add(time.Hour), nil},
		{"garbage without TTL", `{"expires":"garbage"}`, -1, time.Time{}, nil},
		{"number", `{"expires":1000}`, -1, time.Time{}, nil},
		{"object", `{"expires":{}}`, -1, time.Time{}, nil},
		{"in another place", `{"data":{"expires":"2020-01-01T00:00:00Z"}}`, -1, time.Time{}, nil},
		{"a millisecond left", `{"expires":"2026-11-22T10:00:00.001Z"}`, -1, now.Add(time.Millisecond), nil},
		{"now", `{"expires":"2026-11-22T10:00:00.000Z"}`, -1, time.Time{}, stores.ErrExpired},
		{"past, with TTL", `{"originalMaxAge":1800000,"expires":"2020-01-01T00:00:00.000Z"}`, time.Hour, now.Add(time.Hour), nil},
		{"past, without TTL", `{"expires":"2020-01-01T00:00:00.000Z"}`, -1, time.Time{}, stores.ErrExpired},
	} {
		t.Run(c.name, func(t *testing.T) {
			ks := stores.ExpressKeyspace()
			s, err := ks.Decode(stores.Record{Found: true, Value: []byte(`{"cookie":` + c.cookie + `}`), TTL: c.ttl}, now)
			switch {
			case c.is != nil:
				if s != nil || !errors.Is(err, c.is) {
					t.Errorf("= %v, %v, want %v", s, err, c.is)
				}
			case err != nil:
				t.Error(err)
			case !s.Expires.Equal(c.want):
				t.Errorf("Expires = %v, want %v", s.Expires, c.want)
			}
		})
	}
}
