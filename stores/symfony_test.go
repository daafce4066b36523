package stores_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sessionbridge/sessionbridge/internal/vectors"
	"github.com/sessionbridge/sessionbridge/stores"
)

// Tokens that real Symfonys serialized, inside a session.
func TestSymfonyTokens(t *testing.T) {
	ks := stores.SymfonyKeyspace()
	for _, c := range vectors.Read[struct {
		Name, Identifier, Class string
		Value                   []byte
	}](t, "symfony-tokens.json") {
		t.Run(c.Name, func(t *testing.T) {
			session, err := ks.Decode(record(c.Value, 1440), recorded)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"": "42", "id": "42", "email": c.Identifier, "_sf2_meta.c": ""}
			switch {
			case strings.HasSuffix(c.Name, "/inmemory"):
				want = map[string]string{"": c.Identifier, "username": c.Identifier}
			case strings.HasSuffix(c.Name, "/switchuser"): // the user that was switched to
				want = map[string]string{"": "7", "id": "7", "email": c.Identifier}
			}
			for path, user := range want {
				if got, err := stores.SymfonyUser(session, path); got != user || (err == nil) != (user != "") {
					t.Errorf("%q: SymfonyUser = %q, %v, want %q", path, got, err, user)
				}
			}
		})
	}
}

// symfonySession has serialized tokens, by the firewalls' names.
func symfonySession(tokens map[string]string) string {
	var b strings.Builder
	for name, token := range tokens {
		fmt.Fprintf(&b, `s:%d:"_security_%s";s:%d:"%s";`, 10+len(name), name, len(token), token)
	}
	return fmt.Sprintf("_sf2_attributes|a:%d:{%s}", len(tokens), b.String())
}

// token is a token of some class with its parent's state last.
func token(class, user string) string {
	return fmt.Sprintf(`O:%d:"%s":2:{i:0;s:4:"main";i:1;a:5:{i:0;%si:1;b:1;i:2;N;i:3;a:0:{}i:4;a:0:{}}}`, len(class), class, user)
}

func TestSymfonyUser(t *testing.T) {
	const (
		alice  = `s:5:"alice";`
		entity = `O:1:"U":2:{s:5:"` + "\x00U\x00" + `id";i:42;s:5:"email";s:3:"a@b";}`
	)
	for _, c := range []struct {
		name, session, path string
		firewall            string
		user                string
		err                 error  // with no user: ErrNoUser, or nil for any other
		text                string // part of the error
	}{
		{name: "a plain string", session: symfonySession(map[string]string{"main": token("T", alice)}), user: "alice"},
		{name: "a plain string has no properties", session: symfonySession(map[string]string{"main": token("T", alice)}), path: "id", user: "alice"},
		{name: "an entity", session: symfonySession(map[string]string{"main": token("T", entity)}), user: "42"},
		{name: "a property", session: symfonySession(map[string]string{"main": token("T", entity)}), path: "email", user: "a@b"},
		{name: "no such property", session: symfonySession(map[string]string{"main": token("T", entity)}), path: "uid", text: `"email", "id"`},
		{name: "a path into a property", session: symfonySession(map[string]string{"main": token("T", `O:1:"U":1:{s:2:"id";O:4:"Uuid":1:{s:6:"`+"\x00*\x00"+`uid";s:3:"7-b";}}`)}), path: "id.uid", user: "7-b"},
		{name: "an id that is an object", session: symfonySession(map[string]string{"main": token("T", `O:1:"U":2:{s:2:"id";O:4:"Uuid":0:{}s:5:"email";s:3:"a@b";}`)}), user: "a@b"},
		{name: "__serialize with a list", session: symfonySession(map[string]string{"main": token("T", `O:1:"U":2:{i:0;i:42;i:1;s:3:"a@b";}`)}), path: "0", user: "42"},
		{name: "nothing to go by", session: symfonySession(map[string]string{"main": token("T", `O:1:"U":1:{s:4:"name";s:3:"a@b";}`)}), text: "give the property's name"},
		{name: "Serializable", session: symfonySession(map[string]string{"main": token("T", `C:1:"U":2:{42}`)}), text: "Serializable"},
		{name: "two firewalls, one user", session: symfonySession(map[string]string{"a": token("T", entity), "b": token("T2", entity)}), user: "42"},
		{name: "two firewalls, two users", session: symfonySession(map[string]string{"a": token("T", entity), "b": token("T", alice)}), text: "SymfonyFirewall"},
		{name: "one of two firewalls", session: symfonySession(map[string]string{"a": token("T", entity), "b": token("T", alice)}), firewall: "b", user: "alice"},
		{name: "no token of that firewall", session: symfonySession(map[string]string{"a": token("T", entity)}), firewall: "main", err: stores.ErrNoUser},
		{name: "no token", session: `_sf2_attributes|a:1:{s:1:"x";i:1;}`, err: stores.ErrNoUser},
		{name: "no attributes", session: `_sf2_meta|a:0:{}`, err: stores.ErrNoUser},
		{name: "by hand", session: `_sf2_attributes|a:1:{s:7:"user_id";i:42;}`, user: "42"},
		{name: "by hand, another attribute", session: `_sf2_attributes|a:1:{s:3:"uid";i:42;}`, path: "uid", user: "42"},
		{name: "by hand, from the root", session: `_sf2_attributes|a:1:{s:3:"uid";i:42;}`, path: "_sf2_attributes.uid", user: "42"},
		{name: "not authenticated (5.4)", session: symfonySession(map[string]string{"main": strings.Replace(token("T", entity), "i:1;b:1;", "i:1;b:0;", 1)}), err: stores.ErrNoUser},
		{name: "no user in it", session: symfonySession(map[string]string{"main": token("T", "N;")}), err: stores.ErrNoUser},
		{name: "the second factor is due", session: symfonySession(map[string]string{"main": token(`Scheb\TwoFactorBundle\Security\Authentication\Token\TwoFactorToken`, entity)}), err: stores.ErrNoUser, text: "second factor"},
		{name: "a token of another shape", session: symfonySession(map[string]string{"main": `O:1:"T":1:{s:4:"user";s:5:"alice";}`}), text: "AbstractToken"},
		{name: "five values, but not the state", session: symfonySession(map[string]string{"main": `O:1:"T":5:{i:0;s:5:"alice";i:1;i:1;i:2;N;i:3;N;i:4;N;}`}), text: "AbstractToken"},
		{name: "no object", session: symfonySession(map[string]string{"main": alice}), text: "AbstractToken"},
		{name: "cut off", session: symfonySession(map[string]string{"main": token("T", entity)[:40]}), text: "offset"},
		{name: "a token inside itself", session: symfonySession(map[string]string{"main": `O:1:"T":1:{i:0;a:1:{i:0;R:2;}}`}), text: "AbstractToken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ks := stores.SymfonyKeyspace()
			session, err := ks.Decode(record([]byte(c.session), 1440), recorded)
			if err != nil {
				t.Fatal(err)
			}
			find := stores.SymfonyUser
			if c.firewall != "" {
				find = stores.SymfonyFirewall(c.firewall)
			}
			user, err := find(session, c.path)
			switch {
			case c.user != "":
				if user != c.user || err != nil {
					t.Errorf("SymfonyUser = %q, %v, want %q", user, err, c.user)
				}
			case err == nil || user != "" || errors.Is(err, stores.ErrNoUser) != (c.err != nil) || !strings.Contains(err.Error(), c.text):
				t.Errorf("SymfonyUser = %q, %v, want %v with %q", user, err, c.err, c.text)
			}
		})
	}
}
