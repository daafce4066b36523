package bridge

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
)

// keys returns the sessions that lives are bound to.
func (x *index) keys() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var keys []string
	for k, e := range x.entries {
		if e.members != nil {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

var quiet = &Options{Logger: slog.New(slog.DiscardHandler)}

func admit(t *testing.T, a Authenticator) (*Bridge, *life, *Refusal) {
	t.Helper()
	b, err := New(a, quiet)
	if err != nil {
		t.Fatal(err)
	}
	l, ref := b.admit(httptest.NewRequest(http.MethodGet, "/", nil), true)
	t.Cleanup(func() { l.forget(errors.New("the test is over")) })
	return b, l, ref
}

// binds returns an authenticator that binds a key, and then answers.
func binds(key string, id *Identity, err error) Authenticator {
	return AuthenticatorFunc(func(_ context.Context, h *Handshake) (*Identity, error) {
		h.Bind(Binding{Key: key, Reload: func(context.Context) (*Identity, error) { return id, err }})
		return id, err
	})
}

func TestBindingStandsBeforeTheRead(t *testing.T) {
	var b *Bridge
	var during []string
	b, err := New(AuthenticatorFunc(func(_ context.Context, h *Handshake) (*Identity, error) {
		h.Bind(Binding{Key: "anns"})
		during = b.index.keys() // here the session would be read
		return &Identity{User: "ann", Key: "anns"}, nil
	}), quiet)
	if err != nil {
		t.Fatal(err)
	}
	l, ref := b.admit(httptest.NewRequest(http.MethodGet, "/", nil), true)
	if ref != nil || !slices.Equal(during, []string{"anns"}) {
		t.Errorf("refusal %v; bound while the session was read: %q", ref, during)
	}
	l.forget(errors.New("over"))
	if b.Len() != 0 || len(b.index.keys()) != 0 {
		t.Errorf("%d lives and %d sessions are left", b.Len(), len(b.index.keys()))
	}
}

func TestBindings(t *testing.T) {
	none := errors.Join(ErrNoCredential)
	tests := map[string]struct {
		a    Authenticator
		want []string // bound afterwards
		err  error
	}{
		"the winner's":                  {binds("a", &Identity{User: "ann", Key: "a"}, nil), []string{"a"}, nil},
		"losers' are released":          {First(binds("a", nil, none), binds("b", &Identity{User: "ann", Key: "b"}, nil)), []string{"b"}, nil},
		"nobody wins":                   {First(binds("a", nil, none), binds("b", nil, none)), nil, ErrNoCredential},
		"an outage releases":            {binds("a", nil, http.ErrHandlerTimeout), nil, http.ErrHandlerTimeout},
		"a token releases":              {First(binds("a", nil, none), AuthenticatorFunc(func(context.Context, *Handshake) (*Identity, error) { return &Identity{User: "ann"}, nil })), nil, nil},
		"an empty key is none":          {binds("", &Identity{User: "ann"}, nil), nil, nil},
		"a key that is not bound fails": {binds("a", &Identity{User: "ann", Key: "b"}, nil), nil, errNotBound},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b, _, ref := admit(t, tt.a)
			switch {
			case tt.err == nil && ref != nil, tt.err != nil && !errors.Is(ref, tt.err):
				t.Errorf("refusal %v, want %v", ref, tt.err)
			}
			if got := b.index.keys(); !slices.Equal(got, tt.want) {
				t.Errorf("bound: %q, want %q", got, tt.want)
			}
		})
	}
}

// However connections come and go, nothing of them is left.
func TestIndexIsEmptyInTheEnd(t *testing.T) {
	t.Parallel()
	sessions := stubTraits{Traits{Message: true}, func(_ context.Context, h *Handshake) (*Identity, error) {
		if h.Message == nil {
			return nil, ErrNoCredential
		}
		h.Bind(Binding{Key: "not the one"})
		h.Bind(Binding{Key: h.Message.SessionID})
		return &Identity{User: "ann", Key: h.Message.SessionID}, nil
	}}
	b, err := New(sessions, quiet)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{}, 8)
	var handlers sync.WaitGroup
	hook := b.Handler(func(c *Conn) {
		served <- struct{}{}
		_, _, _ = c.ReadMessage()
	})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handlers.Add(1)
		defer handlers.Done()
		hook.ServeHTTP(w, r)
	}))
	defer s.Close()
	var clients []*websocket.Conn
	for i := range 8 {
		ws, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.URL, "http"), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = ws.Close() }()
		clients = append(clients, ws)
		if i%4 == 3 {
			continue // stays pending
		}
		for _, sid := range []string{"shared", "own" + strconv.Itoa(i)} {
			if err := ws.WriteJSON(map[string]string{"rediskey": sid}); err != nil {
				t.Fatal(err)
			}
		}
		<-served
	}
	for i, ws := range clients {
		switch i % 4 {
		case 0: // the network is cut
			_ = ws.Close()
		case 1:
			_ = ws.WriteJSON(map[string]string{"event": "deauthenticate"})
		}
	}
	if err := b.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	handlers.Wait()
	if b.Len() != 0 || len(b.index.keys()) != 0 || b.pending.Load() != 0 {
		t.Errorf("left are %d lives, the sessions %q and %d pending", b.Len(), b.index.keys(), b.pending.Load())
	}
}

