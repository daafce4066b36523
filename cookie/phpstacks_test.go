package cookie_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/stores"
)

// phpLogin is what the real software stored for one login.
type phpLogin struct {
	Name, Cookie, Key, ID, User string
	Value                       []byte
	Session                     json.RawMessage
}

// loggedIn is when the logins were recorded.
var loggedIn = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// walk goes from the cookie to the user as the doctor does, and checks each
// step against what the real software had.
func (l phpLogin) walk(t *testing.T, stack cookie.Stack) {
	t.Helper()
	session := l.session(t, stack)
	if l.Session != nil {
		checkSession(t, session, l.Session)
	}
	find := stack.FindUser
	if find == nil {
		find = stores.UserID
	}
	user, err := find(session, stack.User)
	if l.User == "" {
		if !errors.Is(err, stores.ErrNoUser) {
			t.Errorf("user = %q, %v, want ErrNoUser", user, err)
		}
	} else if user != l.User || err != nil {
		t.Errorf("user = %q, %v, want %q", user, err, l.User)
	}
}

// session opens the cookie, and finds and decodes the session.
func (l phpLogin) session(t *testing.T, stack cookie.Stack) *stores.Session {
	t.Helper()
	if err := stack.Opener.Validate(); err != nil {
		t.Fatal(err)
	}
	opened, err := stack.Opener.Open(cookie.Jar{l.Cookie}, stack.Cookie)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	if l.ID != "" && opened.ID != l.ID {
		t.Errorf("id = %q, want %q", opened.ID, l.ID)
	}
	value := opened.Value
	if value == nil {
		if err := stack.Keyspace.ID.Check(opened.ID); err != nil {
			t.Errorf("the id rule: %v", err)
		}
		value = l.Value
		if !slices.ContainsFunc(stack.Keyspace.Keys(opened.ID), func(k stores.Key) bool { return k.String() == l.Key }) {
			t.Errorf("the key %q is not among %v", l.Key, stack.Keyspace.Keys(opened.ID))
		}
	}
	session, err := stack.Keyspace.Decode(stores.Record{Found: true, Value: value, TTL: time.Hour}, loggedIn)
	if err != nil {
		t.Fatalf("Decode: %v", err)
	}
	return session
}

// checkSession compares a session, printed as JSON, with what it must be. It
// leaves out what Laravel's session has of the recording itself.
func checkSession(t *testing.T, session *stores.Session, want json.RawMessage) {
	t.Helper()
	printer, ok := session.Values.(interface {
		AppendJSON(dst []byte, limit int) ([]byte, error)
	})
	if !ok {
		t.Fatalf("%T has no AppendJSON", session.Values)
	}
	text, err := printer.AppendJSON(nil, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var got, expected map[string]any
	if err := errors.Join(json.Unmarshal(text, &got), json.Unmarshal(want, &expected)); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	for _, m := range []map[string]any{got, expected} {
		delete(m, "_previous")
		delete(m, "_flash")
	}
	if diff := cmp.Diff(expected, got); diff != "" {
		t.Errorf("session (-want +got):\n%s", diff)
	}
	for name := range expected {
		if _, ok := session.Lookup(stores.EscapeName(name)); !ok {
			t.Errorf("Lookup finds no %q", name)
		}
	}
	if len(session.Map()) < len(expected) {
		t.Errorf("Map has %d members, want at least %d", len(session.Map()), len(expected))
	}
}

// cookieValues returns the values of the cookies in a header.
func cookieValues(header string) (values []string) {
	for pair := range strings.SplitSeq(header, ";") {
		if _, v, ok := strings.Cut(pair, "="); ok && len(v) > 8 {
			values = append(values, strings.TrimSpace(v))
		}
	}
	return values
}
