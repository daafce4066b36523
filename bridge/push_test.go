package bridge_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/bridge"
)

func TestChange(t *testing.T) {
	tests := map[string]struct {
		change func(*pushed)
		event  string // "" if the sockets stay
	}{
		"gone":           {func(p *pushed) { p.set("anns", "", time.Time{}) }, "deauthenticated session_ended"},
		"another user":   {func(p *pushed) { p.set("anns", "bob", time.Time{}) }, "deauthenticated user_changed"},
		"nobody":         {func(p *pushed) { p.fail(fmt.Errorf("%w: nobody", bridge.ErrNoCredential)) }, "deauthenticated session_ended"},
		"forged now":     {func(p *pushed) { p.fail(fmt.Errorf("%w: forged", bridge.ErrRejected)) }, "deauthenticated session_ended"},
		"over by itself": {func(p *pushed) { p.set("anns", "ann", time.Now()) }, "deauthenticated session_ended"},
		"extended":       {func(p *pushed) { p.set("anns", "ann", time.Now().Add(time.Hour)) }, ""},
		"unreadable":     {func(p *pushed) { p.fail(errOutage) }, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, b := newPushed(t, bridge.Options{})
				conns := make(chan *bridge.Conn, 3)
				s := inMemory(t, b.Handler(handOver(conns)))
				clients := []*client{s.open("Sid", "anns"), s.open("Sid", "anns"), s.open("Sid", "anns")}
				for _, c := range clients {
					c.expect("authenticated ann")
				}
				other := hold(b, "bobs")
				start := time.Now()
				tt.change(p)
				p.f.Changed([]string{"s:anns", "s:nobodys", "elsewhere:anns"})
				synctest.Wait()
				for range clients {
					c := <-conns
					if (c.Context().Err() != nil) != (tt.event != "") {
						t.Errorf("cause %v", context.Cause(c.Context()))
					}
					if want, got := name == "extended", c.Identity().Expires.Equal(start.Add(time.Hour)); got != want {
						t.Errorf("the identity holds until %v", c.Identity().Expires)
					}
				}
				other.mustStay(t)
				for _, c := range clients {
					if tt.event == "" {
						continue
					}
					c.expect(tt.event)
					c.closes(3000)
				}
				if d := time.Since(start); d != 0 {
					t.Errorf("that took %v", d)
				}
			})
		})
	}
}

// One reading is enough for all sockets of a session, and for many events.
func TestChangesCoalesce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, b := newPushed(t, bridge.Options{})
		var all []*held
		for range 100 {
			all = append(all, hold(b, "anns"))
		}
		pass(time.Second)
		p.expectReads(t, "one event", 1, func() { p.change("anns", "ann", time.Now().Add(time.Hour)) })
		for _, h := range all {
			if id, _ := bridge.FromContext(h.ctx); id.Expires.IsZero() {
				t.Fatal("a request was not told of the new expiry")
			}
		}
		pass(time.Second)
		p.expectReads(t, "events that nobody is concerned by", 0, func() {
			p.f.Changed([]string{"s:bobs", "s:", "", "s:anns.lock", "S:anns"})
			pass(time.Second)
		})
		if n := p.readsOf(func() {
			for range 1000 {
				p.f.Changed([]string{"s:anns"})
			}
			pass(time.Second)
		}); n > 3 {
			t.Errorf("1,000 events at once: %d readings, want a few", n)
		}
		if n := p.readsOf(func() {
			for range 1000 {
				p.f.Changed([]string{"s:anns"})
				<-time.After(time.Millisecond)
			}
		}); n > 110 {
			t.Errorf("1,000 events in a second: %d readings, want one in 10ms at the most", n)
		}
		start := time.Now()
		p.f.Changed([]string{"s:anns"})
		p.change("anns", "", time.Time{})
		for _, h := range all {
			<-h.over
			if d := h.ended.Sub(start); h.code() != bridge.CodeSessionEnded || d > 10*time.Millisecond {
				t.Fatalf("ended with %q after %v", h.code(), d)
			}
		}
	})
}

// A session that is written faster than it can be read is judged all the same.
func TestRestlessSessionIsJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, b := newPushed(t, bridge.Options{MaxStale: -1})
		h := hold(b, "anns")
		p.store.mu.Lock()
		p.store.hook = func() { // between the reading and its answer
			p.f.Changed([]string{"s:anns"})
			<-time.After(5 * time.Millisecond)
		}
		p.store.mu.Unlock()
		p.f.Changed([]string{"s:anns"})
		pass(time.Minute)
		h.mustStay(t)
		start := time.Now()
		p.set("anns", "", time.Time{})
		<-h.over
		if d := h.ended.Sub(start); h.code() != bridge.CodeSessionEnded || d > 50*time.Millisecond {
			t.Errorf("ended with %q after %v", h.code(), d)
		}
		p.store.mu.Lock()
		p.store.hook = nil
		p.store.mu.Unlock()
	})
}

