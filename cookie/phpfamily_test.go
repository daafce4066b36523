package cookie_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/internal/vectors"
	"github.com/sessionbridge/sessionbridge/stores"
	"github.com/sessionbridge/sessionbridge/stores/php"
)

func TestSymfonyLogins(t *testing.T) {
	for _, l := range vectors.Read[struct {
		phpLogin
		Handler    php.Handler
		Identifier string
	}](t, "symfony.json") {
		t.Run(l.Name, func(t *testing.T) {
			stack := cookie.Symfony()
			stack.Keyspace.Codec = stores.PHP(l.Handler)
			if prefix := strings.TrimSuffix(l.Key, l.ID); prefix != "sf_s" {
				stack.Keyspace.Prefix = prefix
			}
			l.walk(t, stack)
			if l.Identifier == "" {
				return
			}
			stack.User = "email"
			l.User = l.Identifier
			l.walk(t, stack)
			stack.FindUser = stores.SymfonyFirewall("main")
			l.walk(t, stack)
			stack.FindUser = stores.SymfonyFirewall("admin")
			l.User = ""
			l.walk(t, stack)
		})
	}
}

func TestCodeIgniterLogins(t *testing.T) {
	for _, l := range vectors.Read[struct {
		phpLogin
		Version int
	}](t, "codeigniter.json") {
		t.Run(l.Name, func(t *testing.T) {
			stack := cookie.CodeIgniter4()
			if l.Version == 3 {
				stack = cookie.CodeIgniter3()
			}
			// A ?prefix= and matchIP are configuration.
			if prefix := strings.TrimSuffix(l.Key, l.ID); !strings.HasSuffix(prefix, "ci_session:") {
				stack.Keyspace.Prefix = prefix
			}
			l.walk(t, stack)
		})
	}
}

func TestCodeIgniterKeys(t *testing.T) {
	const id = "dd30f6a162ec8d05bcd89238197f34a7"
	ks := stores.CodeIgniter4Keyspace("shop")
	for i, want := range []string{"ci_session:shop:" + id, "ci_session:" + id} {
		if got := ks.Keys(id)[i].String(); got != want {
			t.Errorf("key %d = %q, want %q", i, got, want)
		}
	}
	for id, fits := range map[string]bool{
		id:                                 true,
		"6j9m6t8e5pn1e6v826633p1a96nupahu": true,
		id + ":lock":                       false,
		"127.0.0.1:" + id:                  false,
		id[:26]:                            false,
	} {
		for _, stack := range []cookie.Stack{cookie.CodeIgniter3(), cookie.CodeIgniter4()} {
			if err := stack.Keyspace.ID.Check(id); (err == nil) != fits {
				t.Errorf("%s: Check(%q) = %v", stack.Name, id, err)
			}
		}
	}
}

// With matchIP each client finds its sessions under its own address only.
func TestMatchIP(t *testing.T) {
	const id = "96ad07a8336c29c1c86a7afdc0703fe1"
	store := stores.NewMemory()
	store.Set("ci_session:ci_session:192.0.2.7:"+id, []byte("user_id|i:42;"), time.Hour)
	store.Set("ci_session:2001:db8::1:"+id, []byte("user_id|i:43;"), time.Hour)
	a, err := cookie.New(store, cookie.CodeIgniter4())
	if err != nil {
		t.Fatal(err)
	}
	header := func(r *http.Request) string { return r.Header.Get("X-Real-IP") }
	for _, c := range []struct {
		name, remote, forwarded string
		clientIP                func(*http.Request) string
		user                    string
		err                     error // nil with no user: any other
	}{
		{"RemoteAddr", "192.0.2.7:1234", "", nil, "42", nil},
		{"IPv6, before 4.4", "[2001:db8::1]:1234", "", nil, "43", nil},
		{"another address", "192.0.2.8:1234", "", nil, "", bridge.ErrNoCredential},
		{"a header that nobody asked for", "192.0.2.8:1234", "192.0.2.7", nil, "", bridge.ErrNoCredential},
		{"a header", "192.0.2.8:1234", "192.0.2.7", header, "42", nil},
		{"no address", "@", "", nil, "", nil},
		{"a header with something else", "192.0.2.7:1234", "192.0.2.7:" + id, header, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			auth, err := cookie.MatchIP(a, c.clientIP)
			if err != nil {
				t.Fatal(err)
			}
			r := &http.Request{RemoteAddr: c.remote, Header: http.Header{"Cookie": {"ci_session=" + id}, "X-Real-Ip": {c.forwarded}}}
			identity, err := auth.Authenticate(context.Background(), &bridge.Handshake{Request: r})
			switch {
			case c.user != "":
				if err != nil || identity.User != c.user {
					t.Errorf("Authenticate = %+v, %v, want user %s", identity, err, c.user)
				}
			case err == nil || c.err != nil && !errors.Is(err, c.err) || c.err == nil && errors.Is(err, bridge.ErrNoCredential):
				t.Errorf("Authenticate = %+v, %v, want %v", identity, err, c.err)
			}
		})
	}
	if _, err := cookie.MatchIP(nil, nil); err == nil {
		t.Error("MatchIP takes a nil authenticator")
	}
}

func TestPredisLogins(t *testing.T) {
	for _, l := range vectors.Read[struct {
		phpLogin
		Handler php.Handler
		Prefix  string
	}](t, "predis.json") {
		t.Run(l.Name, func(t *testing.T) {
			stack := cookie.Predis(l.Prefix)
			stack.Keyspace.Codec = stores.PHP(l.Handler)
			l.walk(t, stack)
		})
	}
}

func TestPredisJSON(t *testing.T) {
	const id = "lou5n8bcst4ml60rmknsa8d0lj"
	for value, user := range map[string]string{
		`{"user_id":42}`:                  "42",
		`{"user_id":"ab"}`:                "ab",
		`{"user_id":1234567890123456789}`: "1234567890123456789", // PHP does not round it
		`{"user_id":0}`:                   "0",
		`{"user_id":null}`:                "",
		`{"user":42}`:                     "",
		`{}`:                              "",
		`[]`:                              "",
	} {
		t.Run(value, func(t *testing.T) {
			phpLogin{Cookie: "PHPSESSID=" + id, ID: id, Key: "sessions/" + id, Value: []byte(value), User: user}.walk(t, cookie.PredisJSON("sessions/"))
		})
	}
}
