package stores_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/internal/vectors"
	"github.com/sessionbridge/sessionbridge/stores"
)

// frameworkValue is a value that a serializer wrote, and what it stands for.
type frameworkValue struct {
	Name  string
	Value []byte
	Want  json.RawMessage
}

// printed gives a session as AppendJSON prints it.
func printed(tb testing.TB, v stores.Values) []byte {
	tb.Helper()
	p, ok := v.(interface {
		AppendJSON([]byte, int) ([]byte, error)
	})
	if !ok {
		tb.Fatalf("%T has no AppendJSON", v)
	}
	out, err := p.AppendJSON([]byte("> "), 1<<20)
	if err != nil {
		tb.Fatalf("AppendJSON: %v", err)
	}
	out, ok = bytes.CutPrefix(out, []byte("> "))
	if !ok || !json.Valid(out) {
		tb.Fatalf("AppendJSON = %q, which is no JSON", out)
	}
	return out
}

// checkSerialized decodes values and compares what is printed of them. Those
// that are no map are no session.
func checkSerialized(t *testing.T, codec stores.Codec, cases []frameworkValue) {
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			v, _, err := codec.Decode(c.Value)
			if c.Want[0] != '{' {
				if err == nil {
					t.Fatalf("Decode = %v, want an error", v.Map())
				}
				return
			}
			if err != nil {
				t.Fatalf("Decode: %v", err)
			}
			want := vectors.JSON(t, c.Want)
			if diff := cmp.Diff(want, vectors.JSON(t, printed(t, v))); diff != "" {
				t.Errorf("AppendJSON (-want +got):\n%s", diff)
			}
			if got, want := len(v.Map()), len(want.(map[string]any)); got != want {
				t.Errorf("Map has %d members, want %d", got, want)
			}
		})
	}
}

func checkRefused(t *testing.T, codec stores.Codec, cases []frameworkValue) {
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			v, _, err := codec.Decode(c.Value)
			if err == nil {
				t.Fatalf("Decode = %s, want an error", printed(t, v))
			}
			if errors.Is(err, stores.ErrNotFound) {
				t.Errorf("err = %v, which says that there is no session", err)
			}
		})
	}
}

func TestPickle(t *testing.T) {
	checkSerialized(t, stores.FlaskSession(), vectors.Read[frameworkValue](t, "pickle.json"))
}

func TestPickleRefused(t *testing.T) {
	checkRefused(t, stores.Django(), vectors.Read[frameworkValue](t, "pickle-refused.json"))
}

func TestMsgpack(t *testing.T) {
	checkSerialized(t, stores.FlaskSession(), vectors.Read[frameworkValue](t, "msgpack.json"))
}

func TestMsgpackRefused(t *testing.T) {
	checkRefused(t, stores.FlaskSession(), vectors.Read[frameworkValue](t, "msgpack-refused.json"))
}

// An object in a pickle is refused with what to set instead.
func TestPickleAdvice(t *testing.T) {
	for name, c := range map[string]struct {
		codec stores.Codec
		want  string
	}{
		"flask":         {stores.FlaskSession(), "Flask-Session 0.6"},
		"django":        {stores.Django(), "django_redis.serializers.json.JSONSerializer"},
		"django cookie": {stores.DjangoCookie(0), "SESSION_SERIALIZER to django.contrib.sessions.serializers.JSONSerializer"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := c.codec.Decode([]byte("\x80\x02}U\x01xcos\nsystem\ns."))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("err = %v, want %q in it", err, c.want)
			}
		})
	}
}

