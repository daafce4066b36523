package cookie_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/internal/vectors"
	"github.com/sessionbridge/sessionbridge/stores"
)

// signature is what cookie-signature makes.
func signature(secret, id string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(id))
	return base64.RawStdEncoding.EncodeToString(mac.Sum(nil))
}

// encoded is a cookie's value as express-session writes it.
func encoded(secret, id string) string {
	return strings.ReplaceAll(url.QueryEscape("s:"+id+"."+signature(secret, id)), "+", "%20")
}

// The verdicts of a real express-session. What it does not accept is a cookie
// that is forged, or one that proves nothing.
func TestExpressCookieVerdicts(t *testing.T) {
	proveNothing := map[string]bool{"case-name": true, "empty": true, "comma-separated": true, "unknown-sid-validly-signed": true}
	store := expressLogin()
	store.Set("sess:"+sid2, []byte(login42), time.Hour)
	for _, c := range vectors.Read[struct {
		Name    string
		Headers []string
		Status  int
		ID      string
	}](t, "express-cookies.json") {
		t.Run(c.Name, func(t *testing.T) {
			want := rejected
			switch {
			case c.Status != 200:
				want = unknown
			case c.ID != "":
				want = accepted
			case proveNothing[c.Name]:
				want = noCredential
			}
			a := newAuth(t, store, cookie.Express("new-secret", "old-secret"))
			h := handshake(t, c.Headers...)
			expect(t, a, h, want, "42", sid, "new-secret", "old-secret", c.Headers[0])
			if id, _ := a.Authenticate(t.Context(), h); id != nil && !strings.HasSuffix(id.Key, "/sess:"+c.ID) {
				t.Errorf("another session than %q", c.ID)
			}
		})
	}
}

