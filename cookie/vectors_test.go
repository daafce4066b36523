package cookie_test

import (
	"encoding/gob"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/internal/vectors"
	"github.com/sessionbridge/sessionbridge/stores"
	"github.com/sessionbridge/sessionbridge/stores/php"
)

// login is a session that the real software wrote, and its cookie. User is
// empty if nobody is logged in.
type login struct {
	Name, Header, Prefix, ID string
	Secrets                  []string
	Handler                  php.Handler
	TTL                      int64
	Path, User               string
}

// check keeps the session under its recorded key and presents the cookie, in a
// bubble whose clock is before every recorded deadline.
func (l login) check(t *testing.T, stack cookie.Stack, value []byte, want verdict) {
	synctest.Test(t, func(t *testing.T) {
		m := stores.NewMemory()
		m.Set(l.Prefix+l.ID, value, time.Duration(l.TTL)*time.Second)
		stack.Keyspace.Prefix = l.Prefix
		if l.Path != "" {
			stack.User = l.Path
		}
		a := newAuth(t, m, stack)
		secrets := append([]string{l.ID, l.Header}, l.Secrets...)
		h := handshake(t, l.Header)
		id, got, err := authenticate(t, a, h, secrets...)
		if got != want {
			t.Fatalf("%s (%v), want %s", got, err, want)
		}
		if id != nil {
			if end := time.Now().Add(time.Duration(l.TTL) * time.Second); id.User != l.User || id.Via != stack.Name || !id.Expires.Equal(end) {
				t.Errorf("user %q by %q until %v, want %q by %q until %v", id.User, id.Via, id.Expires, l.User, stack.Name, end)
			}
			if !strings.HasPrefix(id.Key, m.Name()+"/"+stack.Name+"-") || !strings.HasSuffix(id.Key, "/"+l.Prefix+l.ID) || id.Claims != nil || len(id.Session.Map()) == 0 {
				t.Errorf("identity %+v", id)
			}
		}
		expect(t, a, handshake(t), noCredential, "")
		m.Delete(l.Prefix + l.ID)
		expect(t, a, h, map[verdict]verdict{accepted: noCredential, noCredential: noCredential, rejected: rejected}[want], "", secrets...)
	})
}

func (l login) verdict() verdict {
	if l.User == "" {
		return noCredential
	}
	return accepted
}

func TestExpressLogins(t *testing.T) {
	for _, l := range vectors.Read[struct {
		login
		Value string
	}](t, "express.json") {
		t.Run(l.Name, func(t *testing.T) {
			stack := cookie.Express(l.Secrets...)
			if l.Name == "cfg-name-custom" {
				stack.Cookie = "__Host-sid"
			}
			l.check(t, stack, []byte(l.Value), l.verdict())
		})
	}
}

func TestPHPLogins(t *testing.T) {
	for _, l := range vectors.Read[struct {
		login
		Value string
	}](t, "php.json") {
		t.Run(l.Name, func(t *testing.T) {
			stack := cookie.PHP()
			stack.Keyspace.Codec = stores.PHP(l.Handler)
			want := l.verdict()
			if l.Name == "sid-colon" {
				want = rejected // an id that PHP does not make, but takes
			}
			l.check(t, stack, []byte(l.Value), want)
		})
	}
}

// appUser has the shape of the struct that the recorded application stored.
type appUser struct {
	ID   int
	Name string
}

func init() { gob.RegisterName("main.User", appUser{}) }

func TestGorillaLogins(t *testing.T) {
	for _, l := range vectors.Read[struct {
		login
		Value []byte
	}](t, "gorilla.json") {
		t.Run(l.Name, func(t *testing.T) {
			l.check(t, cookie.Gorilla("session-key"), l.Value, l.verdict())
		})
	}
}
