package stores_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/stores"
	"github.com/sessionbridge/sessionbridge/stores/php"
)

func TestIDRules(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	php, express, gorilla := stores.PHPKeyspace().ID, stores.ExpressKeyspace().ID, stores.GorillaKeyspace().ID
	for _, c := range []struct {
		name string
		rule stores.IDRule
		id   string
		want string // what the error names; "" is well-formed
	}{
		{"PHP, 32 hex", php, "0123456789abcdef0123456789abcdef", ""},
		{"PHP, Debian", php, "ie12vpe0dhmclqjbgktaseh6og", ""},
		{"PHP, 6 bits", php, "aZ-,0123456789abcdefgh", ""},
		{"PHP, shortest", php, x(22), ""},
		{"PHP, longest", php, x(256), ""},
		{"PHP, too short", php, x(21), "21 bytes"},
		{"PHP, too long", php, x(257), "257 bytes"},
		{"PHP, empty", php, "", "0 bytes"},
		{"PHP, lock key", php, x(32) + "_LOCK", "byte 32"},
		{"PHP, another key", php, "../" + x(22), "byte 0"},
		{"PHP, colon", php, x(22) + ":x", "byte 22"},
		{"PHP, glob", php, x(22) + "*", "byte 22"},
		{"PHP, NUL", php, x(22) + "\x00", "byte 22"},
		{"PHP, newline", php, x(22) + "\n", "byte 22"},
		{"PHP, not ASCII", php, x(22) + "é", "byte 22"},
		{"Express, base64url", express, "_BEaVmvJw15zQphb5s--soTdp1KTe1ix", ""},
		{"Express, UUID", express, "7b1e2c34-0000-4a4b-9c9c-aaaaaaaaaaaa", ""},
		{"Express, too short", express, x(19), "19 bytes"},
		{"Express, too long", express, x(129), "129 bytes"},
		{"Express, signed", express, x(32) + ".sig", "byte 32"},
		{"Go, base32", gorilla, strings.Repeat("AZ27", 25) + "ABC", ""},
		{"Go, lower case", gorilla, strings.Repeat("az27", 25), "byte 0"},
		{"Go, 0 and 1", gorilla, strings.Repeat("A", 26) + "01", "byte 26"},
		{"nothing allowed", stores.IDRule{}, "x", "1 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.rule.Check(c.id)
			if c.want == "" {
				if err != nil {
					t.Errorf("error %v", err)
				}
				return
			}
			if !errors.Is(err, stores.ErrBadID) || !strings.Contains(err.Error(), c.want) || c.id != "" && strings.Contains(err.Error(), c.id) {
				t.Errorf("error %v, want an ErrBadID with %q and without the id", err, c.want)
			}
		})
	}
}

func TestCheckSigned(t *testing.T) {
	for id, ok := range map[string]bool{
		"":                        false,
		"x":                       true,
		"üñî✓ \x00/..*":           true,
		strings.Repeat("x", 1024): true,
		strings.Repeat("x", 1025): false,
	} {
		if err := stores.CheckSigned(id); (err == nil) != ok || err != nil && !errors.Is(err, stores.ErrBadID) {
			t.Errorf("CheckSigned of %d bytes: %v", len(id), err)
		}
	}
}