// stubFeeds is an authenticator with other feeds.
type stubFeeds struct {
	bridge.Authenticator
	feeds []bridge.Feed
}

func (s stubFeeds) Feeds() []bridge.Feed { return s.feeds }

// Two authenticators that find different users in one session: its store is
// followed once, and each is judged for itself.
func TestSessionOfTwoAuthenticators(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		users := map[string]string{"a": "ann", "b": "bob"}
		var f bridge.Follower
		ready := make(chan struct{})
		follow := func(ctx context.Context, prefixes []string, follower bridge.Follower) error {
			if diff := cmp.Diff([]string{"k", "k"}, prefixes); diff != "" {
				t.Error(diff)
			}
			f = follower
			f.Restored("test")
			close(ready)
			<-ctx.Done()
			return nil
		}
		reader := func(name string) bridge.Authenticator {
			return stubFeeds{bridge.AuthenticatorFunc(func(ctx context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
				if h.Request.Header.Get("Sid") != name {
					return nil, bridge.ErrNoCredential
				}
				return h.Load(ctx, bridge.Binding{Key: name + "/k", Feed: name, Reload: func(context.Context) (*bridge.Identity, error) {
					if users[name] == "" {
						return nil, bridge.ErrNoCredential
					}
					return user(users[name]), nil
				}})
			}), []bridge.Feed{{Name: name, Store: "redis", Prefixes: []string{"k"}, Follow: follow}}}
		}
		b, _ := newBridge(t, bridge.First(reader("a"), reader("b")), bridge.Options{})
		shutAtEnd(t, b)
		<-ready
		ann, bob := hold(b, "a"), hold(b, "b")
		if ann.user() != "ann" || bob.user() != "bob" {
			t.Errorf("users %s and %s", ann.user(), bob.user())
		}
		users["b"] = ""
		f.Changed([]string{"k"})
		synctest.Wait()
		ann.mustStay(t)
		if bob.code() != bridge.CodeSessionEnded {
			t.Errorf("ended with %q", bob.code())
		}
	})
}

// A change, or a moment at which one may have been missed, between the reading
// and the commit.
func TestChangeDuringTheHandshake(t *testing.T) {
	tests := map[string]struct {
		happens func(p *pushed, nth int)
		want    any // the user or the status
		reads   int
	}{
		"logged out": {func(p *pushed, n int) {
			if n == 1 {
				p.change("anns", "", time.Time{})
			}
		}, http.StatusUnauthorized, 2},
		"another user": {func(p *pushed, n int) {
			if n == 1 {
				p.change("anns", "bob", time.Time{})
			}
		}, "bob", 2},
		"changing each time": {func(p *pushed, _ int) { p.change("anns", "ann", time.Time{}) },
			http.StatusServiceUnavailable, 8},
		"lost": {func(p *pushed, n int) {
			if n == 1 {
				p.f.Lost(errStream)
				p.set("anns", "bob", time.Time{})
			}
		}, "bob", 2},
		"lost and restored": {func(p *pushed, n int) {
			if n == 1 {
				p.f.Lost(errStream)
				p.set("anns", "bob", time.Time{})
				p.f.Restored("test")
			}
		}, "bob", 2},
		"lost time and again": {func(p *pushed, _ int) { p.f.Lost(errStream); p.f.Restored("test") },
			http.StatusServiceUnavailable, 8},
		"lost for good":   {func(p *pushed, _ int) { p.f.Lost(errStream) }, "ann", 2},
		"another session": {func(p *pushed, _ int) { p.change("bobs", "", time.Time{}) }, "ann", 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, b := newPushed(t, bridge.Options{})
				n := 0
				p.read = func(string) { n++; tt.happens(p, n) }
				h := hold(b, "anns")
				p.read = nil
				var got any = h.status
				if h.ctx != nil {
					got = h.user()
				}
				if got != tt.want {
					t.Errorf("%v, want %v", got, tt.want)
				}
				if n != tt.reads {
					t.Errorf("authenticated %d times, want %d", n, tt.reads)
				}
			})
		})
	}
}

// The same while the session is being read.
func TestChangeDuringTheReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, b := newPushed(t, bridge.Options{})
		first := true
		p.hook = func() { // the answer is on its way
			if first {
				first = false
				p.change("anns", "bob", time.Time{})
			}
		}
		if h := hold(b, "anns"); h.user() != "bob" {
			t.Errorf("user %s, want the present one", h.user())
		}
		if h := hold(b, "anns"); h.user() != "bob" {
			t.Errorf("user %s from the cache, want the present one", h.user())
		}
	})
}

