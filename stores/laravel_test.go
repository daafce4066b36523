package stores_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sessionbridge/sessionbridge/internal/vectors"
	"github.com/sessionbridge/sessionbridge/stores"
	"github.com/sessionbridge/sessionbridge/stores/php"
)

const laravelUser = "login_web_59ba36addc2b2f9401580f014c7f58ea4e30989d"

// The verdicts of a real Laravel. Where it is a server error (500) the codec
// gives an error too; where Laravel goes on with an empty session because it
// cannot read what is there, so does the codec.
func TestLaravelValueVerdicts(t *testing.T) {
	ks := stores.LaravelKeyspace(nil)
	for _, c := range vectors.Read[struct {
		Name, User string
		Found      bool
		Value      []byte
		Status     int
	}](t, "laravel-values.json") {
		t.Run(c.Name, func(t *testing.T) {
			session, err := ks.Decode(stores.Record{Found: c.Found, Value: c.Value, TTL: time.Hour}, recorded)
			if !c.Found {
				if !errors.Is(err, stores.ErrNotFound) {
					t.Errorf("Decode = %v, want ErrNotFound", err)
				}
				return
			}
			if err != nil {
				if decodeErr := (*stores.DecodeError)(nil); !errors.As(err, &decodeErr) || c.User != "" {
					t.Errorf("Decode = %v; Laravel has status %d, user %q", err, c.Status, c.User)
				}
				return
			}
			user, err := stores.UserID(session, laravelUser)
			if c.Status != 200 || user != c.User || c.User == "" && !errors.Is(err, stores.ErrNoUser) {
				t.Errorf("UserID = %q, %v; Laravel has status %d, user %q", user, err, c.Status, c.User)
			}
		})
	}
}

// A session as Laravel has it before the cache and the client wrap it.
const (
	laravelPHP  = `a:2:{s:6:"_token";s:4:"abcd";s:50:"` + laravelUser + `";i:42;}`
	laravelJSON = `{"_token":"abcd","` + laravelUser + `":42}`
)

func serialized(s string) string { return fmt.Sprintf(`s:%d:"%s";`, len(s), s) }

// What the serializers of a phpredis client make of a string.
var clientSerializers = map[string]func(s string) string{
	"none": func(s string) string { return s },
	"php":  serialized,
	"igbinary": func(s string) string {
		return string(binary.BigEndian.AppendUint16([]byte("\x00\x00\x00\x02\x12"), uint16(len(s)))) + s
	},
	"msgpack": func(s string) string {
		return string(binary.BigEndian.AppendUint16([]byte("\xda"), uint16(len(s)))) + s
	},
	"json": func(s string) string {
		text, _ := json.Marshal(s)
		return string(text)
	},
}

func TestLaravelClientSerializers(t *testing.T) {
	pad := strings.Repeat("x", 200) // so that lengths take two bytes
	for format, inner := range map[string]string{
		"php":  strings.Replace(laravelPHP, `s:4:"abcd"`, serializedText(pad), 1),
		"json": strings.Replace(laravelJSON, "abcd", pad, 1),
	} {
		for client, wrap := range clientSerializers {
			// Laravel before 11.41 serializes before the client does.
			for when, value := range map[string]string{"before": wrap(serialized(inner)), "since": wrap(inner)} {
				if client == "none" && when == "since" {
					continue
				}
				t.Run(format+"/"+client+"/"+when, func(t *testing.T) {
					for _, f := range []stores.LaravelFormat{{}, {Serialization: format}, {Client: client}, {Serialization: format, Client: client, Compression: stores.CompressionNone}} {
						ks := stores.LaravelKeyspace(nil)
						ks.Codec = stores.Laravel(f)
						if err := ks.Validate(); err != nil {
							t.Fatal(err)
						}
						checkUser(t, ks, record([]byte(value), 100), laravelUser, "42")
					}
					other := "json"
					if format == other {
						other = "php"
					}
					for _, f := range []stores.LaravelFormat{{Serialization: other}, {Client: wrongClient(client)}} {
						if _, _, err := stores.Laravel(f).Decode([]byte(value)); err == nil {
							t.Errorf("%+v reads it", f)
						}
					}
				})
			}
		}
	}
}

func serializedText(s string) string { return strings.TrimSuffix(serialized(s), ";") }

// wrongClient is a serializer that cannot read what another wrote.
func wrongClient(client string) string {
	if client == "igbinary" {
		return "msgpack"
	}
	return "igbinary"
}

