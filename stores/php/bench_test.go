package php

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/elliotchance/phpserialize"
)

// benchmark reads one realistic session, a shop's with a login, as real PHP
// wrote it in each format (testdata/session.gen.php).
func benchmark(b *testing.B, name string) []byte {
	b.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "session."+name))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	return data
}

func BenchmarkDecode(b *testing.B) {
	for _, h := range handlers {
		b.Run(string(h), func(b *testing.B) {
			data := benchmark(b, string(h))
			for b.Loop() {
				if _, err := Decode(h, data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodeAt(b *testing.B) {
	for _, h := range handlers {
		b.Run(string(h), func(b *testing.B) {
			data := benchmark(b, string(h))
			for b.Loop() {
				v, err := Decode(h, data)
				if err != nil {
					b.Fatal(err)
				}
				if id, ok := v.At("auth", "user", "id"); !ok || id.Int() != 4217 {
					b.Fatal("no user")
				}
			}
		})
	}
}

func BenchmarkDecodeAny(b *testing.B) {
	for _, h := range handlers {
		b.Run(string(h), func(b *testing.B) {
			data := benchmark(b, string(h))
			for b.Loop() {
				v, err := Decode(h, data)
				if err != nil {
					b.Fatal(err)
				}
				v.Any()
			}
		})
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	data := benchmark(b, "php")
	v, err := Decode(HandlerPHP, data)
	if err != nil {
		b.Fatal(err)
	}
	var out []byte
	for b.Loop() {
		if out, err = v.AppendSessionJSON(out[:0], 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}

// The two below are what the above is to be compared with: the same session as
// JSON, and the other Go package for php_serialize.

func BenchmarkCompareJSON(b *testing.B) {
	data := benchmark(b, "json")
	for b.Loop() {
		var v any
		if err := json.Unmarshal(data, &v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompareElliotchance(b *testing.B) {
	data := benchmark(b, "php_serialize")
	for b.Loop() {
		if _, err := phpserialize.UnmarshalAssociativeArray(data); err != nil {
			b.Fatal(err)
		}
	}
}
