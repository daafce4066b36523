package cookie_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/internal/vectors"
	"github.com/sessionbridge/sessionbridge/stores"
)

// What a real PHP takes as the session id from each header. Where it takes one
// that it never makes itself, it is refused here.
func TestPHPCookieVerdicts(t *testing.T) {
	stricter := map[string]bool{
		"default/short": true, "default/dash-comma": true, "default/dots-slashes": true, "default/colon": true,
		"default/star": true, "default/dup-space": true, "default/tab": true, "default/percent-encoded-alnum": true,
		"strict/dots-slashes": true, "strict/plus": true, "strict/star": true, "strict/utf8": true,
		"strict/lock-suffix": true, "strict/long1000": true, "strict/tab": true, "strict/bad-percent": true,
		"strict/percent-encoded-alnum": true,
	}
	for _, c := range vectors.Read[struct {
		Name    string
		Headers []string
		ID      string
	}](t, "php-cookies.json") {
		t.Run(c.Name, func(t *testing.T) {
			opened, err := cookie.PHPPlain().Open(c.Headers, "PHPSESSID")
			if c.ID != "" {
				if opened.ID != c.ID || err != nil || opened.Signed {
					t.Fatalf("Open = %+v, %v, want PHP's id %.40q", opened, err, c.ID)
				}
			}
			m := stores.NewMemory()
			m.Set("PHPREDIS_SESSION:"+opened.ID, []byte("user_id|i:42;"), time.Hour)
			s := &spy{Store: m}
			h := handshake(t, c.Headers...)
			_, got, err := authenticate(t, newAuth(t, s, cookie.PHP()), h, c.ID[:len(c.ID)*min(1, len(c.ID)/10)])
			switch {
			case c.ID == "" && (got != rejected && got != noCredential || len(s.fetches) > 0):
				t.Errorf("%s (%v), and %d lookups, of what PHP does not take", got, err, len(s.fetches))
			case stricter[c.Name] && (got != rejected || !errors.Is(err, stores.ErrBadID) || len(s.fetches) > 0):
				t.Errorf("%s (%v), and %d lookups, want it refused", got, err, len(s.fetches))
			case c.ID != "" && !stricter[c.Name] && got != accepted:
				t.Errorf("%s (%v), want it accepted", got, err)
			}
		})
	}
}

