package cookie_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/stores"
)

func TestResume(t *testing.T) {
	const key = "PHPREDIS_SESSION:" + phpSID
	store := stores.NewMemory()
	store.Set(key, []byte("user_id|i:42;"), time.Hour)
	here, there := newAuth(t, store, cookie.PHP()), newAuth(t, store, cookie.PHP())

	h := handshake(t, "PHPSESSID="+phpSID)
	id, got, err := authenticate(t, here, h)
	if got != accepted {
		t.Fatal(err)
	}
	ref, ok := here.Reference(h.Request, id)
	if !ok {
		t.Fatal("there is no reference")
	}
	b, ok := there.Resume(ref)
	if !ok {
		t.Fatal("the reference is not taken")
	}
	again, err := b.Reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again.User != "42" || again.Via != "php" || again.Key != b.Key {
		t.Errorf("resumed as %q by %q under %q; want 42 by php under %q", again.User, again.Via, again.Key, b.Key)
	}
	live, _, err := authenticate(t, there, h)
	if err != nil || live.Key != b.Key {
		t.Errorf("the cookie's own key is %q, %v; want %q", live.Key, err, b.Key)
	}

	store.Delete(key)
	if id, err := b.Reload(t.Context()); id != nil || !errors.Is(err, bridge.ErrNoCredential) {
		t.Errorf("after the logout: %v, %v", id, err)
	}
	if _, ok := there.Resume("express" + ref[len("php"):]); ok {
		t.Error("another stack's reference is taken")
	}
	if _, ok := there.Resume("php\x00"); ok {
		t.Error("a reference without an id is taken")
	}
}

func TestResumeFindsAnAlternative(t *testing.T) {
	stack := cookie.PHP()
	stack.Keyspace.Alternatives = []string{"old:"}
	store := stores.NewMemory()
	store.Set("old:"+phpSID, []byte("user_id|i:42;"), time.Hour)
	a := newAuth(t, store, stack)
	h := handshake(t, "PHPSESSID="+phpSID)
	id, _, err := authenticate(t, a, h)
	if err != nil {
		t.Fatal(err)
	}
	ref, ok := a.Reference(h.Request, id)
	if !ok {
		t.Fatal("there is no reference")
	}
	b, _ := a.Resume(ref)
	again, err := b.Reload(t.Context())
	if err != nil || again.User != "42" || again.Key != b.Key || len(b.Aliases) != 1 {
		t.Errorf("resumed as %v, %v with aliases %q", again, err, b.Aliases)
	}
}

func TestNoReference(t *testing.T) {
	store := stores.NewMemory()
	store.Set("PHPREDIS_SESSION:"+phpSID, []byte("user_id|i:42;"), time.Hour)
	a := newAuth(t, store, cookie.PHP())
	h := handshake(t, "PHPSESSID="+phpSID)
	id, _, err := authenticate(t, a, h)
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(*bridge.Identity)) *bridge.Identity {
		other := *id
		change(&other)
		return &other
	}
	other := handshake(t, "PHPSESSID=0123456789abcdef0123456789")
	for _, tc := range []struct {
		name string
		h    *bridge.Handshake
		id   *bridge.Identity
	}{
		{"another authenticator's identity", h, with(func(id *bridge.Identity) { id.Via = "express" })},
		{"an identity without a session", h, with(func(id *bridge.Identity) { id.Key = "" })},
		{"another session's cookie", other, id},
		{"no cookie", handshake(t), id},
		{"a malformed cookie", handshake(t, "PHPSESSID=a/b"), id},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if ref, ok := a.Reference(tc.h.Request, tc.id); ok || ref != "" {
				t.Error("there is a reference")
			}
		})
	}
}
