package cookie_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/internal/vectors"
	"github.com/sessionbridge/sessionbridge/stores"
)

// headers are all recorded Cookie headers.
func headers(tb testing.TB) (all []string) {
	tb.Helper()
	for _, file := range []string{"express-cookies.json", "php-cookies.json"} {
		for _, c := range vectors.Read[struct{ Headers []string }](tb, file) {
			all = append(all, c.Headers...)
		}
	}
	for _, file := range []string{"express.json", "php.json", "gorilla.json"} {
		for _, c := range vectors.Read[struct{ Header string }](tb, file) {
			all = append(all, c.Header)
		}
	}
	return all
}

// A Jar finds a cookie wherever net/http does, and in several headers as in
// one.
func FuzzJar(f *testing.F) {
	for _, h := range headers(f) {
		f.Add(h, "a=b")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if strings.ContainsAny(a+b, "\r\n") {
			t.Skip("no header has a line break")
		}
		jar := cookie.Jar{a, b}
		for _, name := range []string{"connect.sid", "PHPSESSID", "session-key", "a"} {
			got, ok := jar.Get(name)
			if !ok && got != "" || strings.Contains(got, ";") {
				t.Errorf("Get(%q) = %q, %v", name, got, ok)
			}
			if ok && !strings.Contains(a, got) && !strings.Contains(b, got) {
				t.Errorf("Get(%q) = %q, which was not sent", name, got)
			}
			if joined, ok2 := (cookie.Jar{a + "; " + b}).Get(name); joined != got || ok2 != ok {
				t.Errorf("Get(%q) = %q, %v of two headers, %q, %v of one", name, got, ok, joined, ok2)
			}
			if ok {
				continue
			}
			r := http.Request{Header: http.Header{"Cookie": jar}}
			if c, err := r.Cookie(name); err == nil && c.Value != "" {
				t.Errorf("net/http finds %q, the jar nothing", c.Value)
			}
		}
	})
}

// PHP's decoding is url.PathUnescape's where that succeeds.
func FuzzPHPPlain(f *testing.F) {
	for _, h := range headers(f) {
		f.Add(h)
	}
	f.Add("PHPSESSID=%%41%4%zz%")
	f.Fuzz(func(t *testing.T, header string) {
		opened, err := cookie.PHPPlain().Open(cookie.Jar{header}, "PHPSESSID")
		if err != nil {
			if !errors.Is(err, cookie.ErrNoCookie) || opened.ID != "" {
				t.Errorf("= %+v, %v", opened, err)
			}
			return
		}
		if opened.Signed || opened.Value != nil || opened.ID == "" {
			t.Errorf("= %+v", opened)
		}
		found := false
		for pair := range strings.SplitSeq(header, ";") {
			_, value, _ := strings.Cut(pair, "=")
			want, err := url.PathUnescape(value)
			found = found || err != nil || want == opened.ID
		}
		if !found {
			t.Errorf("%q was not sent", opened.ID)
		}
	})
}

// No cookie opens to an id unless its signature is right.
func FuzzExpressSigned(f *testing.F) {
	secrets := []string{"new-secret", "old-secret"}
	for _, h := range headers(f) {
		f.Add(h)
	}
	f.Add(`connect.sid="` + encoded("old-secret", "üñî✓") + `"`)
	opener := cookie.ExpressSigned(secrets...)
	f.Fuzz(func(t *testing.T, header string) {
		opened, err := opener.Open(cookie.Jar{header}, "connect.sid")
		if err != nil {
			if opened.ID != "" || opened.Signed {
				t.Errorf("= %+v, %v", opened, err)
			}
			return
		}
		if !opened.Signed || opened.Value != nil || !utf8.ValidString(opened.ID) {
			t.Errorf("= %+v", opened)
		}
		for pair := range strings.SplitSeq(header, ";") {
			if unescaped, err := url.PathUnescape(pair); err == nil {
				pair = unescaped
			}
			for _, s := range secrets {
				if strings.Contains(pair, signature(s, opened.ID)) {
					return
				}
			}
		}
		t.Errorf("%q opens to %q without its signature", header, opened.ID)
	})
}

// Whatever is sent, only a well-formed id is looked up.
func FuzzLookups(f *testing.F) {
	for _, h := range headers(f) {
		f.Add(h)
	}
	f.Fuzz(func(t *testing.T, header string) {
		for _, stack := range []cookie.Stack{cookie.PHP(), cookie.Gorilla("session-key"), cookie.Express("new-secret")} {
			s := &spy{Store: stores.NewMemory()}
			_, got, err := authenticate(t, newAuth(t, s, stack), handshake(t, header))
			for _, keys := range s.fetches {
				for _, k := range keys {
					signed := stack.Name == "express" && stores.CheckSigned(k.ID) == nil
					if !signed && stack.Keyspace.ID.Check(k.ID) != nil || k.Prefix != stack.Keyspace.Prefix {
						t.Errorf("%q is looked up under %q", k.ID, k.Prefix)
					}
				}
			}
			if got != noCredential && got != rejected {
				t.Errorf("%s (%v) of an empty store", got, err)
			}
		}
	})
}
