package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// A token whose notice falls into an outage that is over before MaxStale.
func TestNoticeDuringAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var down atomic.Bool
		id := &bridge.Identity{User: "ann", Via: "jwt", Key: "token", Claims: map[string]any{}, Expires: start.Add(10 * time.Minute)}
		b, _ := newBridge(t, bridge.AuthenticatorFunc(func(ctx context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
			return h.Load(ctx, bridge.Binding{Key: "token", Reload: func(context.Context) (*bridge.Identity, error) {
				if down.Load() {
					return nil, errOutage
				}
				return id, nil
			}})
		}), bridge.Options{})
		shutAtEnd(t, b)
		l, told := openLink(t, b, request())
		if err := l.Authenticate(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		var notices atomic.Int64
		l.OnExpiring(func(*bridge.Identity) { notices.Add(1) })
		pass(9*time.Minute - 15*time.Second)
		down.Store(true)
		pass(18 * time.Second)
		down.Store(false)
		<-l.Context().Done()
		if d := time.Since(start); told() != bridge.CodeTokenExpired || d != 10*time.Minute {
			t.Errorf("ended with %q after %v, want token_expired after 10m: the store was away for 18s of the 30s allowed", told(), d)
		}
		if notices.Load() != 1 {
			t.Errorf("%d notices", notices.Load())
		}
	})
}

// hookLog is a log handler that calls a function for each record.
type hookLog struct {
	slog.Handler
	hook func(slog.Record)
}

func (h hookLog) Enabled(context.Context, slog.Level) bool { return true }

func (h hookLog) Handle(_ context.Context, r slog.Record) error { h.hook(r); return nil }

// OnEnd while the life ends: once, whatever comes first.
func TestOnEndAtTheEndIsCalledOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l *bridge.Link
		var calls atomic.Int64
		b, err := bridge.New(says(user("ann"), nil), &bridge.Options{Logger: slog.New(hookLog{hook: func(r slog.Record) {
			if r.Message == "connection ended" { // between the end and its being told
				l.OnEnd(func(*bridge.EndError) { calls.Add(1) })
			}
		}})})
		if err != nil {
			t.Fatal(err)
		}
		if l, err = b.Open(request()); err != nil {
			t.Fatal(err)
		}
		defer l.Close(nil)
		l.End(&bridge.EndError{Code: bridge.CodeClientRequest})
		synctest.Wait()
		if n := calls.Load(); n != 1 {
			t.Errorf("OnEnd's function was called %d times", n)
		}
	})
}

// An operator bans ann and then revokes her, while a handshake of hers has read
// that she is not banned.
func TestRevokeDuringTheHandshake(t *testing.T) {
	for name, target := range map[string]bridge.Target{
		"user":      {User: "ann"},
		"everybody": {Everybody: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var banned atomic.Bool
				read, answer := make(chan struct{}, 8), make(chan struct{})
				b, _ := newBridge(t, bridge.AuthenticatorFunc(func(context.Context, *bridge.Handshake) (*bridge.Identity, error) {
					is := banned.Load()
					read <- struct{}{}
					<-answer
					if is {
						return nil, bridge.Reject(bridge.CodeRevoked, "banned", nil)
					}
					return user("ann"), nil
				}), bridge.Options{})
				shutAtEnd(t, b)
				done := make(chan *held)
				go func() { done <- hold(b, "anns") }()
				<-read
				banned.Store(true)
				if err := b.Revoke(t.Context(), target); err != nil {
					t.Fatal(err)
				}
				close(answer)
				h := <-done
				defer h.leave()
				pass(time.Hour)
				if h.code() == "" {
					t.Error("an hour after her ban and the revocation ann is still connected")
				}
			})
		})
	}
}

// A store that reports no changes has no feed, and its sessions can be revoked
// all the same.
func TestRevokeSessionWithoutFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBridge(t, bridge.AuthenticatorFunc(func(ctx context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
			return h.Load(ctx, bridge.Binding{Key: "php/sess:anns", Reload: func(context.Context) (*bridge.Identity, error) {
				return user("ann"), nil
			}})
		}), bridge.Options{})
		shutAtEnd(t, b)
		h := hold(b, "anns")
		defer h.leave()
		if err := b.Revoke(t.Context(), bridge.Target{Session: "sess:anns"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if h.code() != bridge.CodeRevoked {
			t.Errorf("Revoke reported success; the connection ended with %q", h.code())
		}
	})
}

