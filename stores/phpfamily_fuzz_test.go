package stores_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/sessionbridge/sessionbridge/internal/vectors"
	"github.com/sessionbridge/sessionbridge/stores"
	"github.com/sessionbridge/sessionbridge/stores/php"
)

// checkCodec holds for every codec: a value or an error, and what is decoded
// can be looked at.
func checkCodec(t *testing.T, codec stores.Codec, value []byte) {
	t.Helper()
	v, _, err := codec.Decode(value)
	if err != nil {
		if v != nil {
			t.Errorf("%s: values together with %v", codec.Name(), err)
		}
		return
	}
	_, _ = v.Lookup("a.b")
	_ = v.Map()
	text, err := v.(interface {
		AppendJSON(dst []byte, limit int) ([]byte, error)
	}).AppendJSON(nil, 1<<20)
	if err == nil && (!json.Valid(text) || text[0] != '{') && !errors.Is(err, php.ErrTooLarge) {
		t.Errorf("%s: AppendJSON = %s", codec.Name(), text)
	}
}

func FuzzLaravelValue(f *testing.F) {
	for _, c := range vectors.Read[struct{ Value []byte }](f, "laravel-values.json") {
		f.Add(c.Value)
	}
	for _, wrap := range clientSerializers {
		f.Add([]byte(wrap(laravelPHP)))
		f.Add([]byte(wrap(laravelJSON)))
		f.Add([]byte(wrap(serialized(laravelPHP))))
	}
	open := func(payload string) ([]byte, error) { return []byte(payload[2:]), nil }
	codecs := []stores.Codec{
		stores.Laravel(stores.LaravelFormat{}),
		stores.Laravel(stores.LaravelFormat{Serialization: "json", Decrypt: open}),
		stores.Laravel(stores.LaravelFormat{Client: "msgpack", Compression: stores.CompressionNone}),
		stores.LaravelInCookie(stores.LaravelFormat{Decrypt: open}),
		stores.PHPJSON(),
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		for _, codec := range codecs {
			checkCodec(t, codec, value)
		}
	})
}

func FuzzSymfonyUser(f *testing.F) {
	for _, c := range vectors.Read[struct{ Token []byte }](f, "symfony-tokens.json") {
		f.Add(c.Token, "email")
	}
	f.Fuzz(func(t *testing.T, token []byte, path string) {
		session, _, err := stores.PHP(php.HandlerPHP).Decode([]byte(symfonySession(map[string]string{"main": string(token)})))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"", path} {
			if user, err := stores.SymfonyUser(session, path); (user == "") == (err == nil) {
				t.Errorf("SymfonyUser = %q, %v", user, err)
			}
		}
	})
}

func FuzzCompressed(f *testing.F) {
	for _, v := range vectors.Read[compressedVector](f, "compressed.json") {
		if value := v.bytes(f); len(value) < 4096 {
			f.Add(value)
		}
	}
	f.Add(lzfLiteral("user_id|i:42;"))
	f.Add(lz4Header(2, []byte("\x20a|")))
	f.Fuzz(func(t *testing.T, value []byte) {
		for _, method := range methods {
			checkCodec(t, stores.Compressed(stores.PHP(php.HandlerPHP), method), value)
		}
		// What LibLZF would have written comes back.
		if len(value) == 0 {
			return
		}
		text, err := json.Marshal(string(value))
		if err != nil {
			t.Fatal(err)
		}
		v, _, err := stores.Compressed(stores.PHPJSON(), stores.CompressionLZF).Decode(lzfLiteral(`{"a":` + string(text) + "}"))
		if err != nil {
			t.Fatal(err)
		}
		var want string
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		if got, _ := v.Lookup("a"); got != want {
			t.Errorf("lzf: %q, want %q", got, want)
		}
	})
}

func FuzzParseSavePath(f *testing.F) {
	for _, path := range []string{
		"tcp://127.0.0.1:6398?weight=1&prefix=A:, tcp://127.0.0.1:6397?weight=2&prefix=B:",
		"tcp://127.0.0.1:6398?database=2&prefix=sess:&timeout=2.5&weight=1",
		"unix:///run/redis.sock?auth[]=u&auth[]=p", "localhost", "tls://[::1]:1?prefix=%zz+",
	} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		servers, err := stores.ParseSavePath(path)
		if (err == nil) != (len(servers) > 0) {
			t.Errorf("ParseSavePath = %v, %v", servers, err)
		}
		for _, s := range servers {
			if s.Weight < 1 || s.Addr == "" || s.Database < 0 {
				t.Errorf("%+v", s)
			}
		}
	})
}