// Further verdicts, of the packages cookie 0.7.2 and cookie-signature 1.0.7
// under Node.
func TestExpressSigned(t *testing.T) {
	const secret = "new-secret"
	good := encoded(secret, sid)
	raw := "s:" + sid + "." + signature(secret, sid)
	sign := func(id string) string { return "s:" + id + "." + signature(secret, id) }
	// The last of 43 characters carries two bits that are not used.
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", raw[len(raw)-1])
	sibling := "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[last^1]
	slashed := "a" // an id whose signature has what base64url writes otherwise
	for !strings.ContainsAny(signature(secret, slashed), "+/") {
		slashed += "a"
	}
	const none = "\x00none"
	for _, c := range []struct {
		name string
		jar  cookie.Jar
		want string // the id; "" is rejected, none no cookie
	}{
		{"encoded", cookie.Jar{"connect.sid=" + good}, sid},
		{"raw", cookie.Jar{"connect.sid=" + raw}, sid},
		{"quoted", cookie.Jar{`connect.sid="` + good + `"`}, sid},
		{"quoted raw", cookie.Jar{`connect.sid="` + raw + `"`}, sid},
		{"quoted, space around", cookie.Jar{`connect.sid= "` + good + `" `}, sid},
		{"space within quotes", cookie.Jar{`connect.sid=" ` + good + `"`}, ""},
		{"opening quote only", cookie.Jar{`connect.sid="` + good}, ""},
		{"opening quote and another end", cookie.Jar{`connect.sid="` + good + "x"}, ""},
		{"closing quote only", cookie.Jar{"connect.sid=" + good + `"`}, ""},
		{"one quote mark", cookie.Jar{`connect.sid="`}, none},
		{"empty quotes", cookie.Jar{`connect.sid=""; connect.sid=` + good}, none},
		{"name alone", cookie.Jar{"connect.sid; connect.sid=" + good}, sid},
		{"no name", cookie.Jar{"=x; connect.sid=" + good}, sid},
		{"first is empty", cookie.Jar{"connect.sid=; connect.sid=" + good}, none},
		{"semicolon within quotes", cookie.Jar{`x="a;connect.sid=` + good}, sid},
		{"second header", cookie.Jar{"a=b", "connect.sid=" + good}, sid},
		{"forged first header", cookie.Jar{"connect.sid=s:x.y", "connect.sid=" + good}, ""},
		{"tabs", cookie.Jar{"connect.sid\t=\t" + good + "\t"}, sid},
		{"vertical tab", cookie.Jar{"\vconnect.sid=" + good}, none},
		{"no-break space before the name", cookie.Jar{"\xa0connect.sid=" + good}, none},
		{"no-break space before the value", cookie.Jar{"connect.sid=\xa0" + good}, ""},
		{"equals sign in the value", cookie.Jar{"connect.sid=a=" + good}, ""},
		{"raw plus", cookie.Jar{"connect.sid=" + strings.ReplaceAll(good, "%2B", "+")}, sid},
		{"dots", cookie.Jar{"connect.sid=" + url.PathEscape(sign("a.b."))}, "a.b."},
		{"not ASCII", cookie.Jar{"connect.sid=" + encoded(secret, "üñî✓")}, "üñî✓"},
		{"Latin-1 bytes", cookie.Jar{"connect.sid=s:\xe9." + signature(secret, "é")}, "é"},
		{"Latin-1 bytes and escapes", cookie.Jar{"connect.sid=s%3A\xe9." + url.QueryEscape(signature(secret, "é"))}, "é"},
		{"UTF-8 bytes", cookie.Jar{"connect.sid=" + sign("é")}, ""},
		{"escape that is not UTF-8", cookie.Jar{"connect.sid=s%3A%E9." + signature(secret, "é")}, ""},
		{"escaped surrogate", cookie.Jar{"connect.sid=s%3A%ED%A0%80." + signature(secret, "\xed\xa0\x80")}, ""},
		{"overlong escape", cookie.Jar{"connect.sid=s%3A%C0%80." + signature(secret, "\x00")}, ""},
		{"padded", cookie.Jar{"connect.sid=" + good + "%3D"}, ""},
		{"padded raw", cookie.Jar{"connect.sid=" + raw + "="}, ""},
		{"other last bits", cookie.Jar{"connect.sid=" + raw[:len(raw)-1] + string(sibling)}, ""},
		{"base64url", cookie.Jar{"connect.sid=s:" + slashed + "." + strings.NewReplacer("+", "-", "/", "_").Replace(signature(secret, slashed))}, ""},
		{"signature in another case", cookie.Jar{"connect.sid=s:" + sid + "." + strings.ToUpper(signature(secret, sid))}, ""},
		{"truncated", cookie.Jar{"connect.sid=" + raw[:len(raw)-1]}, ""},
		{"empty signature", cookie.Jar{"connect.sid=s:" + sid + "."}, ""},
		{"no signature", cookie.Jar{"connect.sid=s:" + sid}, ""},
		{"no id", cookie.Jar{"connect.sid=s:." + signature(secret, "x")}, ""},
		{"only s:", cookie.Jar{"connect.sid=s%3A"}, ""},
		{"only a dot", cookie.Jar{"connect.sid=s%3A."}, ""},
		{"S:", cookie.Jar{"connect.sid=S" + raw[1:]}, ""},
		{"JSON cookie", cookie.Jar{`connect.sid=j:{"a":1}`}, ""},
		{"NUL behind", cookie.Jar{"connect.sid=" + good + "%00"}, ""},
		{"newline behind", cookie.Jar{"connect.sid=" + good + "%0A"}, ""},
		{"broken escape", cookie.Jar{"connect.sid=" + good + "%"}, ""},
		{"id of another", cookie.Jar{"connect.sid=s:" + sid2 + "." + signature(secret, sid)}, ""},
		{"another secret", cookie.Jar{"connect.sid=" + encoded("other", sid)}, ""},
		{"another name", cookie.Jar{"connect.sid2=" + good}, none},
		{"another case of the name", cookie.Jar{"Connect.sid=" + good}, none},
		{"no cookies", nil, none},
	} {
		t.Run(c.name, func(t *testing.T) {
			opened, err := cookie.ExpressSigned("newest", secret).Open(c.jar, "connect.sid")
			switch {
			case c.want == "" || c.want == none:
				if err == nil || errors.Is(err, cookie.ErrNoCookie) != (c.want == none) || opened.ID != "" || opened.Signed {
					t.Errorf("= %+v, %v", opened, err)
				}
			case err != nil || opened.ID != c.want || !opened.Signed || opened.Value != nil:
				t.Errorf("= %+v, %v, want %q", opened, err, c.want)
			}
			if err != nil && (strings.Contains(err.Error(), sid) || strings.Contains(err.Error(), secret)) {
				t.Errorf("error %q contains a secret", err)
			}
		})
	}
}

// A signed id may be anything but empty or long.
func TestExpressSignedIDs(t *testing.T) {
	for id, want := range map[string]verdict{
		"":                        rejected,
		"x":                       accepted,
		"../üñî✓ *\x00":           accepted,
		strings.Repeat("x", 1024): accepted,
		strings.Repeat("x", 1025): rejected,
	} {
		m := stores.NewMemory()
		m.Set("sess:"+id, []byte(login42), 0)
		s := &spy{Store: m}
		expect(t, newAuth(t, s, cookie.Express("secret")), handshake(t, "connect.sid="+encoded("secret", id)), want, "42")
		if (len(s.fetches) == 0) != (want == rejected) {
			t.Errorf("%.10q…: %d lookups", id, len(s.fetches))
		}
	}
}

func TestExpressRotation(t *testing.T) {
	for _, c := range []struct {
		name    string
		secrets []string
		signed  string
		want    verdict
	}{
		{"the only one", []string{"a"}, "a", accepted},
		{"the newest", []string{"b", "a"}, "b", accepted},
		{"an older", []string{"c", "b", "a"}, "a", accepted},
		{"one that is gone", []string{"c", "b"}, "a", rejected},
		{"part of one", []string{"ab"}, "a", rejected},
		{"longer than a block", []string{strings.Repeat("k", 200)}, strings.Repeat("k", 200), accepted},
		{"not ASCII", []string{"sécrèt✓"}, "sécrèt✓", accepted},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAuth(t, expressLogin(), cookie.Express(c.secrets...))
			expect(t, a, handshake(t, "connect.sid="+encoded(c.signed, sid)), c.want, "42", sid)
		})
	}
}