// stubTraits is an AuthenticatorFunc with traits.
type stubTraits struct {
	traits Traits
	AuthenticatorFunc
}

func (s stubTraits) Traits() Traits { return s.traits }

// A Handshake that is kept binds nothing later.
func TestLateBinding(t *testing.T) {
	var kept *Handshake
	b, l, _ := admit(t, AuthenticatorFunc(func(_ context.Context, h *Handshake) (*Identity, error) {
		kept = h
		return &Identity{User: "ann"}, nil
	}))
	kept.Bind(Binding{Key: "late"})
	(&Handshake{}).Bind(Binding{Key: "outside a hook"})
	l.forget(errors.New("over"))
	l.bind(&Binding{Key: "after the end"})
	if got := b.index.keys(); len(got) != 0 {
		t.Errorf("bound: %q", got)
	}
}

// A session that is read again stays bound, even by a Reload that forgets to
// name it: else nobody would notice its end.
func TestReloadedSessionStaysBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, l, ref := admit(t, AuthenticatorFunc(func(_ context.Context, h *Handshake) (*Identity, error) {
			h.Bind(Binding{Key: "anns", Reload: func(context.Context) (*Identity, error) { return &Identity{User: "ann"}, nil }})
			return &Identity{User: "ann", Key: "anns"}, nil
		}))
		if ref != nil {
			t.Fatal(ref)
		}
		<-time.After(time.Minute)
		if got := b.index.keys(); !slices.Equal(got, []string{"anns"}) || l.identity.Load().Key != "anns" {
			t.Errorf("bound: %q, the identity's key is %q", got, l.identity.Load().Key)
		}
		l.forget(errors.New("over"))
	})
}

// The timer of an expiring token may fire just as the connection is
// authenticated anew.
func TestStaleTimer(t *testing.T) {
	for name, expires := range map[string]time.Time{"later": time.Now().Add(time.Hour), "never": {}} {
		t.Run(name, func(t *testing.T) {
			_, l, _ := admit(t, binds("", &Identity{User: "ann", Expires: expires}, nil))
			l.lookAgain()
			if err := context.Cause(l.context()); err != nil {
				t.Errorf("ended: %v", err)
			}
		})
	}
}

// A look that began before a re-authentication may have seen what is newer
// than that one's reading; what it saw is looked for again.
func TestLookOvertakenByReauthentication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l, _ := admit(t, AuthenticatorFunc(func(_ context.Context, h *Handshake) (*Identity, error) {
			h.Bind(Binding{Key: "anns", Reload: func(context.Context) (*Identity, error) { return nil, ErrNoCredential }})
			return &Identity{User: "ann", Key: "anns"}, nil
		}))
		if e := l.verdict("anns", l.b.clock()-time.Millisecond, nil, ErrNoCredential); e != nil {
			t.Errorf("ended by a look at an identity that is no more: %v", e)
		}
		<-time.After(time.Second)
		synctest.Wait()
		if e := (*EndError)(nil); !errors.As(context.Cause(l.context()), &e) || e.Code != CodeSessionEnded {
			t.Errorf("cause %v, want that the session ended", context.Cause(l.context()))
		}
	})
}

// A life that ended while its authenticator was asked is not revived by the
// answer.
func TestAnswerAfterTheEnd(t *testing.T) {
	var b *Bridge
	b, err := New(AuthenticatorFunc(func(context.Context, *Handshake) (*Identity, error) {
		left, _ := b.index.drain()
		for _, l := range left {
			l.end(&EndError{Code: CodeDraining})
		}
		return &Identity{User: "ann"}, nil
	}), quiet)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	b.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the request was served")
	})).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusServiceUnavailable || b.Len() != 0 {
		t.Errorf("status %d with %d lives left, want 503 and none", w.Code, b.Len())
	}
}

// Whoever sees that a life is over sees that its context is.
func TestContextEndsWithTheLife(t *testing.T) {
	b, l, ref := admit(t, binds("k", &Identity{User: "ann", Key: "k"}, nil))
	if ref != nil {
		t.Fatal(ref)
	}
	ctx := l.context()
	done := make(chan struct{})
	b.index.mu.Lock() // as under load
	go func() {
		l.release(errors.New("over"))
		close(done)
	}()
	<-ctx.Done()
	b.index.mu.Unlock()
	<-done
}
