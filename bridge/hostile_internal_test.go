package bridge

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// Wait comes just when the link is closed: its place must become free.
func TestWaitWhileClosing(t *testing.T) {
	b, err := New(AuthenticatorFunc(func(context.Context, *Handshake) (*Identity, error) { return nil, ErrNoCredential }), quiet)
	if err != nil {
		t.Fatal(err)
	}
	l, err := b.Open(httptest.NewRequest(http.MethodGet, "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	b.deadlines.mu.Lock() // the closing stands still just before the life ends
	closed := make(chan struct{})
	go func() {
		l.Close(nil)
		close(closed)
	}()
	for l.life.mu.TryLock() {
		l.life.mu.Unlock()
		<-time.After(time.Millisecond)
	}
	waited := make(chan error)
	go func() { waited <- l.Wait(time.Minute) }()
	select {
	case <-waited:
	case <-time.After(50 * time.Millisecond): // it may wait for the closing, too
	}
	b.deadlines.mu.Unlock()
	<-closed
	select {
	case <-waited:
	case <-time.After(50 * time.Millisecond):
	}
	if n := b.pending.Load(); n != 0 {
		t.Errorf("%d places for pending connections are taken for ever", n)
	}
}

// feedOf is an authenticator by one session of a feed that is always sound.
type feedOf struct{ AuthenticatorFunc }

func (feedOf) Feeds() []Feed {
	return []Feed{{Name: "s", Store: "redis", Prefixes: []string{"s:"}, Follow: func(ctx context.Context, _ []string, f Follower) error {
		f.Restored("test")
		f.Alive(time.Now().Add(time.Hour))
		<-ctx.Done()
		return nil
	}}}
}

// Revoking a session that is only in the cache leaves nothing of it.
func TestRevokeOfTheCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := New(feedOf{func(ctx context.Context, h *Handshake) (*Identity, error) {
			return h.Load(ctx, Binding{Key: "s/s:" + h.Request.Header.Get("Sid"), Aliases: []string{"s/s:old" + h.Request.Header.Get("Sid")}, Feed: "s",
				Reload: func(context.Context) (*Identity, error) { return &Identity{User: "ann"}, nil }})
		}}, quiet)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for _, sid := range []string{"a", "b", "c"} {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Sid", sid)
			l, ref := b.admit(r, true)
			if ref != nil {
				t.Fatal(ref)
			}
			l.forget(ErrClosed)
			if err := b.Revoke(t.Context(), Target{Session: "s:" + sid}); err != nil {
				t.Fatal(err)
			}
		}
		b.index.mu.Lock()
		if n, a := len(b.index.entries), len(b.index.aliases); n != 0 || a != 0 || b.index.cache.size != 0 {
			t.Errorf("%d entries, %d aliases and %d bytes are left of sessions that are neither bound nor cached", n, a, b.index.cache.size)
		}
		b.index.mu.Unlock()
		if err := b.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
