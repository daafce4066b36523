package stores_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/stores"
)

// BenchmarkUser reads the user out of a session of about 1 KB, with
// encoding/json's reading of the same into a map beside it.
func BenchmarkUser(b *testing.B) {
	text := strings.Repeat("lorem ipsum ", 70)
	asJSON := []byte(`{"cookie":{"originalMaxAge":3600000,"expires":"2099-11-22T11:32:52.721Z","httpOnly":true,"path":"/"},` +
		`"flash":{"info":["a","b"]},"csrf":"f00","note":"` + text + `","passport":{"user":42}}`)
	b.Run("encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var m map[string]any
			if err := json.Unmarshal(asJSON, &m); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, c := range []struct {
		name  string
		ks    stores.Keyspace
		value []byte
		path  string
	}{
		{"express", stores.ExpressKeyspace(), asJSON, "passport.user"},
		{"php", stores.PHPKeyspace(), []byte(`flash|a:1:{s:4:"info";a:2:{i:0;s:1:"a";i:1;s:1:"b";}}csrf|s:3:"f00";note|s:840:"` + text + `";user_id|i:42;`), "user_id"},
		{"gorilla", stores.GorillaKeyspace(), gobSession(b, map[any]any{"flash": []string{"a", "b"}, "csrf": "f00", "note": text, "user_id": 42}), "user_id"},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := record(c.value, 3600)
			b.ReportAllocs()
			for b.Loop() {
				s, err := c.ks.Decode(r, recorded)
				if err != nil {
					b.Fatal(err)
				}
				if user, err := stores.UserID(s, c.path); user != "42" {
					b.Fatal(user, err)
				}
			}
		})
	}
}

// BenchmarkRedis reads a session, with a bare GET beside it.
func BenchmarkRedis(b *testing.B) {
	opts := redisOptions(b, partstest.Redis(b).URL)
	ctx := context.Background()
	if err := newClient(b, opts).Set(ctx, "sess:x", strings.Repeat("x", 1000), 0).Err(); err != nil {
		b.Fatal(err)
	}
	b.Run("GET", func(b *testing.B) {
		client := newClient(b, opts)
		b.ReportAllocs()
		for b.Loop() {
			if err := client.Get(ctx, "sess:x").Err(); err != nil {
				b.Fatal(err)
			}
		}
	})
	for name, obeys := range map[string]bool{"store": false, "store-ContextTimeoutEnabled": true} {
		b.Run(name, func(b *testing.B) {
			o := *opts
			o.ContextTimeoutEnabled = obeys
			store := newRedis(b, newClient(b, &o), nil)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := store.Fetch(ctx, stores.Key{Prefix: "sess:", ID: "x"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
