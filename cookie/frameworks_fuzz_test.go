package cookie_test

import (
	"crypto/hmac"
	"crypto/sha1" // it is what keygrip uses
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/securecookie"

	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/internal/vectors"
	"github.com/sessionbridge/sessionbridge/stores"
)

// fuzzOpener opens anything as the stacks of some names do, with their real
// cookies as seeds.
func fuzzOpener(f *testing.F, stacks ...string) {
	examples := map[string]frameworkCase{}
	for _, c := range vectors.Read[frameworkLogin](f, "framework-logins.json") {
		for _, name := range stacks {
			if c.Stack == name {
				examples[name] = c.frameworkCase
				f.Add(c.Cookie)
			}
		}
	}
	for _, c := range vectors.Read[frameworkVerdict](f, "framework-cases.json") {
		for _, name := range stacks {
			if c.Stack == name {
				examples[name] = c.frameworkCase
				f.Add(c.Cookie)
			}
		}
	}
	if len(examples) != len(stacks) {
		f.Fatalf("no seeds for one of %q", stacks)
	}
	var all []cookie.Stack
	for _, c := range examples {
		all = append(all, c.stack(f))
	}
	f.Fuzz(func(t *testing.T, header string) {
		for _, s := range all {
			openAnything(t, s, header)
		}
	})
}

func openAnything(t *testing.T, s cookie.Stack, header string) {
	t.Helper()
	opened, err := s.Opener.Open(cookie.Jar{header}, s.Cookie)
	switch {
	case err == nil && opened.Value == nil && opened.ID == "" && !opened.Signed:
		t.Errorf("%s opened nothing, and says no error", s.Name)
	case err == nil && opened.Value != nil && !opened.Signed:
		t.Errorf("%s opened a session that nothing vouches for", s.Name)
	case err != nil && (opened.Value != nil || opened.ID != ""):
		t.Errorf("%s: %+v together with %v", s.Name, opened, err)
	case errors.Is(err, cookie.ErrNoCookie) && !strings.Contains(err.Error(), s.Cookie):
		t.Errorf("%s: %v does not name the cookie", s.Name, err)
	}
	if err != nil {
		for _, part := range strings.FieldsFunc(header, func(r rune) bool { return strings.ContainsRune("=; \t\"", r) }) {
			if len(part) > 60 && strings.Contains(err.Error(), part) {
				t.Errorf("%s: the error holds a part of the cookie: %v", s.Name, err)
			}
		}
		return
	}
	if opened.Value != nil {
		_, _ = s.Keyspace.Decode(stores.Record{Found: true, Value: opened.Value, TTL: -1}, recordedAt)
	}
}

// cookieSafe reports whether a value stands in a cookie as it is.
func cookieSafe(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || strings.IndexByte(`",;\%`, s[i]) >= 0 {
			return false
		}
	}
	return s != ""
}

func FuzzKeygrip(f *testing.F) {
	fuzzOpener(f, "cookie-session", "koa-session", "koa-redis", "koa-generic", "koa-unsigned")
}

// What is signed as keygrip signs it opens, and nothing else.
func FuzzKeygripSigned(f *testing.F) {
	f.Add("29fb8008-17e5-438c-923a-33048750f07c", "key-old")
	f.Add(`a="b`, "")
	f.Fuzz(func(t *testing.T, id, key string) {
		if !cookieSafe(id) || len(id) > 60<<10 {
			return
		}
		mac := hmac.New(sha1.New, []byte(key))
		mac.Write([]byte("s=" + id))
		header := "s=" + id + "; s.sig=" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
		opened, err := cookie.KeygripID(cookie.Keygrip{Keys: []string{"new", key}}).Open(cookie.Jar{header}, "s")
		if err != nil || opened.ID != id || !opened.Signed {
			t.Errorf("Open = %+v, %v", opened, err)
		}
		if opened, err := cookie.KeygripID(cookie.Keygrip{Keys: []string{key + "x"}}).Open(cookie.Jar{header}, "s"); err == nil {
			t.Errorf("with another key: %+v", opened)
		}
	})
}

func FuzzFastify(f *testing.F) { fuzzOpener(f, "fastify", "fastify-prefix") }

