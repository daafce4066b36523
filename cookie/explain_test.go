package cookie_test

import (
	"strings"
	"testing"

	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/stores"
)

// An error says what was seen and what to try, and nothing that may be data.
func TestErrorsTeach(t *testing.T) {
	const token = "q7Rk2mVZp0TqYh3xNd8w"
	at := func(origin string, headers ...string) map[string][]string {
		h := map[string][]string{"Cookie": headers}
		if origin != "" {
			h["Origin"] = []string{origin}
		}
		return h
	}
	inPHP := "PHPSESSID=" + phpSID
	for _, c := range []struct {
		name    string
		session string // "\x00" for none
		stack   cookie.Stack
		header  map[string][]string
		want    verdict
		says    string
		not     string
	}{
		{"no cookies", "\x00", cookie.PHP(), at(""), noCredential,
			`php: no cookie "PHPSESSID"; the request has none at all: check Domain, Path, Secure and SameSite`, ""},
		{"no cookies, page of this host", "\x00", cookie.PHP(), at("http://app.test:3000"), noCredential, "check Domain", ""},
		{"no cookies, page of another host", "\x00", cookie.PHP(), at("http://127.0.0.1:3000"), noCredential,
			`the page is of "http://127.0.0.1:3000", and cookies go only to the host that set them`, ""},
		{"other cookies", "\x00", cookie.PHP(), at("", "APPSESS=secret; lang=en"), noCredential, `no cookie "PHPSESSID"; the request has "APPSESS", "lang"`, "secret"},
		{"cookies whose names may be data", "\x00", cookie.PHP(), at("", "lang=en; "+token+"=1; noname"), noCredential, `the request has "lang", …`, token},
		{"nothing that can be told", "\x00", cookie.PHP(), at("", token+"=1"), noCredential, `the request has …`, token},
		{"PHP's mark of a logout", "\x00", cookie.PHP(), at("", "PHPSESSID=deleted"), noCredential, `no cookie "PHPSESSID"; the one that was sent stands for none`, ""},
		{"not a session id", "\x00", cookie.PHP(), at("", "PHPSESSID=abc"), rejected, "it is 3 bytes long, not 22 to 256; if the application makes such ids, set Keyspace.ID", ""},
		{"another secret", "\x00", cookie.Express("another"), at("", "connect.sid="+encoded("secret", sid)), rejected,
			"the signature does not fit the one secret; if the cookie is the application's, compare its name and secret with those set here", sid},
		{"unknown session", "\x00", cookie.PHP(), at("", inPHP), noCredential,
			`php: no such session under "PHPREDIS_SESSION:"; if the user is logged in, the application has another prefix, server or database`, phpSID},
		{"unknown session of Laravel's many prefixes", "\x00", cookie.LaravelCookieDriver("base64:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="), at("", "x=y"), noCredential, "no cookie", ""},
		{"user elsewhere", `auth|a:1:{s:4:"user";a:2:{s:2:"id";i:42;s:5:"email";s:3:"a@b";}}`, cookie.PHP(), at("", inPHP), noCredential,
			`nothing at "user_id"; if the user is logged in, set User to "auth.user.id" or "auth.user.email"`, "a@b"},
		{"a Laravel guard's user", `login_admin_59ba36addc2b2f9401580f014c7f58ea4e30989d|i:42;`, cookie.PHP(), at("", inPHP), noCredential,
			`set User to "login_admin_59ba36addc2b2f9401580f014c7f58ea4e30989d"`, ""},
		{"nobody", `cart|a:0:{}csrf|s:20:"` + token + `";`, cookie.PHP(), at("", inPHP), noCredential, `nothing at "user_id"; the session has "cart", "csrf"`, token},
		{"names that may be data", token + `|a:1:{s:2:"id";i:1;}lang|s:2:"en";`, cookie.PHP(), at("", inPHP), noCredential, `the session has "lang"`, token},
		{"nothing in it", "", cookie.PHP(), at("", inPHP), noCredential, `nothing at "user_id"`, "the session has"},
		{"too long to be searched", `uid|i:42;text|s:9000:"` + strings.Repeat("x", 9000) + `";`, cookie.PHP(), at("", inPHP), noCredential, `nothing at "user_id"`, "uid"},
		{"another handler", `a:1:{s:1:"a";i:1;}`, cookie.Express("secret"), at("", "connect.sid="+encoded("secret", sid)), unknown,
			"cannot be decoded as json: it is not valid JSON; it looks like php_serialize: set Keyspace.Codec to what the application writes", ""},
		{"JSON for PHP", `{"user_id":42}|`, cookie.PHP(), at("", inPHP), unknown, "cannot be decoded as php", "looks like"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := stores.NewMemory()
			if c.session != "\x00" {
				m.Set("PHPREDIS_SESSION:"+phpSID, []byte(c.session), 0)
				m.Set("sess:"+sid, []byte(c.session), 0)
			}
			h := handshake(t)
			h.Request.Header = c.header
			err := expect(t, newAuth(t, m, c.stack), h, c.want, "", c.not)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %q, want one with %q", err, c.says)
			}
		})
	}
}
