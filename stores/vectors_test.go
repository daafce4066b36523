package stores_test

import (
	"bytes"
	"compress/zlib"
	"encoding/gob"
	"errors"
	"io"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/internal/vectors"
	"github.com/sessionbridge/sessionbridge/stores"
	"github.com/sessionbridge/sessionbridge/stores/php"
)

// recorded is when the vectors were written: their sessions lived then.
var recorded = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// textVector is a session that the real software wrote as text.
type textVector struct {
	Name, Value string
	TTL         int64  // in seconds; -1 for none
	Path, User  string // User is empty if nobody is logged in
}

// byteVector is one whose bytes are no text.
type byteVector struct {
	Name, Handler string
	Value, Zlib   []byte
	TTL           int64
	Path, User    string
	Names         []string // of the session's variables
}

func (v byteVector) bytes(tb testing.TB) []byte {
	tb.Helper()
	if v.Zlib == nil {
		return v.Value
	}
	r, err := zlib.NewReader(bytes.NewReader(v.Zlib))
	if err != nil {
		tb.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func record(value []byte, ttl int64) stores.Record {
	return stores.Record{Found: true, Value: value, TTL: time.Duration(ttl) * time.Second}
}

// checkUser decodes a session and looks for its user; "" is nobody.
func checkUser(t *testing.T, ks stores.Keyspace, r stores.Record, path, want string) *stores.Session {
	t.Helper()
	session, err := ks.Decode(r, recorded)
	if err != nil {
		t.Fatalf("Decode: %v", err)
	}
	user, err := stores.UserID(session, path)
	if want == "" {
		if user != "" || !errors.Is(err, stores.ErrNoUser) {
			t.Errorf("UserID = %q, %v, want ErrNoUser", user, err)
		}
	} else if user != want || err != nil {
		t.Errorf("UserID = %q, %v, want %q", user, err, want)
	}
	return session
}

func TestExpressVectors(t *testing.T) {
	for _, v := range vectors.Read[textVector](t, "express.json") {
		t.Run(v.Name, func(t *testing.T) {
			session := checkUser(t, stores.ExpressKeyspace(), record([]byte(v.Value), v.TTL), v.Path, v.User)
			if session.Expires.After(recorded.Add(time.Duration(v.TTL) * time.Second)) {
				t.Errorf("Expires = %v, later than the TTL of %d s", session.Expires, v.TTL)
			}
		})
	}
}

// The verdicts of a real express-session on values that it did not write
// itself. Status 500 is an error that is no logout.
func TestExpressValueVerdicts(t *testing.T) {
	type verdict struct {
		Name, Type, Value string
		TTL               int64
		Status            int
		User              string
	}
	for _, v := range vectors.Read[verdict](t, "express-values.json") {
		t.Run(v.Name, func(t *testing.T) {
			r := record([]byte(v.Value), v.TTL)
			switch v.Type {
			case "none":
				r = stores.Record{}
			case "hash":
				r = stores.Record{Found: true, Err: stores.ErrWrongType}
			}
			ks := stores.ExpressKeyspace()
			session, err := ks.Decode(r, recorded)
			user := ""
			if err == nil {
				user, err = stores.UserID(session, "passport.user")
			}
			absent := errors.Is(err, stores.ErrNotFound) || errors.Is(err, stores.ErrExpired) || errors.Is(err, stores.ErrNoUser)
			switch {
			case user != v.User:
				t.Errorf("user = %q, %v, want %q", user, err, v.User)
			case v.Status == 500 && (err == nil || absent):
				t.Errorf("err = %v, want one that is no logout", err)
			case v.Status == 200 && v.User == "" && !absent:
				t.Errorf("err = %v, want nobody", err)
			}
		})
	}
}

func TestPHPVectors(t *testing.T) {
	for _, v := range vectors.Read[byteVector](t, "php.json") {
		t.Run(v.Handler+"/"+v.Name, func(t *testing.T) {
			ks := stores.PHPKeyspace()
			ks.Codec = stores.PHP(php.Handler(v.Handler))
			session := checkUser(t, ks, record(v.bytes(t), v.TTL), v.Path, v.User)
			got := slices.Sorted(maps.Keys(session.Map()))
			if diff := cmp.Diff(v.Names, got, cmp.Transformer("nil", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
				t.Errorf("variables (-want +got):\n%s", diff)
			}
			if want := recorded.Add(time.Duration(v.TTL) * time.Second); !session.Expires.Equal(want) {
				t.Errorf("Expires = %v, want %v", session.Expires, want)
			}
		})
	}
}

// vectorUser has the shape of the struct that a vector's application stored,
// under that application's name.
type vectorUser struct {
	ID   int
	Name string
}

func init() { gob.RegisterName("main.User", vectorUser{}) }

func TestGorillaVectors(t *testing.T) {
	for _, v := range vectors.Read[byteVector](t, "gorilla.json") {
		t.Run(v.Name, func(t *testing.T) {
			checkUser(t, stores.GorillaKeyspace(), record(v.Value, v.TTL), v.Path, v.User)
		})
	}
}