// A change that was reported when nobody was left is not measured at the next
// look, minutes later.
func TestChangeJudgedIsNotOfAnotherTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var took []time.Duration
		p, b := newPushed(t, bridge.Options{Observe: func(ctx context.Context, e bridge.Event) context.Context {
			if e.Kind == bridge.EventChangeJudged {
				mu.Lock()
				defer mu.Unlock()
				took = append(took, e.Duration)
			}
			return ctx
		}})
		h := hold(b, "anns")
		pass(time.Second)
		p.f.Changed([]string{"s:anns"}) // judged at once
		synctest.Wait()
		p.f.Changed([]string{"s:anns"}) // to be judged in 10ms
		h.leave()
		<-h.over
		again := hold(b, "anns") // caches it
		again.leave()
		<-again.over
		pass(10 * time.Minute)
		last := hold(b, "anns")
		defer last.leave()
		pass(10 * time.Minute) // a sweep
		mu.Lock()
		defer mu.Unlock()
		for _, d := range took {
			if d > time.Second {
				t.Errorf("a change is said to have been judged after %v", d)
			}
		}
		if len(took) == 0 {
			t.Error("no change was judged")
		}
	})
}

// However many sessions there are, and however slowly the store fails, none
// outlives its look by more than MaxStale and a little.
func TestMaxStaleOfManySessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 2000
		sessions := map[string]bridge.Identity{}
		for i := range n {
			sessions[fmt.Sprint(i)] = bridge.Identity{User: "ann", Via: "test"}
		}
		s := newStore(sessions) // no feed: swept each 10 s
		b, _ := newBridge(t, s, bridge.Options{})
		shutAtEnd(t, b)
		var all []*held
		for i := range n {
			all = append(all, hold(b, fmt.Sprint(i)))
		}
		s.mu.Lock()
		s.hang = true
		s.mu.Unlock()
		start := time.Now()
		var last time.Duration
		for _, h := range all {
			<-h.over
			last = max(last, h.ended.Sub(start))
		}
		const want = 10*time.Second + 30*time.Second + 6*time.Second // Sweep, MaxStale, one answer that does not come
		if last > want {
			t.Errorf("the last of %d connections stayed for %v without its store, want %v at the most", n, last, want)
		}
	})
}

// A user's id that is no UTF-8, as an old PHP application may have, is revoked
// on all nodes or refused.
func TestRevokeOfWhatIsNotUTF8(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &wire{}
		name := "jos\xe9"
		here, _ := newBridge(t, says(user(name), nil), bridge.Options{Bus: bus})
		there, _ := newBridge(t, says(user(name), nil), bridge.Options{Bus: bus})
		shutAtEnd(t, here)
		shutAtEnd(t, there)
		synctest.Wait()
		h := hold(there, "x")
		defer h.leave()
		err := here.Revoke(t.Context(), bridge.Target{User: name})
		synctest.Wait()
		if err == nil && h.code() != bridge.CodeRevoked {
			t.Error("Revoke reported success and the other node's connection stays")
		}
	})
}

// Two authentications of one link at once, of which the second begins after
// the first one's session has ended.
func TestLinkAuthenticatesTwiceAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, b := newPushed(t, bridge.Options{})
		p.set("carls", "carl", time.Time{})
		gates := map[string]chan struct{}{"anns": make(chan struct{}), "carls": make(chan struct{})}
		var once sync.Map
		p.read = func(sid string) {
			if _, again := once.LoadOrStore(sid, true); !again {
				<-gates[sid]
			}
		}
		l, err := b.Open(request())
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close(nil)
		var both sync.WaitGroup
		authenticate := func(sid string) {
			both.Go(func() {
				_ = l.Authenticate(context.Background(), &bridge.Message{Kind: bridge.MessageRedisKey, SessionID: sid})
			})
			synctest.Wait()
		}
		authenticate("anns") // has read that she is logged in
		p.change("anns", "", time.Time{})
		pass(time.Second)
		authenticate("carls")
		close(gates["anns"])
		synctest.Wait()
		close(gates["carls"])
		both.Wait()
		pass(time.Minute)
		if id := l.Identity(); id != nil && id.User == "ann" && l.Context().Err() == nil {
			t.Error("a minute after her logout, which was reported, ann is connected")
		}
	})
}

// What an adapter does wrong at one connection's end must not end the service,
// as it does not in a handler.
func TestPanicAtTheEnd(t *testing.T) {
	if os.Getenv("BRIDGE_TEST_PANIC") != "" {
		b, _ := newBridge(t, says(user("ann"), nil), bridge.Options{})
		l, err := b.Open(request())
		if err != nil {
			t.Fatal(err)
		}
		called := make(chan struct{})
		l.OnEnd(func(*bridge.EndError) { defer close(called); panic("an adapter's bug") })
		l.End(&bridge.EndError{Code: bridge.CodeClientRequest})
		<-called
		<-time.After(100 * time.Millisecond) // for the process to die
		l.Close(nil)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPanicAtTheEnd$")
	cmd.Env = append(os.Environ(), "BRIDGE_TEST_PANIC=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		if len(out) > 400 {
			out = out[:400]
		}
		t.Errorf("the process ended: %v\n%s", err, out)
	}
}