func TestKeyspaceValidate(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(*stores.Keyspace)
		want string // "" is valid
	}{
		{"default", func(*stores.Keyspace) {}, ""},
		{"no prefix", func(ks *stores.Keyspace) { ks.Prefix = "" }, ""},
		{"another handler", func(ks *stores.Keyspace) { ks.Codec = stores.PHP(php.HandlerSerialize) }, ""},
		{"no codec", func(ks *stores.Keyspace) { ks.Codec = nil }, "no Codec"},
		{"no handler", func(ks *stores.Keyspace) { ks.Codec = stores.PHP("") }, "unknown session.serialize_handler"},
		{"unknown handler", func(ks *stores.Keyspace) { ks.Codec = stores.PHP("wddx") }, "unknown session.serialize_handler"},
		{"no rule", func(ks *stores.Keyspace) { ks.ID = stores.IDRule{} }, "ID rule"},
		{"empty id", func(ks *stores.Keyspace) { ks.ID.Min = 0 }, "ID rule"},
		{"no length", func(ks *stores.Keyspace) { ks.ID.Max = ks.ID.Min - 1 }, "ID rule"},
		{"no characters", func(ks *stores.Keyspace) { ks.ID.Chars = "" }, "ID rule"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ks := stores.PHPKeyspace()
			c.set(&ks)
			err := ks.Validate()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestKeyspaceKeys(t *testing.T) {
	ks := stores.ExpressKeyspace()
	ks.Alternatives = []string{"old:", ""}
	want := []stores.Key{{Prefix: "sess:", ID: "x"}, {Prefix: "old:", ID: "x"}, {ID: "x"}}
	if diff := cmp.Diff(want, ks.Keys("x")); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	ks.Codec = hashCodec{}
	for i := range want {
		want[i].Hash = true
	}
	if diff := cmp.Diff(want, ks.Keys("x")); diff != "" {
		t.Errorf("keys of a hash (-want +got):\n%s", diff)
	}
	if got := want[0].String(); got != "sess:x" {
		t.Errorf("String = %q", got)
	}
}

// hashCodec reads a hash whose field "user" is the user.
type hashCodec struct{ stores.Codec }

func (hashCodec) Name() string { return "hash" }

func (hashCodec) DecodeHash(fields map[string]string) (stores.Values, time.Time, error) {
	user, ok := fields["user"]
	if !ok {
		return nil, time.Time{}, errors.New("no field user")
	}
	return values{user}, time.Time{}, nil
}

func TestKeyspaceDecodesHash(t *testing.T) {
	ks := stores.ExpressKeyspace()
	ks.Codec = hashCodec{}
	s, err := ks.Decode(stores.Record{Found: true, Fields: map[string]string{"user": "42"}, TTL: -1}, recorded)
	if err != nil {
		t.Fatal(err)
	}
	if user, err := stores.UserID(s, "u"); user != "42" || err != nil {
		t.Errorf("user %q, %v", user, err)
	}
	var decode *stores.DecodeError
	if s, err := ks.Decode(stores.Record{Found: true, TTL: -1}, recorded); s != nil || !errors.As(err, &decode) || decode.Codec != "hash" {
		t.Errorf("= %v, %v, want a DecodeError", s, err)
	}
}

func TestKeyspaceLoad(t *testing.T) {
	const login = `{"cookie":{},"passport":{"user":42}}`
	synctest.Test(t, func(t *testing.T) {
		store := stores.NewMemory()
		ks := stores.ExpressKeyspace()
		ks.Alternatives = []string{"old:", "older:"}
		store.Set("sess:new", []byte(login), time.Hour)
		store.Set("older:old", []byte(login), time.Hour)
		store.Set("sess:both", []byte(`{"cookie":{}}`), time.Hour)
		store.Set("old:both", []byte(login), time.Hour)
		store.Set("sess:damaged", []byte(`{"cookie":{},"secret":"hunter2"`), time.Hour)
		store.Set("old:damaged", []byte(login), time.Hour)
		store.Set("sess:over", []byte(`{"cookie":{"expires":"1999-12-31T23:59:59.999Z"},"passport":{"user":42}}`), 0)
		store.Set("sess:null", []byte("null"), time.Hour)
		store.Set("sess:long", make([]byte, stores.MaxValue+1), time.Hour)

		var decode *stores.DecodeError
		for _, c := range []struct {
			id   string
			user string // "" if there is none
			is   error  // of Load
			as   any
		}{
			{id: "new", user: "42"},
			{id: "old", user: "42"},
			{id: "both"}, // what is under Prefix counts, whatever it is
			{id: "missing", is: stores.ErrNotFound},
			{id: "null", is: stores.ErrNotFound},
			{id: "over", is: stores.ErrExpired},
			{id: "long", is: stores.ErrTooLarge},
			{id: "damaged", as: &decode},
		} {
			s, err := ks.Load(t.Context(), store, c.id)
			switch {
			case c.is != nil || c.as != nil:
				if s != nil || c.is != nil && !errors.Is(err, c.is) || c.as != nil && !errors.As(err, c.as) {
					t.Errorf("%s: Load = %v, %v", c.id, s, err)
				}
				if c.as != nil && (err.Error() != "the session cannot be decoded as json: it is not valid JSON" || errors.Is(err, stores.ErrNotFound)) {
					t.Errorf("%s: error %q", c.id, err)
				}
			case err != nil:
				t.Errorf("%s: Load: %v", c.id, err)
			default:
				if user, _ := stores.UserID(s, "passport.user"); user != c.user {
					t.Errorf("%s: user %q, want %q", c.id, user, c.user)
				}
			}
		}
	})
}

func TestFirstFound(t *testing.T) {
	no, yes := stores.Record{}, stores.Record{Found: true}
	for want, records := range [][]stores.Record{{yes, yes}, {no, yes, no}, {no, no, yes}} {
		if got := stores.FirstFound(records); got != want {
			t.Errorf("FirstFound of case %d = %d", want, got)
		}
	}
	if got := stores.FirstFound([]stores.Record{no, no}); got != 0 {
		t.Errorf("FirstFound of nothing = %d", got)
	}
}
