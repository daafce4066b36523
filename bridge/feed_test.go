package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// pushed is a store that reports its changes, as far as the test has it do so.
type pushed struct {
	*store
	name     string
	refusal  error                // what Follow returns at once
	read     func(sid string)     // is called after each reading, if set
	follower chan bridge.Follower // gets the one that Follow was given
	silent   atomic.Bool          // no Alive
	f        bridge.Follower      // set by newPushed
	followed atomic.Int64         // Follow calls that have not returned
}

func newFeed(name string, sessions map[string]bridge.Identity) *pushed {
	return &pushed{store: newStore(sessions), name: name, follower: make(chan bridge.Follower, 1)}
}

func (p *pushed) Feeds() []bridge.Feed {
	return []bridge.Feed{{Name: p.name, Store: "redis", Prefixes: []string{p.name + ":"}, Follow: p.follow}}
}

// follow is restored at once, and alive from then on.
func (p *pushed) follow(ctx context.Context, _ []string, f bridge.Follower) error {
	if p.refusal != nil {
		return p.refusal
	}
	p.followed.Add(1)
	defer p.followed.Add(-1)
	f.Restored("test")
	p.follower <- f
	beat := time.NewTicker(500 * time.Millisecond)
	defer beat.Stop()
	for {
		if !p.silent.Load() {
			f.Alive(time.Now().Add(time.Second))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
		}
	}
}

func (p *pushed) Authenticate(ctx context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
	sid := h.Request.Header.Get("Sid")
	if h.Message != nil {
		sid = h.Message.SessionID
	}
	if sid == "" {
		return nil, fmt.Errorf("%w: no session id", bridge.ErrNoCredential)
	}
	key := p.name + "/" + p.key(sid)
	id, err := h.Load(ctx, bridge.Binding{Key: key, Feed: p.name, Reload: func(ctx context.Context) (*bridge.Identity, error) {
		id, err := p.load(ctx, sid)
		if err == nil {
			id.Key = key
		}
		return id, err
	}})
	if p.read != nil {
		p.read(sid)
	}
	return id, err
}

func (p *pushed) key(sid string) string { return p.name + ":" + sid }

// change sets a session and reports that.
func (p *pushed) change(sid, user string, expires time.Time) {
	p.set(sid, user, expires)
	p.f.Changed([]string{p.key(sid)})
}

// newPushed returns a hook over a store with the sessions "anns" and "bobs" of
// a feed "s". The test's end shuts it down.
func newPushed(t testing.TB, o bridge.Options) (*pushed, *bridge.Bridge) {
	t.Helper()
	p := newFeed("s", map[string]bridge.Identity{"anns": {User: "ann", Via: "test"}, "bobs": {User: "bob", Via: "test"}})
	b, _ := newBridge(t, p, o)
	shutAtEnd(t, b)
	p.f = <-p.follower
	return p, b
}

func shutAtEnd(t testing.TB, b *bridge.Bridge) {
	t.Cleanup(func() {
		if err := b.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// held is a request that is served until its identity ends.
type held struct {
	status int // of a refusal
	ctx    context.Context
	over   chan struct{}
	leave  context.CancelFunc
	ended  time.Time
}

// hold makes a request by a session and returns once it is served or refused.
func hold(b *bridge.Bridge, sid string) *held {
	h := &held{over: make(chan struct{})}
	served := make(chan struct{})
	ctx, leave := context.WithCancel(context.Background())
	h.leave = leave
	r := httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx)
	r.Header.Set("Sid", sid)
	go func() {
		w := httptest.NewRecorder()
		b.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			h.ctx = r.Context()
			close(served)
			<-h.ctx.Done()
			h.ended = time.Now()
		})).ServeHTTP(w, r)
		if h.ctx == nil {
			h.status = w.Code
			close(served)
		}
		close(h.over)
	}()
	<-served
	return h
}

func (h *held) user() string {
	id, _ := bridge.FromContext(h.ctx)
	return id.User
}

// code is why it ended; "" if it has not.
func (h *held) code() bridge.Code {
	if h.ctx == nil {
		return "refused"
	}
	if h.ctx.Err() == nil {
		return ""
	}
	return endCode(h.ctx)
}

// mustStay fails the test if the request has ended.
func (h *held) mustStay(t testing.TB) {
	t.Helper()
	if c := h.code(); c != "" {
		t.Errorf("ended with %s", c)
	}
}

// readsOf returns how many readings f causes, in a bubble.
func (p *pushed) readsOf(f func()) int {
	before := p.reads()
	f()
	synctest.Wait()
	return p.reads() - before
}

// expectReads fails the test unless f causes so many readings.
func (p *pushed) expectReads(t testing.TB, what string, want int, f func()) {
	t.Helper()
	if got := p.readsOf(f); got != want {
		t.Errorf("%s: the store was read %d times, want %d", what, got, want)
	}
}

var errStream = errors.New("the stream broke")

// never is a Follow that stays silent.
func never(ctx context.Context, _ []string, _ bridge.Follower) error {
	<-ctx.Done()
	return nil
}