// A Binding without Reload can't be judged, and nothing panics over it.
func TestChangeWithoutReload(t *testing.T) {
	for name, reload := range map[string]func(context.Context) (*bridge.Identity, error){
		"none":      nil,
		"panicking": func(context.Context) (*bridge.Identity, error) { panic("a bug") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newFeed("s", nil)
				b, _ := newBridge(t, stubFeeds{bridge.AuthenticatorFunc(func(_ context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
					h.Bind(bridge.Binding{Key: "s/s:anns", Feed: "s", Reload: reload})
					return &bridge.Identity{User: "ann", Key: "s/s:anns"}, nil
				}), p.Feeds()}, bridge.Options{})
				shutAtEnd(t, b)
				f := <-p.follower
				h := hold(b, "anns")
				f.Changed([]string{"s:anns"})
				f.Lost(errStream)
				pass(10 * time.Second)
				f.Restored("test")
				pass(10 * time.Second)
				h.mustStay(t)
			})
		})
	}
}

// A store that does not report changes after all is swept.
func TestNotWatchable(t *testing.T) {
	tests := map[string]struct {
		refusal error
		sweep   time.Duration
		within  time.Duration
	}{
		"by default":      {errStream, 0, 10 * time.Second},
		"as set":          {errStream, time.Minute, time.Minute},
		"push by default": {nil, 0, 5 * time.Minute},
		"push as set":     {nil, time.Minute, time.Minute},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newFeed("s", map[string]bridge.Identity{"anns": {User: "ann", Via: "test"}})
				p.refusal = tt.refusal
				b, book := newBridge(t, p, bridge.Options{Sweep: tt.sweep})
				shutAtEnd(t, b)
				synctest.Wait()
				h := hold(b, "anns")
				if tt.refusal != nil {
					p.expectReads(t, "a second handshake", 1, func() { hold(b, "anns") })
				}
				p.set("anns", "", time.Time{}) // and nobody is told
				start := time.Now()
				<-h.over
				if d := h.ended.Sub(start); h.code() != bridge.CodeSessionEnded || d > tt.within || d < tt.within*3/4 {
					t.Errorf("ended with %q after %v, want within %v", h.code(), d, tt.within)
				}
				if h := hold(b, "anns"); h.status != http.StatusUnauthorized {
					t.Error("the sweep left the identity in the cache")
				}
				if strings.Contains(book.String(), errStream.Error()) != (tt.refusal != nil) {
					t.Errorf("logged: %s", book.String())
				}
			})
		})
	}
}

// The same if that turns out later: connections need not wait for the long
// sweep that they were made with.
func TestWatchableNoMore(t *testing.T) {
	for name, err := range map[string]error{"an error": errStream, "the end": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newFeed("s", map[string]bridge.Identity{"anns": {User: "ann", Via: "test"}})
				stop := make(chan struct{})
				b, _ := newBridge(t, stubFeeds{p, []bridge.Feed{{Name: "s", Store: "redis", Prefixes: []string{"s:"},
					Follow: func(_ context.Context, _ []string, f bridge.Follower) error {
						f.Restored("test")
						<-stop
						f.Lost(errStream)
						return err
					}}}}, bridge.Options{MaxStale: 20 * time.Second})
				shutAtEnd(t, b)
				synctest.Wait()
				h := hold(b, "anns")
				close(stop)
				pass(time.Second)
				if n := p.readsOf(func() { pass(time.Minute) }); n < 6 || n > 9 {
					t.Errorf("read %d times in a minute, want once in 7.5s to 10s", n)
				}
				h.mustStay(t)
				p.set("anns", "", time.Time{})
				start := time.Now()
				<-h.over
				if d := h.ended.Sub(start); d > 10*time.Second {
					t.Errorf("ended after %v", d)
				}
			})
		})
	}
}

func TestShutdownStopsTheFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, b := newPushed(t, bridge.Options{})
		p.f.Lost(errStream)
		h := hold(b, "anns")
		pass(time.Second)
		p.store.mu.Lock()
		p.store.hang = true
		p.store.mu.Unlock()
		p.f.Changed([]string{"s:anns"})
		pass(time.Second)
		if err := b.Shutdown(t.Context()); err != nil || h.code() != bridge.CodeDraining {
			t.Errorf("error %v, ended with %q", err, h.code())
		}
		synctest.Wait()
		if p.followed.Load() != 0 {
			t.Error("the store is still followed")
		}
		p.expectReads(t, "after the end", 0, func() {
			p.f.Changed([]string{"s:anns"})
			p.f.Restored("test")
			p.f.Lost(errStream)
			pass(time.Minute)
		})
	})
}

// However many peers do not read, another's end is told at once.
func TestPeersThatDoNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, b := newPushed(t, bridge.Options{})
		s := inMemory(t, b.Handler(echo))
		for range 600 {
			s.open("Sid", "anns").expect("authenticated ann")
		}
		reader := s.open("Sid", "bobs")
		reader.expect("authenticated bob")
		start := time.Now()
		p.change("anns", "", time.Time{})
		synctest.Wait()
		p.change("bobs", "", time.Time{})
		reader.expect("deauthenticated session_ended")
		reader.closes(3000)
		if d := time.Since(start); d > 100*time.Millisecond {
			t.Errorf("told after %v", d)
		}
	})
}