func TestLaravelValues(t *testing.T) {
	decrypt := func(payload string) ([]byte, error) {
		if payload == "eyBad" {
			return nil, errors.New("no key fits")
		}
		return []byte(serialized(strings.TrimPrefix(payload, "ey"))), nil
	}
	for _, c := range []struct {
		name, value string
		format      stores.LaravelFormat
		user        string // or
		err         string // part of the error
	}{
		{name: "php", value: serialized(laravelPHP), user: "42"},
		{name: "bytes behind both", value: serialized(laravelPHP+"x") + "x", user: "42"},
		{name: "json", value: serialized(laravelJSON), user: "42"},
		{name: "json with an id that no float64 holds", value: serialized(strings.Replace(laravelJSON, "42", "1234567890123456789", 1)), user: "1234567890123456789"},
		{name: "an empty json session", value: serialized("[]"), format: stores.LaravelFormat{Serialization: "json"}},
		{name: "json without _token", value: serialized(`{"` + laravelUser + `":42}`), err: "_token"},
		{name: "json without _token, set", value: serialized(`{"` + laravelUser + `":42}`), format: stores.LaravelFormat{Serialization: "json"}, user: "42"},
		{name: "json in place of php", value: serialized(laravelJSON), format: stores.LaravelFormat{Serialization: "php"}, err: "set Serialization to json"},
		{name: "php in place of json", value: serialized(laravelPHP), format: stores.LaravelFormat{Serialization: "json"}, err: "set Serialization to php"},
		{name: "json cut off", value: serialized(laravelJSON[:20]), err: "not valid JSON"},
		{name: "php cut off", value: serialized(laravelPHP[:20]), err: "offset"},
		{name: "an object", value: serialized(`O:8:"stdClass":0:{}`), err: "neither"},
		{name: "no string", value: laravelPHP, err: "serialized string"},
		{name: "json without a string", value: laravelJSON, err: "serialized string"},
		{name: "php's own session", value: "user_id|i:42;", err: "serialized string"},
		{name: "empty"},
		{name: "null", value: "N;"},
		{name: "false", value: "b:0;"},
		{name: "true", value: "b:1;", err: "serialized string"},
		{name: "an empty string", value: `s:0:"";`},
		{name: "encrypted", value: serialized("ey" + laravelPHP), format: stores.LaravelFormat{Decrypt: decrypt}, user: "42"},
		{name: "encrypted json", value: serialized("ey" + laravelJSON), format: stores.LaravelFormat{Decrypt: decrypt}, user: "42"},
		{name: "encrypted with another key", value: serialized("eyBad"), format: stores.LaravelFormat{Decrypt: decrypt}, err: "no key fits"},
		{name: "encrypted, and no key", value: serialized("ey" + laravelPHP), err: "no key is given"},
		{name: "serialized three times", value: serialized(serialized(serialized(laravelPHP))), err: "neither"},
		{name: "serialized twice without a client serializer", value: serialized(serialized(laravelPHP)), format: stores.LaravelFormat{Client: "none"}, err: "neither"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ks := stores.LaravelKeyspace(nil)
			ks.Codec = stores.Laravel(c.format)
			if c.err == "" {
				checkUser(t, ks, record([]byte(c.value), 100), laravelUser, c.user)
				return
			}
			_, err := ks.Decode(record([]byte(c.value), 100), recorded)
			if decodeErr := (*stores.DecodeError)(nil); !errors.As(err, &decodeErr) || !strings.Contains(err.Error(), c.err) {
				t.Errorf("Decode = %v, want a DecodeError with %q", err, c.err)
			}
		})
	}
}

func TestLaravelFormatValidate(t *testing.T) {
	for _, c := range []struct {
		format stores.LaravelFormat
		want   string
	}{
		{stores.LaravelFormat{}, ""},
		{stores.LaravelFormat{Serialization: "json", Client: "igbinary", Compression: stores.CompressionLZ4}, ""},
		{stores.LaravelFormat{Serialization: "igbinary"}, "write php or json"},
		{stores.LaravelFormat{Client: "gob"}, "write none, php, igbinary, msgpack or json"},
		{stores.LaravelFormat{Compression: "gzip"}, "write lzf, lz4, zstd or none"},
		{stores.LaravelFormat{Client: "gob", Compression: stores.CompressionNone}, "write none, php"},
	} {
		ks := stores.LaravelKeyspace(nil)
		ks.Codec = stores.Laravel(c.format)
		if err := ks.Validate(); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: Validate = %v, want %q", c.format, err, c.want)
		}
	}
}

func TestLaravelKeys(t *testing.T) {
	ks := stores.LaravelKeyspace(nil)
	id := strings.Repeat("a", 40)
	var got []string
	for _, k := range ks.Keys(id) {
		got = append(got, strings.TrimSuffix(k.String(), id))
	}
	for _, want := range []string{
		"laravel_database_laravel_cache:", // 8
		"laravel_database_laravel_cache_", // 12
		"laravel-database-laravel-cache-", // the present skeleton
	} {
		if !strings.Contains(strings.Join(got, " "), want) {
			t.Errorf("%q is not among %q", want, got)
		}
	}
}