// Opcodes that no pickler writes for plain data, and broken pickles.
func TestPickleOpcodes(t *testing.T) {
	for _, c := range []struct{ name, pickle, want string }{
		{"DICT and LIST", "(U\x01a(K\x01K\x02ld.", `{"a":[1,2]}`},
		{"DUP and POP", "\x80\x02}U\x01aK\x0120s.", `{"a":1}`},
		{"POP takes a mark", "\x80\x02}U\x01aK\x01(0s.", `{"a":1}`},
		{"POP_MARK", "\x80\x02}U\x01aK\x01(NNN1s.", `{"a":1}`},
		{"memo out of order", "\x80\x02}U\x01ar\x07\x00\x00\x00K\x01s(j\x07\x00\x00\x00K\x02u.", `{"a":2}`},
		{"LONG4", "\x80\x02}U\x01a\x8b\x01\x00\x00\x00\xffs.", `{"a":-1}`},
		{"LONG1 of nothing", "\x80\x02}U\x01a\x8a\x00s.", `{"a":0}`},
		{"LONG1 of 8 bytes", "\x80\x02}U\x01a\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80s.", `{"a":-9223372036854775808}`},
		{"BINUNICODE8 and BINBYTES8", "\x80\x04}\x8d\x01\x00\x00\x00\x00\x00\x00\x00a\x8e\x01\x00\x00\x00\x00\x00\x00\x00bs.", `{"a":"b"}`},
		{"what follows is left alone", "\x80\x02}.garbage", `{}`},
		{"protocol 6", "\x80\x06}.", ""},
		{"no STOP", "\x80\x02}", ""},
		{"nothing", "\x80\x02.", ""},
		{"STOP after a mark", "\x80\x02}(.", ""},
		{"frame too long", "\x80\x04\x95\xff\x00\x00\x00\x00\x00\x00\x00}.", ""},
		{"memo of nothing", "\x80\x02h\x00.", ""},
		{"key without a value", "\x80\x02}(Nu.", ""},
		{"SETITEM on a list", "\x80\x02]NNs.", ""},
		{"APPEND to a tuple", "\x80\x02})Na.", ""},
		{"APPEND beyond a mark", "\x80\x02](a.", ""},
		{"unknown opcode", "\x80\x02!.", ""},
		{"persistent id", "\x80\x02}P1\ns.", ""},
		{"INST", "\x80\x02}U\x01a(ios\nsystem\ns.", ""},
		{"OBJ", "\x80\x02}U\x01a(cos\nsystem\nos.", ""},
		{"extension", "\x80\x02}U\x01a\x82\x01s.", ""},
		{"a class as value", "\x80\x02}U\x01acuuid\nUUID\ns.", ""},
		{"a UUID without a number", "\x80\x02}U\x01acuuid\nUUID\n)\x81s.", ""},
		{"a UUID beyond 128 bits", "\x80\x02}U\x01acuuid\nUUID\n)\x81}U\x03int\x8a\x12\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01sbs.", ""},
		{"month 13", "\x80\x02}U\x01acdatetime\ndate\nU\x04\x07\x00\x0d\x01\x85Rs.", ""},
		{"a function called", "\x80\x02}U\x01acbuiltins\neval\nU\x011\x85Rs.", ""},
		{"STACK_GLOBAL", "\x80\x04}\x8c\x01a\x8c\x02os\x8c\x06system\x93s.", ""},
		{"INT in hexadecimal", "}U\x01aI0x10\ns.", ""},
		{"FLOAT in hexadecimal", "}U\x01aF0x1p2\ns.", ""},
		{"INT of 3,000 digits", "}U\x01aI" + strings.Repeat("1", 3000) + "\ns.", ""},
		{"STRING without quotes", "}U\x01aSb\ns.", ""},
		{"STRING not ASCII", "}U\x01aS'\\xff'\ns.", ""},
		{"BINUNICODE not UTF-8", "\x80\x02}X\x01\x00\x00\x00\xffNs.", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, _, err := stores.FlaskSession().Decode([]byte(c.pickle))
			if c.want == "" {
				if err == nil {
					t.Fatalf("Decode = %s, want an error", printed(t, v))
				}
				return
			}
			if err != nil {
				t.Fatalf("Decode: %v", err)
			}
			if got := string(printed(t, v)); got != c.want {
				t.Errorf("AppendJSON = %s, want %s", got, c.want)
			}
		})
	}
}