// An observer that panics does not leave a connection in the books for ever.
func TestObserverThatPanics(t *testing.T) {
	for name, kind := range map[string]bridge.EventKind{
		"begin": bridge.EventConnectionBegin, "end": bridge.EventConnectionEnd, "handshake": bridge.EventHandshakeEnd,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, _ := newBridge(t, says(user("ann"), nil), bridge.Options{Observe: func(ctx context.Context, e bridge.Event) context.Context {
					if e.Kind == kind {
						panic("an observer's bug")
					}
					return ctx
				}})
				func() {
					defer func() { _ = recover() }()
					b.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).
						ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
				}()
				if n := b.Len(); n != 0 {
					t.Errorf("%d requests are served after the last is gone; a shutdown waits for it", n)
				}
			})
		})
	}
}

// Every handshake that began is observed to end, also if the authenticator
// panics.
func TestPanickingHandshakeIsObservedToEnd(t *testing.T) {
	var begun, ended int
	b, _ := newBridge(t, bridge.AuthenticatorFunc(func(context.Context, *bridge.Handshake) (*bridge.Identity, error) { panic("a bug") }),
		bridge.Options{Observe: func(ctx context.Context, e bridge.Event) context.Context {
			switch e.Kind {
			case bridge.EventHandshakeBegin:
				begun++
			case bridge.EventHandshakeEnd:
				ended++
				if e.Err == nil {
					t.Error("observed to have succeeded")
				}
			}
			return ctx
		}})
	l, err := b.Open(request())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(nil)
	for _, f := range []func(){
		func() {
			b.Middleware(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
		},
		func() { _ = l.Authenticate(context.Background(), nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			f()
		}()
	}
	if begun != 2 || ended != begun {
		t.Errorf("%d handshakes began and %d ended", begun, ended)
	}
}

// The same session bound first without and then with its further keys: a
// change under those is a change all the same.
func TestAliasesOfALaterBinding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := atomic.Bool{}
		p := newFeed("s", nil)
		bound := 0
		b, _ := newBridge(t, stubFeeds{bridge.AuthenticatorFunc(func(ctx context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
			n := bridge.Binding{Key: "s/s:anns", Feed: "s", Reload: func(context.Context) (*bridge.Identity, error) {
				if gone.Load() {
					return nil, bridge.ErrNoCredential
				}
				return user("ann"), nil
			}}
			if bound++; bound > 1 {
				n.Aliases = []string{"s/s:old"}
			}
			return h.Load(ctx, n)
		}), p.Feeds()}, bridge.Options{})
		shutAtEnd(t, b)
		f := <-p.follower
		first, second := hold(b, "a"), hold(b, "b")
		defer first.leave()
		defer second.leave()
		gone.Store(true)
		f.Changed([]string{"s:old"})
		pass(time.Second)
		if second.code() == "" {
			t.Error("a change under the second binding's alias went unnoticed")
		}
	})
}

// Nobody is told that a token runs out whose connection has ended.
func TestNoNoticeAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBridge(t, tokens{}, bridge.Options{})
		link, told := openLink(t, b, request("Token", "ann/2m"))
		if err := link.Authenticate(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		link.OnExpiring(func(*bridge.Identity) {
			if link.Context().Err() != nil {
				t.Error("told that the token runs out, after the end")
			}
		})
		<-time.After(time.Minute - time.Millisecond)
		for range 256 { // all who could tell are busy
			l, err := b.Open(request())
			if err != nil {
				t.Fatal(err)
			}
			l.OnEnd(func(*bridge.EndError) { <-time.After(10 * time.Millisecond) })
			l.End(&bridge.EndError{Code: bridge.CodeClientRequest})
			defer l.Close(nil)
		}
		<-time.After(2 * time.Millisecond) // it is time
		synctest.Wait()
		link.End(&bridge.EndError{Code: bridge.CodeClientRequest})
		pass(time.Second)
		if told() != bridge.CodeClientRequest {
			t.Error("the end was not told")
		}
		if err := b.Shutdown(canceled()); err == nil {
			t.Error("nobody was left")
		}
	})
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// The last connection of a session leaves while it is looked at, and another
// comes: it is not judged by the look that was given up.
func TestLookGivenUpJudgesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFeed("s", nil)
		var n atomic.Int64
		gate := make(chan struct{})
		b, _ := newBridge(t, stubFeeds{bridge.AuthenticatorFunc(func(ctx context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
			return h.Load(ctx, bridge.Binding{Key: "s/s:anns", Feed: "s", Reload: func(ctx context.Context) (*bridge.Identity, error) {
				if n.Add(1) == 2 { // the look
					<-gate
					return nil, ctx.Err()
				}
				return user("ann"), nil
			}})
		}), p.Feeds()}, bridge.Options{MaxStale: -1})
		shutAtEnd(t, b)
		f := <-p.follower
		first := hold(b, "a")
		f.Changed([]string{"s:anns"})
		synctest.Wait()
		first.leave()
		<-first.over
		second := hold(b, "b")
		defer second.leave()
		close(gate)
		synctest.Wait()
		second.mustStay(t)
	})
}

