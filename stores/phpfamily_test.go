package stores_test

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/sessionbridge/sessionbridge/stores"
	"github.com/sessionbridge/sessionbridge/stores/php"
)

// heldBy returns how many bytes f allocates, which is more than it ever holds.
func heldBy(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// No value of n bytes makes a codec of this family hold more than 64·n and
// 64 KiB, except what it decompresses to.
func TestPHPFamilyMemory(t *testing.T) {
	repeat := func(s string, n int) string { return strings.Repeat(s, n/len(s)) }
	const n = 100_000
	inner := map[string]string{
		"declared length":    `s:2147483647:"x";`,
		"declared count":     `a:2147483647:{i:0;i:1;}`,
		"levels":             repeat("a:1:{i:0;", n),
		"levels, closed":     strings.Repeat("a:1:{i:0;", 4090) + "i:1;" + strings.Repeat("}", 4090),
		"many small values":  fmt.Sprintf("a:%d:{%s}", n/8, repeatIndexed("i:%d;N;", n/8)),
		"many empty arrays":  fmt.Sprintf("a:%d:{%s}", n/8, repeatIndexed("i:%d;a:0:{}", n/8)),
		"references":         fmt.Sprintf("a:%d:{i:0;a:0:{}%s}", n/8, repeatIndexed("i:1%d;R:2;", n/8-1)),
		"JSON levels":        strings.Repeat("[", n),
		"JSON levels, valid": `{"_token":"",` + `"a":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + "}",
		"JSON small objects": `{"_token":"","a":[` + strings.TrimSuffix(repeat(`{"":0},`, n), ",") + "]}",
		"JSON empty lists":   `{"_token":"","a":[` + strings.TrimSuffix(repeat(`[],`, n), ",") + "]}",
		"JSON numbers":       `{"_token":"","a":[` + strings.TrimSuffix(repeat(`1,`, n), ",") + "]}",
		"JSON escapes":       `{"_token":"` + repeat(`\u0001`, n) + `"}`,
		"strings in strings": nested(n),
	}
	values := map[string][]byte{}
	for name, text := range inner {
		values[name] = []byte(text)
		values[name+", serialized"] = []byte(serialized(text))
		values[name+", by igbinary"] = append(binary.BigEndian.AppendUint32([]byte("\x00\x00\x00\x02\x13"), uint32(len(text))), text...)
		values[name+", by lzf"] = lzfLiteral(serialized(text))
	}
	values["igbinary that declares 4 GiB"] = []byte("\x00\x00\x00\x02\x13\xff\xff\xff\xff")
	values["msgpack that declares 4 GiB"] = []byte("\xdb\xff\xff\xff\xff")
	values["lz4 that declares 4 GiB"] = lz4Header(1<<32-1, []byte("\x00"))
	for codecName, codec := range map[string]stores.Codec{
		"laravel":           stores.Laravel(stores.LaravelFormat{}),
		"laravel, json":     stores.Laravel(stores.LaravelFormat{Serialization: "json"}),
		"laravel in cookie": stores.LaravelInCookie(stores.LaravelFormat{}),
		"json":              stores.PHPJSON(),
		"php, compressed":   stores.Compressed(stores.PHP(php.HandlerPHP), ""),
		"lzf":               stores.Compressed(stores.PHP(php.HandlerPHP), "lzf"),
		"lz4":               stores.Compressed(stores.PHP(php.HandlerPHP), "lz4"),
	} {
		for name, value := range values {
			held := heldBy(func() {
				v, _, err := codec.Decode(value)
				if err == nil {
					_, _ = v.Lookup("_token")
				}
			})
			if most := 64*uint64(len(value)) + 64<<10; held > most {
				t.Errorf("%s: %s: %d bytes take %d, want at most %d", codecName, name, len(value), held, most)
			}
		}
	}
}

func repeatIndexed(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// nested is a string in a string in a string, as deep as n bytes allow.
func nested(n int) string {
	s := ""
	for len(s) < n {
		s = serialized(s)
		if len(s) > 2000 {
			break
		}
	}
	return s
}

// Whatever a token's parts share, finding the user takes no more.
func TestSymfonyMemory(t *testing.T) {
	const n = 20_000
	ks := stores.SymfonyKeyspace()
	for name, token := range map[string]string{
		"references":     fmt.Sprintf(`O:1:"T":%d:{i:0;a:0:{}%s}`, n, repeatIndexed("i:1%d;R:2;", n-1)),
		"inside itself":  `O:1:"T":1:{i:0;a:1:{i:0;R:2;}}`,
		"many values":    fmt.Sprintf(`O:1:"T":%d:{%s}`, n, repeatIndexed("i:%d;N;", n)),
		"a bomb":         bomb(30),
		"a bomb of user": token("T", bomb(30)),
	} {
		value := []byte(symfonySession(map[string]string{"main": token}))
		held := heldBy(func() {
			if session, err := ks.Decode(record(value, -1), recorded); err == nil {
				_, _ = stores.SymfonyUser(session, "a.b")
			}
		})
		if most := 64*uint64(len(value)) + 64<<10; held > most {
			t.Errorf("%s: %d bytes take %d, want at most %d", name, len(value), held, most)
		}
	}
}

// bomb is an object whose parts double with each level when they are spelt out.
func bomb(levels int) string {
	s := `O:1:"B":2:{s:1:"a";i:1;s:1:"b";i:1;}`
	for i := range levels {
		s = fmt.Sprintf(`O:1:"B":2:{s:1:"a";%ss:1:"b";r:%d;}`, s, i+2)
	}
	return s
}