// A name may be written by keys of several types; the string counts.
func TestPickleKeys(t *testing.T) {
	for name, pickle := range map[string]string{
		"string first": "\x80\x03}(X\x01\x00\x00\x001K\x01K\x01K\x02C\x011K\x03u.",
		"string last":  "\x80\x03}(K\x01K\x02C\x011K\x03X\x01\x00\x00\x001K\x01u.",
	} {
		t.Run(name, func(t *testing.T) {
			v, _, err := stores.Django().Decode([]byte(pickle))
			if err != nil {
				t.Fatal(err)
			}
			got, ok := v.Lookup("1")
			if got != int64(1) || !ok {
				t.Errorf("Lookup = %v, %v, want 1", got, ok)
			}
			if got := string(printed(t, v)); got != `{"1":1}` {
				t.Errorf("AppendJSON = %s", got)
			}
			if diff := cmp.Diff(map[string]any{"1": int64(1)}, v.Map()); diff != "" {
				t.Errorf("Map (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTreeLookup(t *testing.T) {
	v, _, err := stores.FlaskSession().Decode([]byte("\x82\xa1l\x93\xa1a\xc2\x81\xa3a.b\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xa1n\xc0"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path string
		want any
		ok   bool
	}{
		{"l.0", "a", true}, {"l.1", false, true}, {`l.2.a\.b`, uint64(math.MaxUint64), true}, {"n", nil, true},
		{"l.3", nil, false}, {"l.-1", nil, false}, {"l.00", nil, false}, {"l.x", nil, false}, {"n.x", nil, false}, {"x", nil, false},
	} {
		if got, ok := v.Lookup(c.path); got != c.want || ok != c.ok {
			t.Errorf("Lookup(%q) = %v, %v, want %v, %v", c.path, got, ok, c.want, c.ok)
		}
	}
	if user, err := stores.UserID(v, `l.2.a\.b`); user != "18446744073709551615" || err != nil {
		t.Errorf("UserID = %q, %v", user, err)
	}
	if got := string(printed(t, v)); got != `{"l":["a",false,{"a.b":18446744073709551615}],"n":null}` {
		t.Errorf("AppendJSON = %s", got)
	}
}

// Python's integers are exact, and its json module writes what JSON has not.
func TestPythonJSON(t *testing.T) {
	v, _, err := stores.Django().Decode([]byte(`{"id":9007199254740993, "n":[NaN,-Infinity,"NaN"], "big":100000000000000000000, "f":1.50, "s":"\ud800"}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(printed(t, v)), `{"id":9007199254740993,"n":["NAN","-INF","NaN"],"big":100000000000000000000,"f":1.50,"s":"`+"\ufffd"+`"}`; got != want {
		t.Errorf("AppendJSON = %s, want %s", got, want)
	}
	for path, want := range map[string]string{"id": "9007199254740993", "big": "100000000000000000000", "f": "1.5"} {
		if got, err := stores.UserID(v, path); got != want || err != nil {
			t.Errorf("UserID(%q) = %q, %v, want %q", path, got, err, want)
		}
	}
	if got := v.Map()["id"]; got != int64(9007199254740993) {
		t.Errorf("Map: id is %v", got)
	}
	for _, none := range []string{"", "null", "0", "false", `""`} {
		if _, _, err := stores.Django().Decode([]byte(none)); !errors.Is(err, stores.ErrNotFound) {
			t.Errorf("Decode(%q): %v, want ErrNotFound", none, err)
		}
	}
}

// The deadline of a signed cookie is to the second that the stack has.
func TestDjangoCookieDeadline(t *testing.T) {
	payload := base64.RawURLEncoding.EncodeToString([]byte(`{"_auth_user_id":"42"}`))
	value := []byte(payload + ":1xV59o") // 2026-11-22 10:50:52 UTC
	signed := time.Unix(1795344652, 0)
	for _, c := range []struct {
		maxAge time.Duration
		after  time.Duration
		over   bool
	}{
		{0, 14 * 24 * time.Hour, false}, {0, 14*24*time.Hour + time.Second, true}, {0, -time.Hour, false},
		{time.Hour, time.Hour, false}, {time.Hour, time.Hour + time.Millisecond, true},
	} {
		ks := stores.DjangoCookieKeyspace()
		ks.Codec = stores.DjangoCookie(c.maxAge)
		_, err := ks.Decode(stores.Record{Found: true, Value: value, TTL: -1}, signed.Add(c.after))
		if over := errors.Is(err, stores.ErrExpired); over != c.over || err != nil && !over {
			t.Errorf("%v after signing with %v: %v, want over: %v", c.after, c.maxAge, err, c.over)
		}
	}
	for _, bad := range []string{"", payload, payload + ":", payload + ":!", payload + ":zzzzzzzzz", "!:1xV59o", "." + payload + ":1xV59o"} {
		if _, _, err := stores.DjangoCookie(0).Decode([]byte(bad)); err == nil || errors.Is(err, stores.ErrNotFound) {
			t.Errorf("Decode(%q): %v, want an error", bad, err)
		}
	}
}

func TestFlaskTags(t *testing.T) {
	checkSerialized(t, stores.FlaskCookie(0), vectors.Read[frameworkValue](t, "flask-tags.json"))
	for _, bad := range []string{`{" t":1}`, `{"a":{" b":"!"}}`, `{"a":{" u":"1"}}`, `{"a":{" d":"soon"}}`, `{"a":{" di":{}}}`, `{"a":{" m":1}}`, `{" t":[1]}`} {
		if v, _, err := stores.FlaskCookie(0).Decode([]byte(bad)); err == nil {
			t.Errorf("Decode(%s) = %s, want an error", bad, printed(t, v))
		}
	}
}

func ExampleFlaskSession() {
	session, _, err := stores.FlaskSession().Decode([]byte("\x82\xa8_user_id\xa242\xa6_fresh\xc3"))
	if err != nil {
		fmt.Println(err)
		return
	}
	user, err := stores.UserID(session, "_user_id")
	fmt.Println(user, err)
	// Output: 42 <nil>
}