// The cookie driver's deadline: expires, in whole seconds, is still in time.
func TestLaravelInCookie(t *testing.T) {
	data, _ := json.Marshal(laravelPHP)
	expires := recorded.Unix()
	value := fmt.Appendf(nil, `{"data":%s,"expires":%d}`, data, expires)
	ks := stores.LaravelKeyspace(nil)
	ks.Codec = stores.LaravelInCookie(stores.LaravelFormat{})
	for after, want := range map[time.Duration]error{
		0:                        nil,
		999 * time.Millisecond:   nil,
		time.Second:              stores.ErrExpired,
		-24 * time.Hour:          nil,
		24 * 365 * 9 * time.Hour: stores.ErrExpired,
	} {
		session, err := ks.Decode(record(value, -1), recorded.Add(after))
		if !errors.Is(err, want) {
			t.Errorf("%v after: Decode = %v, want %v", after, err, want)
		}
		if err == nil && !session.Expires.Equal(recorded.Add(time.Second)) {
			t.Errorf("Expires = %v", session.Expires)
		}
	}
	for value, want := range map[string]error{
		`{"data":"x"}`:                  stores.ErrNotFound,
		`{"data":"x","expires":null}`:   stores.ErrNotFound,
		`{"data":"x","expires":"soon"}`: nil,
		`{"data":7,"expires":1}`:        nil,
		`{"expires":1}`:                 nil,
		`[]`:                            stores.ErrNotFound,
		`x`:                             nil,
	} {
		_, err := ks.Decode(record([]byte(value), -1), recorded)
		if decodeErr := (*stores.DecodeError)(nil); want == nil && !errors.As(err, &decodeErr) || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: Decode = %v, want %v", value, err, want)
		}
	}
}

func TestPHPJSON(t *testing.T) {
	for _, c := range []struct {
		value, printed string
		err            error // errors.ErrUnsupported: a DecodeError
	}{
		{`{"a": 1, "b": [ ]}`, `{"a":1,"b":[]}`, nil},
		{`[]`, `{}`, nil},
		{` [1, {"x":"a,b"}, [2]] `, `{"0":1,"1":{"x":"a,b"},"2":[2]}`, nil},
		{`{"n":9223372036854775807,"f":1.0}`, `{"n":9223372036854775807,"f":1.0}`, nil},
		{`{"s":"\ud83d\ude00"}`, `{"s":"\ud83d\ude00"}`, nil},
		{`{"s":"\ud83d"}`, "", errors.ErrUnsupported},
		{`{"s":"\ude00"}`, "", errors.ErrUnsupported},
		{`{"s":"\ud83d\u0041"}`, "", errors.ErrUnsupported},
		{`{"s":"\\ud83d"}`, `{"s":"\\ud83d"}`, nil},
		{"{\"s\":\"\xff\"}", "", errors.ErrUnsupported},
		{`{"a":1`, "", errors.ErrUnsupported},
		{`"a"`, "", errors.ErrUnsupported},
		{`7`, "", errors.ErrUnsupported},
		{``, "", stores.ErrNotFound},
		{`null`, "", stores.ErrNotFound},
		{`false`, "", stores.ErrNotFound},
		{`0`, "", stores.ErrNotFound},
		{`""`, "", stores.ErrNotFound},
		{strings.Repeat("[", 513) + strings.Repeat("]", 513), "", errors.ErrUnsupported},
	} {
		t.Run(c.value[:min(len(c.value), 30)], func(t *testing.T) {
			ks := stores.Keyspace{Codec: stores.PHPJSON()}
			session, err := ks.Decode(record([]byte(c.value), 100), recorded)
			if c.err != nil {
				if decodeErr := (*stores.DecodeError)(nil); !errors.Is(err, c.err) && !(c.err == errors.ErrUnsupported && errors.As(err, &decodeErr)) {
					t.Errorf("Decode = %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			printer := session.Values.(interface {
				AppendJSON(dst []byte, limit int) ([]byte, error)
			})
			text, err := printer.AppendJSON([]byte(">"), len(c.printed))
			if string(text) != ">"+c.printed || err != nil {
				t.Errorf("AppendJSON = %s, %v, want %s", text, err, c.printed)
			}
			if _, err := printer.AppendJSON(nil, len(c.printed)-1); !errors.Is(err, php.ErrTooLarge) {
				t.Errorf("AppendJSON with too little room = %v", err)
			}
		})
	}
}