func FuzzFastifySigned(f *testing.F) {
	f.Add("fRPSB4X5xUGDjn0R8DxKxzsJVOotQYXn", "s:", "secret")
	f.Fuzz(func(t *testing.T, id, prefix, secret string) {
		if !cookieSafe(prefix + id) {
			return
		}
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(id))
		header := "s=" + prefix + id + "." + base64.RawStdEncoding.EncodeToString(mac.Sum(nil))
		if opened, err := cookie.FastifySigned(prefix, secret).Open(cookie.Jar{header}, "s"); err != nil || opened.ID != id {
			t.Errorf("Open = %+v, %v", opened, err)
		}
		if opened, err := cookie.FastifySigned(prefix, secret+"x").Open(cookie.Jar{header}, "s"); err == nil {
			t.Errorf("with another secret: %+v", opened)
		}
	})
}

func FuzzFlask(f *testing.F) { fuzzOpener(f, "flask", "flask-session", "flask-signer") }

func FuzzDjango(f *testing.F) { fuzzOpener(f, "django", "django-cookie") }

func FuzzRails(f *testing.F) { fuzzOpener(f, "rails", "rails-redis", "rails-sealed") }

func FuzzSpring(f *testing.F) {
	for _, header := range []string{"SESSION=MjlmYjgwMDgtMTdlNS00MzhjLTkyM2EtMzMwNDg3NTBmMDdj", "SESSION=29fb8008-17e5-438c-923a-33048750f07c", "SESSION=!; SESSION=YQ=="} {
		f.Add(header)
	}
	s := cookie.Spring()
	f.Fuzz(func(t *testing.T, header string) { openSpring(t, s, header) })
}

func openSpring(t *testing.T, s cookie.Stack, header string) {
	t.Helper()
	if opened, err := s.Opener.Open(cookie.Jar{header}, s.Cookie); err == nil && opened.Signed {
		t.Errorf("Open = %+v, which nothing vouches for", opened)
	}
}

func FuzzSecureCookie(f *testing.F) {
	hash, block := []byte("0123456789abcdef0123456789abcdef"), []byte("0123456789abcdef")
	for _, key := range [][]byte{nil, block} {
		text, err := securecookie.New(hash, key).Encode("s", map[any]any{"user_id": 42})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	s := cookie.GorillaCookie("s", hash, block, hash, nil)
	f.Fuzz(func(t *testing.T, value string) {
		openAnything(t, s, "s="+value)
		// A session with the value in it comes back as it went in.
		text, err := securecookie.New(hash, block).Encode("s", map[any]any{"user_id": value})
		if err != nil {
			return // too long for a cookie
		}
		r := http.Request{Header: http.Header{"Cookie": {"s=" + text}}}
		opened, err := s.Opener.Open(cookie.JarOf(&r), "s")
		if err != nil {
			t.Fatal(err)
		}
		session, err := s.Keyspace.Decode(stores.Record{Found: true, Value: opened.Value, TTL: -1}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := session.Lookup("user_id"); got != value {
			t.Errorf("user_id = %q, want %q", got, value)
		}
	})
}

// No cookie of n bytes makes an opener hold more than 64·n and 64 KiB.
func TestFrameworkOpenersMemory(t *testing.T) {
	stacks := map[string]cookie.Stack{}
	for _, c := range vectors.Read[frameworkVerdict](t, "framework-cases.json") {
		stacks[c.Stack] = c.stack(t)
	}
	stacks["spring"] = cookie.Spring()
	stacks["gorilla"] = cookie.GorillaCookie("s", []byte("hash"), []byte("0123456789abcdef"))
	for name, s := range stacks {
		if _, err := s.Opener.Open(cookie.Jar{s.Cookie + "=AAAA--AAAAAAAAAAAAAAAA--AAAAAAAAAAAAAAAAAAAAAA=="}, s.Cookie); err == nil {
			continue // it takes anything; Rails derives its keys here, once
		}
		for _, value := range []string{
			strings.Repeat("A", 60_000), strings.Repeat("A", 200_000), strings.Repeat("=", 60_000), strings.Repeat(".", 60_000), strings.Repeat(":", 60_000),
			strings.Repeat("--", 30_000), strings.Repeat("%41", 20_000), strings.Repeat("\xff", 60_000), `"` + strings.Repeat(`\101`, 15_000) + `"`,
			strings.Repeat("A", 59_996) + "--AAAAAAAAAAAAAAAA--AAAAAAAAAAAAAAAAAAAAAA==",
		} {
			header := s.Cookie + "=" + value + "; " + s.Cookie + ".sig=" + value
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _ = s.Opener.Open(cookie.Jar{header}, s.Cookie)
			runtime.ReadMemStats(&after)
			if held, most := after.TotalAlloc-before.TotalAlloc, 64*uint64(len(header))+64<<10; held > most {
				t.Errorf("%s: %d bytes take %d, want at most %d", name, len(header), held, most)
			}
		}
	}
}
