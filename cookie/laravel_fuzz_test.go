package cookie_test

import (
	"encoding/base64"
	"errors"
	"net/url"
	"runtime"
	"strings"
	"testing"

	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/internal/vectors"
)

// laravelSeeds are the cookie headers of all vectors.
func laravelSeeds(tb testing.TB) (headers []string) {
	tb.Helper()
	for _, l := range vectors.Read[laravelLogin](tb, "laravel.json") {
		headers = append(headers, l.Cookie)
	}
	for _, c := range vectors.Read[laravelCookieCase](tb, "laravel-cookies.json") {
		headers = append(headers, c.Cookie)
	}
	return headers
}

const laravelVectorKey = "base64:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

func FuzzLaravelOpen(f *testing.F) {
	for _, header := range laravelSeeds(f) {
		f.Add(header)
	}
	stacks := []cookie.Stack{
		cookie.Laravel(laravelVectorKey),
		cookie.Laravel(laravelVectorKey, laravelKey+"", strings.Repeat("x", 32)),
		cookie.LaravelCookieDriver(laravelVectorKey),
	}
	f.Fuzz(func(t *testing.T, header string) {
		for _, stack := range stacks {
			opened, err := stack.Opener.Open(cookie.Jar{header}, stack.Cookie)
			if err == nil {
				continue
			}
			if opened.ID != "" || opened.Value != nil {
				t.Errorf("%+v together with %v", opened, err)
			}
			if errors.Is(err, cookie.ErrNoCookie) {
				continue
			}
			for _, value := range cookieValues(header) {
				if len(value) > 20 && strings.Contains(err.Error(), value) {
					t.Errorf("the error holds a cookie's value: %v", err)
				}
			}
		}
	})
}

// FuzzLaravelPayload gives any text a valid MAC, so that everything behind the
// MAC is reached: what Laravel's Encrypter made must come out, and nothing may
// panic.
func FuzzLaravelPayload(f *testing.F) {
	seeds := 0
	for _, header := range laravelSeeds(f) {
		for _, value := range cookieValues(header) {
			value, err := url.PathUnescape(value)
			if err != nil {
				continue
			}
			if text, err := base64.StdEncoding.DecodeString(value); err == nil {
				f.Add(string(text))
				seeds++
			}
		}
	}
	if seeds == 0 {
		f.Fatal("no seeds")
	}
	e := cookie.NewLaravelEncrypter(laravelKey)
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = e.Decrypt(base64.StdEncoding.EncodeToString([]byte(text)))
		if plain, err := e.Decrypt(sealLaravel(laravelKey, text)); err != nil || string(plain) != text {
			t.Errorf("Decrypt = %q, %v, want %q", plain, err, text)
		}
		_, _ = e.Decrypt(payloadCBC(laravelKey, "c2l4dGVlbiBieXRlcyBpdg==", text, `"x":1`))
	})
}

// No cookie of n bytes makes the opener hold more than 64·n and 64 KiB.
func TestLaravelMemory(t *testing.T) {
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	e := cookie.NewLaravelEncrypter(laravelKey)
	for name, payload := range map[string]string{
		"levels":         b64(strings.Repeat("[", 50_000)),
		"levels of maps": b64(strings.Repeat(`{"":`, 50_000)),
		"small members":  b64(`{"a":1` + strings.Repeat(`,"a":1`, 20_000) + "}"),
		"many members":   b64(`{"a":1` + manyMembers(10_000) + "}"),
		"escapes":        b64(`{"iv":"` + strings.Repeat(`\u0041`, 10_000) + `","value":"","mac":""}`),
		"padding":        strings.Repeat("=", 100_000),
		"nothing of it":  strings.Repeat("!", 100_000),
		"a long value":   payloadCBC(laravelKey, "c2l4dGVlbiBieXRlcyBpdg==", strings.Repeat("A", 100_000), `"x":1`),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = e.Decrypt(payload)
		runtime.ReadMemStats(&after)
		held, most := after.TotalAlloc-before.TotalAlloc, 64*uint64(len(payload))+64<<10
		if held > most {
			t.Errorf("%s: %d bytes take %d, want at most %d", name, len(payload), held, most)
		}
	}
}

func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`,"` + string(rune('a'+i%26)) + strings.Repeat(string(rune('a'+i/26%26)), 1+i/676) + `":1`)
	}
	return b.String()
}
