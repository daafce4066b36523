package stores_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/internal/vectors"
	"github.com/sessionbridge/sessionbridge/stores"
)

func TestMarshal(t *testing.T) {
	checkSerialized(t, stores.Rails(), vectors.Read[frameworkValue](t, "marshal.json"))
}

func TestMarshalRefused(t *testing.T) {
	checkRefused(t, stores.Rails(), vectors.Read[frameworkValue](t, "marshal-refused.json"))
	_, _, err := stores.Rails().Decode([]byte("\x04\x08{\x06:\x06ao:\x06K\x00"))
	if err == nil || !strings.Contains(err.Error(), "cookies_serializer = :json") {
		t.Errorf("err = %v, want what to set", err)
	}
}

func TestMarshalBroken(t *testing.T) {
	for name, value := range map[string]string{
		"version":                "\x04\x09{\x00",
		"nothing":                "\x04\x08",
		"short string":           "\x04\x08{\x06\"\x06",
		"negative length":        "\x04\x08{\x06\"\xfa",
		"2^31 members":           "\x04\x08{\x04\xff\xff\xff\x7f",
		"2^31 items":             "\x04\x08{\x06\"\x00[\x04\xff\xff\xff\x7f",
		"2^31 digits":            "\x04\x08{\x06\"\x00l+\x04\xff\xff\xff\x7f",
		"more members than room": "\x04\x08{\x07\"\x00[\x0a" + "[\x0a[\x0a[\x0a00000",
		"link to nothing":        "\x04\x08{\x06\"\x00@\x0a",
		"symbol link to nothing": "\x04\x08{\x06\"\x00;\x06",
		"link to itself":         "\x04\x08{\x06\"\x00@\x00",
		"unknown type":           "\x04\x08{\x06\"\x00!",
		"bad float":              "\x04\x08{\x06\"\x00f\x070x",
		"bad sign":               "\x04\x08{\x06\"\x00l*\x00",
		"variables on a number":  "\x04\x08{\x06\"\x00Ii\x06\x00",
		"other subclass":         "\x04\x08{\x06\"\x00C:\x06K{\x00",
		"subclass of a number":   "\x04\x08{\x06\"\x00C:-ActiveSupport::HashWithIndifferentAccessi\x00",
	} {
		t.Run(name, func(t *testing.T) {
			if v, _, err := stores.Rails().Decode([]byte(value)); err == nil || errors.Is(err, stores.ErrNotFound) {
				t.Errorf("Decode = %v, %v, want an error", v, err)
			}
		})
	}
}