// A connection without Reload, and one with it, of one session: for the race
// detector.
func TestReloadIsSetOnce(t *testing.T) {
	var n atomic.Int64
	b, _ := newBridge(t, bridge.AuthenticatorFunc(func(ctx context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
		k := n.Add(1)
		binding := bridge.Binding{Key: fmt.Sprint("k", k/8)}
		if k%8 > 3 {
			binding.Reload = func(context.Context) (*bridge.Identity, error) { return user("ann"), nil }
		}
		h.Bind(binding)
		return &bridge.Identity{User: "ann", Via: "test", Key: binding.Key}, nil
	}), bridge.Options{})
	shutAtEnd(t, b)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 200 {
				hold(b, "x").leave()
			}
		})
	}
	all.Wait()
}

// The touch of a connection that is gone does not use up its session's.
func TestTouchOfTheGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var touched atomic.Int64
		block := make(chan struct{})
		b, _ := newBridge(t, bridge.AuthenticatorFunc(func(ctx context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
			sid := h.Request.Header.Get("Sid")
			return h.Load(ctx, bridge.Binding{
				Key:    sid,
				Reload: func(context.Context) (*bridge.Identity, error) { return user("ann"), nil },
				Touch: func(ctx context.Context) error {
					if strings.HasPrefix(sid, "slow") {
						select {
						case <-block:
						case <-ctx.Done():
						}
						return nil
					}
					if ctx.Err() != nil {
						return ctx.Err()
					}
					touched.Add(1)
					return nil
				},
			})
		}), bridge.Options{Touch: time.Minute})
		link := func(sid string) *bridge.Link {
			l, err := b.Open(request("Sid", sid))
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Authenticate(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			return l
		}
		var slow []*bridge.Link
		for i := range 256 {
			slow = append(slow, link(fmt.Sprint("slow", i)))
			slow[i].Active()
		}
		first, second := link("anns"), link("anns")
		first.Active() // waits for its turn
		first.Close(nil)
		close(block)
		synctest.Wait()
		second.Active()
		pass(time.Second)
		if touched.Load() == 0 {
			t.Error("the session of an active connection was not kept alive, for the sake of one that is gone")
		}
		second.Close(nil)
		for _, l := range slow {
			l.Close(nil)
		}
		if err := b.Shutdown(t.Context()); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// A token that is good until the year 3000, which is further than a duration
// reaches: the others run out in their time all the same, and nobody is told
// that it runs out.
func TestTokenForCenturies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBridge(t, bridge.AuthenticatorFunc(func(_ context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
			id := &bridge.Identity{User: "ann", Via: "jwt", Claims: map[string]any{}, Expires: time.Now().Add(time.Minute)}
			if h.Request.Header.Get("Sid") == "far" {
				id.Expires = time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)
			}
			return id, nil
		}), bridge.Options{})
		shutAtEnd(t, b)
		pass(time.Hour)
		far, told := openLink(t, b, request("Sid", "far"))
		far.OnExpiring(func(id *bridge.Identity) { t.Errorf("told that a token until %v runs out", id.Expires) })
		near, toldNear := openLink(t, b, request("Sid", "near"))
		for _, l := range []*bridge.Link{far, near} {
			if err := l.Authenticate(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
		pass(time.Hour)
		if told() != "" || toldNear() != bridge.CodeTokenExpired {
			t.Errorf("the far one ended with %q, the near one with %q", told(), toldNear())
		}
	})
}

// An authenticator that panics over a message ends that connection, and
// nothing else waits for it.
func TestPanicOverAMessage(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	b, _ := newBridge(t, stub{bridge.Traits{Message: true}, func(_ context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
		if h.Message != nil {
			panic("an authenticator's bug")
		}
		return user("ann"), nil
	}}, bridge.Options{})
	s := loopback(t, b.Handler(echo))
	s.t = t
	c := s.open()
	c.expect("authenticated ann")
	c.send(tokenFrame("x"))
	c.closes(1011)
	ctx, cancel := context.WithTimeout(t.Context(), realPatience)
	defer cancel()
	if err := b.Shutdown(ctx); err != nil {
		t.Errorf("%v: %d connections are left", err, b.Len())
	}
}
