package cookie_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/stores"
	"github.com/sessionbridge/sessionbridge/stores/php"
)

func TestNewRefuses(t *testing.T) {
	m := stores.NewMemory()
	for _, c := range []struct {
		name  string
		store stores.Store
		stack cookie.Stack
		set   func(*cookie.Stack)
		want  string
	}{
		{"no store", nil, cookie.PHP(), nil, "cookie: php: the store is nil"},
		{"nothing", m, cookie.Stack{}, nil, "cookie: the stack has no Name"},
		{"no name", m, cookie.PHP(), func(s *cookie.Stack) { s.Name = "" }, "no Name"},
		{"no cookie", m, cookie.PHP(), func(s *cookie.Stack) { s.Cookie = "" }, "cookie: php: the stack has no Cookie name"},
		{"no cookie of gorilla's", m, cookie.Gorilla(""), nil, "no Cookie name"},
		{"cookie with value", m, cookie.PHP(), func(s *cookie.Stack) { s.Cookie = "PHPSESSID=x" }, "no cookie can be called"},
		{"two cookies", m, cookie.PHP(), func(s *cookie.Stack) { s.Cookie = "a;b" }, "no cookie can be called"},
		{"cookie with a space", m, cookie.PHP(), func(s *cookie.Stack) { s.Cookie = " PHPSESSID" }, "no cookie can be called"},
		{"no opener", m, cookie.PHP(), func(s *cookie.Stack) { s.Opener = nil }, "no Opener"},
		{"no user", m, cookie.PHP(), func(s *cookie.Stack) { s.User = "" }, "no User path"},
		{"no secret", m, cookie.Express(), nil, "cookie: express: no secret"},
		{"empty secret", m, cookie.Express("a", ""), nil, "an empty secret signs for anybody"},
		{"no codec", m, cookie.PHP(), func(s *cookie.Stack) { s.Keyspace.Codec = nil }, "cookie: php: stores: the keyspace has no Codec"},
		{"no ID rule", m, cookie.PHP(), func(s *cookie.Stack) { s.Keyspace.ID = stores.IDRule{} }, "ID rule"},
		{"unknown handler", m, cookie.PHP(), func(s *cookie.Stack) { s.Keyspace.Codec = stores.PHP("yaml") }, "unknown session.serialize_handler"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.set != nil {
				c.set(&c.stack)
			}
			a, err := cookie.New(c.store, c.stack)
			if a != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("= %v, %v, want an error with %q", a, err, c.want)
			}
		})
	}
}

func TestStackFields(t *testing.T) {
	m := stores.NewMemory()
	m.Set("app:0123456789", []byte(`a:1:{s:4:"auth";a:1:{s:4:"u.id";s:4:"ada1";}}`), time.Hour)
	stack := cookie.PHP()
	stack.Name = "shop"
	stack.Cookie = "APPSESS"
	stack.Keyspace.Prefix = "app:"
	stack.Keyspace.ID = stores.IDRule{Min: 10, Max: 10, Chars: "0123456789"}
	stack.Keyspace.Codec = stores.PHP(php.HandlerSerialize)
	stack.User = `auth.u\.id`
	a := newAuth(t, m, stack)
	id, got, err := authenticate(t, a, handshake(t, "APPSESS=0123456789"))
	if got != accepted || id.User != "ada1" || id.Via != "shop" {
		t.Errorf("%+v, %v", id, err)
	}
	expect(t, a, handshake(t, "PHPSESSID=0123456789"), noCredential, "")

	stack.Opener = cookie.Plain()
	stack.FindUser = func(v stores.Values, path string) (string, error) {
		user, err := stores.UserID(v, path)
		return strings.ToUpper(user), err
	}
	stack.Keyspace.Prefix, stack.Keyspace.Alternatives = "new:", []string{"app:"}
	expect(t, newAuth(t, m, stack), handshake(t, "APPSESS=0123456789"), accepted, "ADA1")
	// A change after New changes nothing.
	stack = cookie.PHP()
	a = newAuth(t, m, stack)
	stack.Cookie = "other"
	expect(t, a, handshake(t, "other="+phpSID), noCredential, "")
}

func TestTraits(t *testing.T) {
	a := newAuth(t, stores.NewMemory(), cookie.PHP())
	if got := bridge.TraitsOf(a); !got.Ambient || got.Message {
		t.Errorf("a cookie's traits: %+v", got)
	}
	k, err := cookie.RedisKey(a)
	if err != nil {
		t.Fatal(err)
	}
	if got := bridge.TraitsOf(k); got.Ambient || !got.Message {
		t.Errorf("a message's traits: %+v", got)
	}
}
