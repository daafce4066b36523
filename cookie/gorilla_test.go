package cookie_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"testing"

	"github.com/sessionbridge/sessionbridge/cookie"
)

// A Go application reads its cookie with net/http, and so does its stack.
func TestGorillaReadsAsNetHTTP(t *testing.T) {
	for _, header := range []string{
		"s=ABC", "s=ABC; s=DEF", "a=b; s=ABC", " s=ABC", "s =ABC", "s= ABC", "s=ABC ", `s="ABC"`, `s="ABC`, `s=A"BC`,
		"s=", `s=""`, "s", "s; s=ABC", "s=; s=ABC", `s=A\BC; s=DEF`, "s=A\xe9; s=DEF", "S=ABC", "s=A,B", "s=A%42C", "s==ABC", ";;s=ABC", "",
	} {
		jar := cookie.Jar{header, "s=SECOND"}
		r := http.Request{Header: http.Header{"Cookie": jar}}
		want, wantErr := r.Cookie("s")
		got, err := cookie.Gorilla("s").Opener.Open(jar, "s")
		if wantErr != nil || want.Value == "" {
			if !errors.Is(err, cookie.ErrNoCookie) || got.ID != "" {
				t.Errorf("%q: %+v, %v, want no cookie", header, got, err)
			}
		} else if err != nil || got.ID != want.Value || got.Signed {
			t.Errorf("%q: %+v, %v, want %q", header, got, err, want.Value)
		}
	}
}

func TestPlain(t *testing.T) {
	for header, want := range map[string]string{
		"s=ABC": "ABC", "a=b;\ts = ABC ; s=DEF": "ABC", "s=a%41": "a%41", `s="x"`: `"x"`,
		"s=": "", "s": "", "t=ABC": "", "s=; s=ABC": "",
	} {
		got, err := cookie.Plain().Open(cookie.Jar{header}, "s")
		if got.ID != want || got.Signed || (err != nil) != (want == "") || err != nil && !errors.Is(err, cookie.ErrNoCookie) {
			t.Errorf("%q: %+v, %v, want %q", header, got, err, want)
		}
	}
}

// The cookie of gorilla's CookieStore is no id: it is refused, not looked up.
func TestGorillaRefusesCookieStore(t *testing.T) {
	s := &spy{Store: expressLogin()}
	value := base64.URLEncoding.EncodeToString([]byte("1795344528|DX8EAQL_gAABEAEQ|\x0a\x39\xf8"))
	expect(t, newAuth(t, s, cookie.Gorilla("session")), handshake(t, "session="+value), rejected, "", value)
	if len(s.fetches) > 0 {
		t.Errorf("%d lookups", len(s.fetches))
	}
}