// The envelope that Rails puts around what it encrypts.
func TestRailsEnvelope(t *testing.T) {
	message := base64.StdEncoding.EncodeToString([]byte(`{"user_id":9007199254740993}`))
	for _, c := range []struct{ name, value, user, deadline string }{
		{"none", `{"user_id":42}`, "42", ""},
		{"message", `{"_rails":{"message":"` + message + `","exp":null,"pur":"cookie.s"}}`, "9007199254740993", ""},
		{"deadline", `{"_rails":{"message":"` + message + `","exp":"2026-11-22T12:30:46.000Z","pur":null}}`, "9007199254740993", "2026-11-22T12:30:46Z"},
		{"data", `{"_rails":{"data":{"user_id":7},"exp":"2026-11-22T12:30:46.000Z"}}`, "7", "2026-11-22T12:30:46Z"},
		{"Marshal", `{"_rails":{"message":"` + base64.StdEncoding.EncodeToString([]byte("\x04\x08{\x06\"\x0cuser_idi/")) + `"}}`, "42", ""},
		{"no object", `{"_rails":1}`, "", ""},
		{"no message", `{"_rails":{}}`, "", ""},
		{"bad deadline", `{"_rails":{"message":"` + message + `","exp":"soon"}}`, "", ""},
		{"bad base64", `{"_rails":{"message":"!"}}`, "", ""},
		{"line feed", `{"_rails":{"message":"` + message[:4] + `\n` + message[4:] + `"}}`, "", ""},
		{"no session", "\x07", "", ""},
		{"msgpack", "\x81\xa1a\x01", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, deadline, err := stores.Rails().Decode([]byte(c.value))
			if c.user == "" {
				if err == nil {
					t.Fatalf("Decode = %v, want an error", v.Map())
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if user, err := stores.UserID(v, "user_id"); user != c.user || err != nil {
				t.Errorf("UserID = %q, %v, want %q", user, err, c.user)
			}
			want, _ := time.Parse(time.RFC3339, c.deadline)
			if !deadline.Equal(want) {
				t.Errorf("deadline = %v, want %v", deadline, want)
			}
		})
	}
}

// Redis' key of a Rails session ends with a hash of its id, or used to end with
// the id.
func TestRailsRedisKeys(t *testing.T) {
	const private = "e27b5ced1c4a0c87ad27138b8ba28108311832c36ae19149bce7f062566b639f"
	const id = "9a864c84e3b0101f907ca763c7a29ec3"
	for prefix, want := range map[string][]string{
		"rack:session:":     {"rack:session:2::" + private, "rack:session:" + private, "rack:session:" + id},
		"myapp:session:2::": {"myapp:session:2::2::" + private, "myapp:session:2::" + private, "myapp:session:2::" + id},
	} {
		ks := stores.RailsRedisKeyspace()
		ks.Prefix = prefix
		var got []string
		for _, k := range ks.Keys(id) {
			got = append(got, k.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("keys (-want +got):\n%s", diff)
		}
	}
}

func TestKoaDeadline(t *testing.T) {
	at := time.UnixMilli(1795347083196)
	for _, c := range []struct {
		expire string
		now    time.Time
		over   bool
	}{
		{"1795347083196", at, false},
		{"1795347083196", at.Add(999 * time.Microsecond), false}, // Date.now() is still the same
		{"1795347083196", at.Add(time.Millisecond), true},
		{"1795347083196.9", at, false},
		{"1795347083196.9", at.Add(time.Millisecond), true},
		{"0", at, true}, {"-1", at, true}, {"-1e300", at, true},
		{"1e300", at, false}, {"null", at, false}, {`"1"`, at, false}, {"true", at, false}, {"[]", at, false},
	} {
		for _, codec := range []stores.Codec{stores.KoaSession(), stores.KoaSessionCookie()} {
			ks := stores.KoaRedisKeyspace()
			ks.Codec = codec
			_, err := ks.Decode(stores.Record{Found: true, Value: []byte(`{"user_id":42,"_expire":` + c.expire + `}`), TTL: -1}, c.now)
			if over := errors.Is(err, stores.ErrExpired); over != c.over || err != nil && !over {
				t.Errorf("_expire %s at %v: %v, want over: %v", c.expire, c.now, err, c.over)
			}
		}
	}
}

func TestKoaSessionCookieHides(t *testing.T) {
	for value, want := range map[string]string{
		`{"_expire":1e15,"a":1,"_maxAge":2,"b":{"_expire":3}}`: `{"a":1,"b":{"_expire":3}}`,
		` { "a" : 1 , "_session" : true } `:                    `{"a":1}`,
		`{"_\u0065xpire":1e15}`:                                `{}`,
		`{"a":1,"b":2}`:                                        `{"a":1,"b":2}`,
		`{}`:                                                   `{}`,
	} {
		v, _, err := stores.KoaSessionCookie().Decode([]byte(value))
		if err != nil {
			t.Errorf("Decode(%s): %v", value, err)
			continue
		}
		if got := string(printed(t, v)); got != want {
			t.Errorf("%s is shown as %s, want %s", value, got, want)
		}
	}
}

func TestCookieJSONDeadline(t *testing.T) {
	for expires, want := range map[string]int64{
		`"2026-11-22T10:00:00.000Z"`: 1795341600000, "1795341600000": 1795341600000, "null": -1, "0": -1, "{}": -1, "true": -1, "1e300": -1,
	} {
		_, deadline, err := stores.CookieJSON().Decode([]byte(`{"cookie":{"expires":` + expires + `}}`))
		if err != nil || want < 0 && !deadline.IsZero() || want >= 0 && deadline.UnixMilli() != want {
			t.Errorf("expires %s: %v, %v, want %d", expires, deadline, err, want)
		}
	}
	if _, _, err := stores.CookieJSON().Decode([]byte(`{"cookie":{"expires":"soon"}}`)); err == nil {
		t.Error("no error for an expires that is no date")
	}
}

const springID = "29fb8008-17e5-438c-923a-33048750f07c"

func springHash(more map[string]string) map[string]string {
	fields := map[string]string{"creationTime": "1795341000000", "lastAccessedTime": "1795341600000", "maxInactiveInterval": "1800"}
	for name, value := range more {
		fields[name] = value
	}
	return fields
}

func TestSpring(t *testing.T) {
	long := func(n string) string {
		return "\xac\xed\x00\x05sr\x00\x0ejava.lang.Long;\x8b\xe4\x90\xcc\x8f#\xdf\x02\x00\x01J\x00\x05valuexr\x00\x10java.lang.Number\x86\xac\x95\x1d\x0b\x94\xe0\x8b\x02\x00\x00xp" + n
	}
	seconds := "\xac\xed\x00\x05sr\x00\x11java.lang.Integer\x12\xe2\xa0\xa4\xf7\x81\x878\x02\x00\x01I\x00\x05valuexr\x00\x10java.lang.Number\x86\xac\x95\x1d\x0b\x94\xe0\x8b\x02\x00\x00xp\x00\x00\x07\x08"
	const ends = 1795341600000 + 1800000
	for _, c := range []struct {
		name     string
		fields   map[string]string
		want     string
		deadline int64 // -1: none
		err      string
	}{
		{"JSON", springHash(map[string]string{"sessionAttr:user_id": "42", "sessionAttr:a b": ` {"@class":"x", "y":[1]} `}), `{"a b":{"@class":"x","y":[1]},"user_id":42}`, ends, ""},
		{"no attributes", springHash(nil), `{}`, ends, ""},
		{"removed attribute", springHash(map[string]string{"sessionAttr:a": ""}), `{}`, ends, ""},
		{"big integer", springHash(map[string]string{"sessionAttr:user_id": "9007199254740993"}), `{"user_id":9007199254740993}`, ends, ""},
		{"Java's numbers", map[string]string{"lastAccessedTime": long("\x00\x00\x01\xa2\x02\xfb\xa8\x00"), "maxInactiveInterval": seconds}, `{}`, 0x1a202fba800 + 1800000, ""},
		{"Java's string", springHash(map[string]string{"sessionAttr:a": "\xac\xed\x00\x05t\x00\x0242"}), `{"a":"42"}`, ends, ""},
		{"typed long", map[string]string{"lastAccessedTime": `["java.lang.Long",1795341600000]`, "maxInactiveInterval": "1800"}, `{}`, ends, ""},
		{"never over", map[string]string{"lastAccessedTime": "1795341600000", "maxInactiveInterval": "-1"}, `{}`, -1, ""},
		{"over at once", map[string]string{"lastAccessedTime": "1795341600000", "maxInactiveInterval": "0"}, `{}`, 1795341600000, ""},
		{"no time", map[string]string{"maxInactiveInterval": "1800"}, "", 0, "lastAccessedTime"},
		{"no interval", map[string]string{"lastAccessedTime": "1795341600000"}, "", 0, "maxInactiveInterval"},
		{"a time of text", map[string]string{"lastAccessedTime": "soon", "maxInactiveInterval": "1800"}, "", 0, "lastAccessedTime"},
		{"Java's object", springHash(map[string]string{"sessionAttr:a": "\xac\xed\x00\x05sr\x00\x01A"}), "", 0, "springSessionDefaultRedisSerializer"},
		{"no JSON", springHash(map[string]string{"sessionAttr:a": "x"}), "", 0, "JSON"},
		{"two values", springHash(map[string]string{"sessionAttr:a": `1,"admin":true`}), "", 0, "JSON"},
		{"not UTF-8", springHash(map[string]string{"sessionAttr:a": "\"\xff\""}), "", 0, "UTF-8"},
		{"deep", springHash(map[string]string{"sessionAttr:a": strings.Repeat("[", 512) + strings.Repeat("]", 512)}), "", 0, "512"},
		{"another name", springHash(map[string]string{"sessionAttr:a\xff": "1"}), "", 0, "UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, deadline, err := stores.Spring().DecodeHash(c.fields)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("err = %v, want %q in it", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := string(printed(t, v)); got != c.want {
				t.Errorf("AppendJSON = %s, want %s", got, c.want)
			}
			if c.deadline < 0 && !deadline.IsZero() || c.deadline >= 0 && deadline.UnixMilli() != c.deadline {
				t.Errorf("deadline = %d, want %d", deadline.UnixMilli(), c.deadline)
			}
		})
	}
	if _, _, err := stores.Spring().DecodeHash(nil); !errors.Is(err, stores.ErrNotFound) {
		t.Errorf("an empty hash: %v, want ErrNotFound", err)
	}
	text, err := json.Marshal(springHash(map[string]string{"sessionAttr:user_id": "42"}))
	if err != nil {
		t.Fatal(err)
	}
	v, _, err := stores.Spring().Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"user_id": int64(42)}, v.Map()); diff != "" {
		t.Errorf("a hash as JSON (-want +got):\n%s", diff)
	}
	ks := stores.SpringKeyspace()
	if k := ks.Keys(springID)[0]; !k.Hash || k.String() != "spring:session:sessions:"+springID {
		t.Errorf("key = %+v", k)
	}
	if err := ks.ID.Check("expires:" + springID); err == nil {
		t.Error("the id of another key fits the rule")
	}
}

// Scalars as a Java runtime serialized them, and objects that are refused.
func TestJava(t *testing.T) {
	type value struct {
		frameworkValue
		Refused bool
	}
	for _, c := range vectors.Read[value](t, "java.json") {
		t.Run(c.Name, func(t *testing.T) {
			v, _, err := stores.Spring().DecodeHash(springHash(map[string]string{"sessionAttr:a": string(c.Value)}))
			if c.Refused {
				if err == nil {
					t.Fatalf("DecodeHash = %s, want an error", printed(t, v))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := vectors.JSON(t, []byte(`{"a":`+string(c.Want)+`}`))
			if diff := cmp.Diff(want, vectors.JSON(t, printed(t, v))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