// Further verdicts of PHP 8.2.
func TestPHPPlain(t *testing.T) {
	const (
		s    = "abcdefghij0123456789abcdef"
		o    = "zzzzzzzzzz0123456789abcdef"
		none = ""
	)
	for _, c := range []struct {
		name, cookie string
		jar          cookie.Jar
		want         string
	}{
		{"plain", "PHPSESSID", cookie.Jar{"PHPSESSID=" + s}, s},
		{"percent-encoded", "PHPSESSID", cookie.Jar{"PHPSESSID=%61b%2Cc%2c"}, "ab,c,"},
		{"broken escapes", "PHPSESSID", cookie.Jar{"PHPSESSID=%%41%4%zz%"}, "%A%4%zz%"},
		{"plus", "PHPSESSID", cookie.Jar{"PHPSESSID=a+b"}, "a+b"},
		{"encoded twice", "PHPSESSID", cookie.Jar{"PHPSESSID=%2541"}, "%41"},
		{"space before", "PHPSESSID", cookie.Jar{"x=1; \t\v\f PHPSESSID=" + s}, s},
		{"space behind", "PHPSESSID", cookie.Jar{"PHPSESSID=" + s + " "}, s + " "},
		{"quotes", "PHPSESSID", cookie.Jar{`PHPSESSID="` + s + `"`}, `"` + s + `"`},
		{"two equals signs", "PHPSESSID", cookie.Jar{"PHPSESSID==" + s}, "=" + s},
		{"empty pair", "PHPSESSID", cookie.Jar{"x;;=;PHPSESSID=" + s}, s},
		{"comma", "PHPSESSID", cookie.Jar{"x=1,PHPSESSID=" + s}, none},
		{"no-break space", "PHPSESSID", cookie.Jar{"\xa0PHPSESSID=" + s}, none},
		{"name alone comes first", "PHPSESSID", cookie.Jar{"PHPSESSID; PHPSESSID=" + s}, none},
		{"empty comes first", "PHPSESSID", cookie.Jar{"PHPSESSID=; PHPSESSID=" + s}, none},
		{"first of two", "PHPSESSID", cookie.Jar{"PHPSESSID=" + s + "; PHPSESSID=" + o}, s},
		{"first of two headers", "PHPSESSID", cookie.Jar{"PHPSESSID=" + s, "PHPSESSID=" + o}, s},
		{"logged out", "PHPSESSID", cookie.Jar{"PHPSESSID=deleted"}, none},
		{"array", "PHPSESSID", cookie.Jar{"PHPSESSID[a]=" + s}, none},
		{"array first", "PHPSESSID", cookie.Jar{"PHPSESSID[a]=1; PHPSESSID=" + s}, none},
		{"array last", "PHPSESSID", cookie.Jar{"PHPSESSID=" + s + "; PHPSESSID[a]=1"}, none},
		{"unclosed bracket", "PHPSESSID", cookie.Jar{"PHPSESSID[=1; PHPSESSID=" + s}, s},
		{"closing bracket", "PHPSESSID", cookie.Jar{"PHPSESSID]=1; PHPSESSID=" + s}, s},
		{"encoded name", "PHPSESSID", cookie.Jar{"PHPSESS%49D=" + s}, none},
		{"dot in the name", "APP_SESS", cookie.Jar{"APP.SESS=" + s + "; APP_SESS=" + o}, s},
		{"space in the name", "APP_SESS", cookie.Jar{"APP SESS=" + s + "; APP_SESS=" + o}, s},
		{"bracket in the name", "APP_SESS", cookie.Jar{"APP[SESS=" + s + "; APP_SESS=" + o}, s},
		{"dot in a later name", "APP_SESS", cookie.Jar{"APP_SESS=" + s + "; APP.SESS=" + o}, s},
		{"more in the name", "APP_SESS", cookie.Jar{"APP[SESS.x=" + s}, none},
		{"array of another name", "APP_SESS", cookie.Jar{"APP_SESS [a]=" + o + "; APP_SESS=" + s}, s},
		{"__Host-", "__Host-S", cookie.Jar{"__Host-S=" + s}, s},
		{"feigned __Host-", "__Host-S", cookie.Jar{"..Host-S=" + s}, none},
		{"feigned __Secure-", "__Secure-S", cookie.Jar{"_.Secure-S=" + s}, none},
	} {
		t.Run(c.name, func(t *testing.T) {
			opened, err := cookie.PHPPlain().Open(c.jar, c.cookie)
			if c.want == none {
				if !errors.Is(err, cookie.ErrNoCookie) || opened.ID != "" {
					t.Errorf("= %+v, %v, want no cookie", opened, err)
				}
			} else if err != nil || opened.ID != c.want || opened.Signed {
				t.Errorf("= %+v, %v, want %q", opened, err, c.want)
			}
		})
	}
}

// An id that PHP does not make is never part of a key.
func TestPHPMalformedIDs(t *testing.T) {
	for name, id := range map[string]string{
		"lock key":      phpSID + "_LOCK",
		"another key":   "../" + phpSID,
		"glob":          strings.Repeat("*", 30),
		"NUL":           phpSID + "%00",
		"newline":       phpSID + "%0d%0aDEL x",
		"too short":     phpSID[:21],
		"too long":      strings.Repeat("a", 257),
		"far too long":  strings.Repeat("a", 1<<20),
		"signed cookie": "s:" + phpSID + ".x",
		"UTF-8":         phpSID + "é",
	} {
		s := &spy{Store: stores.NewMemory()}
		err := expect(t, newAuth(t, s, cookie.PHP()), handshake(t, "PHPSESSID="+id), rejected, "", phpSID, id)
		if len(s.fetches) > 0 || !errors.Is(err, stores.ErrBadID) {
			t.Errorf("%s: %v, after %d lookups", name, err, len(s.fetches))
		}
	}
}
