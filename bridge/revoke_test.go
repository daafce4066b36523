package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// wire is a bus inside the process.
type wire struct {
	mu        sync.Mutex
	receivers []func([]byte)
	sent      [][]byte
	err       error
}

func (w *wire) Publish(_ context.Context, message []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	w.sent = append(w.sent, message)
	for _, receive := range w.receivers {
		receive(message)
	}
	return nil
}

func (w *wire) Follow(ctx context.Context, receive func([]byte)) error {
	w.mu.Lock()
	w.receivers = append(w.receivers, receive)
	w.mu.Unlock()
	<-ctx.Done()
	return nil
}

// The sessions are s:anns, s:bobs; whose connections end?
func TestRevoke(t *testing.T) {
	tests := map[string]struct {
		target  bridge.Target
		message string // the same by the bus
		ended   []string
	}{
		"a user":              {bridge.Target{User: "ann"}, `{"user":"ann"}`, []string{"anns"}},
		"a user of a stack":   {bridge.Target{User: "ann", Via: "test"}, `{"user":"ann","via":"test"}`, []string{"anns"}},
		"of another stack":    {bridge.Target{User: "ann", Via: "php"}, `{"user":"ann","via":"php"}`, nil},
		"a user by number":    {bridge.Target{User: "7"}, `{"user":7}`, []string{"sevens"}},
		"a part of a user":    {bridge.Target{User: "an"}, `{"user":"an"}`, nil},
		"a session":           {bridge.Target{Session: "s:bobs"}, `{"session":"s:bobs"}`, []string{"bobs"}},
		"an unknown session":  {bridge.Target{Session: "bobs"}, `{"session":"bobs"}`, nil},
		"everybody":           {bridge.Target{Everybody: true}, `{"everybody":true}`, []string{"anns", "bobs", "sevens"}},
		"everybody, and more": {bridge.Target{Everybody: true}, `{"everybody":true,"reason":"a leak"}`, []string{"anns", "bobs", "sevens"}},
	}
	for name, tt := range tests {
		for _, by := range []string{"this node", "another node", "an application"} {
			t.Run(name+" by "+by, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					bus := &wire{}
					p, b := newPushed(t, bridge.Options{Bus: bus})
					p.set("sevens", "7", time.Time{})
					other, _ := newBridge(t, says(user("ann"), nil), bridge.Options{Bus: bus})
					shutAtEnd(t, other)
					synctest.Wait()
					sessions := map[string]*held{}
					for _, sid := range []string{"anns", "bobs", "sevens"} {
						sessions[sid] = hold(b, sid)
						defer sessions[sid].leave()
					}
					var err error
					switch by {
					case "this node":
						err = b.Revoke(t.Context(), tt.target)
					case "another node":
						err = other.Revoke(t.Context(), tt.target)
					default:
						err = bus.Publish(t.Context(), []byte(tt.message))
					}
					if err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					var ended []string
					for sid, h := range sessions {
						if h.ctx.Err() == nil {
							continue
						}
						if ended = append(ended, sid); endCode(h.ctx) != bridge.CodeRevoked {
							t.Errorf("%s ended with %q", sid, endCode(h.ctx))
						}
					}
					slices.Sort(ended)
					if diff := cmp.Diff(tt.ended, ended); diff != "" {
						t.Errorf("-want +got:\n%s", diff)
					}
				})
			})
		}
	}
}

// A node that hears its own message does not end who has come since.
func TestRevokeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &wire{}
		_, b := newPushed(t, bridge.Options{Bus: bus})
		synctest.Wait()
		receive := bus.receivers[0]
		bus.receivers = nil // what is sent arrives later
		for range 2 {
			if err := b.Revoke(t.Context(), bridge.Target{User: "ann"}); err != nil {
				t.Fatal(err)
			}
		}
		h := hold(b, "anns")
		defer h.leave()
		for _, message := range bus.sent {
			receive(message)
		}
		synctest.Wait()
		if h.ctx.Err() != nil {
			t.Errorf("ended with %q", endCode(h.ctx))
		}
		if len(bus.sent) != 2 || string(bus.sent[0]) == string(bus.sent[1]) {
			t.Errorf("sent %q: two messages must differ", bus.sent)
		}
	})
}

func TestRevokeRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &wire{}
		b, book := newBridge(t, newStore(map[string]bridge.Identity{"anns": *user("ann")}), bridge.Options{Bus: bus})
		shutAtEnd(t, b)
		h := hold(b, "anns")
		defer h.leave()
		synctest.Wait()
		for _, target := range []bridge.Target{
			{}, {Via: "test"}, {User: "ann", Everybody: true}, {User: "ann", Session: "s"}, {Session: "s", Via: "test"},
			{User: strings.Repeat("x", 5000)},
		} {
			if err := b.Revoke(t.Context(), target); err == nil {
				t.Errorf("%.80v was accepted", target)
			}
		}
		for _, message := range []string{
			``, `{}`, `null`, `[]`, `"ann"`, `{"user":""}`, `{"user":null}`, `{"user":true}`, `{"user":1.5}`, `{"user":[]}`, `{"user":{"id":1}}`,
			`{"User":{}}`, `{"everybody":false}`, `{"everybody":"yes"}`, `{"user":"ann","session":"s"}`, `{"user":"ann"`, `{"usr":"ann"}`,
			`{"user":"ann","x":"` + strings.Repeat("x", 5000) + `"}`,
		} {
			before := strings.Count(book.String(), "a revocation was not understood")
			if err := bus.Publish(t.Context(), []byte(message)); err != nil {
				t.Fatal(err)
			}
			if strings.Count(book.String(), "a revocation was not understood") != before+1 {
				t.Errorf("%.80s: not logged", message)
			}
		}
		synctest.Wait()
		if h.ctx.Err() != nil {
			t.Errorf("ended with %q", endCode(h.ctx))
		}
		bus.err = errOutage
		if err := b.Revoke(t.Context(), bridge.Target{User: "ann"}); !errors.Is(err, errOutage) {
			t.Errorf("error %v, want the bus's", err)
		}
		synctest.Wait()
		if endCode(h.ctx) != bridge.CodeRevoked {
			t.Error("the bus failed, and this node's connection did not end")
		}
	})
}

// A bus that fails is followed again.
type brokenWire struct {
	wire
	follows int
}

func (w *brokenWire) Follow(ctx context.Context, receive func([]byte)) error {
	w.mu.Lock()
	w.follows++
	broken := w.follows < 3
	w.mu.Unlock()
	if broken {
		return errOutage
	}
	return w.wire.Follow(ctx, receive)
}

func TestBusIsFollowedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &brokenWire{}
		b, book := newBridge(t, newStore(map[string]bridge.Identity{"anns": *user("ann")}), bridge.Options{Bus: bus})
		shutAtEnd(t, b)
		h := hold(b, "anns")
		defer h.leave()
		pass(10 * time.Second)
		if err := bus.Publish(t.Context(), []byte(`{"user":"ann"}`)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if endCode(h.ctx) != bridge.CodeRevoked {
			t.Errorf("not ended; followed %d times", bus.follows)
		}
		if n := strings.Count(book.String(), "revocations may be missed"); n != 2 {
			t.Errorf("%d losses are logged, want 2", n)
		}
	})
}

func TestSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b := newPushed(t, bridge.Options{})
		start := time.Now()
		for i, sid := range []string{"anns", "bobs", "anns"} {
			h := hold(b, sid)
			defer h.leave()
			if i == 0 {
				pass(time.Minute)
			}
		}
		var got []string
		for _, c := range b.Sessions() {
			got = append(got, fmt.Sprint(c.User, " ", c.Via, " ", c.Connections, " ", c.Since.Sub(start)))
		}
		slices.Sort(got)
		if diff := cmp.Diff([]string{"ann test 2 0s", "bob test 1 1m0s"}, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBridge(t, tokens{}, bridge.Options{})
		s := inMemory(t, b.Handler(echo))
		for range 2 { // tokens have no session in common
			s.open("Token", "ann").expect("authenticated ann")
		}
		s.open() // waits for its message: nobody yet
		synctest.Wait()
		if got := b.Sessions(); len(got) != 2 || b.Len() != 3 {
			t.Errorf("%d sessions and %d connections, want 2 and 3", len(got), b.Len())
		}
		if err := b.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func FuzzRevocation(f *testing.F) {
	for _, seed := range []string{`{"user":"ann","via":"php"}`, `{"user":7}`, `{"session":"sess:x"}`, `{"everybody":true}`, `{"Everybody":true}`, `{"user":-0}`, `{"id":"x-1","user":"\ud800"}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, message string) {
		synctest.Test(t, func(t *testing.T) {
			bus := &wire{}
			b, _ := newBridge(t, newStore(map[string]bridge.Identity{"anns": *user("ann")}), bridge.Options{Bus: bus})
			shutAtEnd(t, b)
			h := hold(b, "anns")
			defer h.leave()
			synctest.Wait()
			bus.receivers[0]([]byte(message))
			synctest.Wait() // it is acted on later
			// Only these words can mean ann; a member's name may be in any case.
			if h.ctx.Err() != nil && !strings.Contains(message, "ann") && !strings.Contains(message, `\u`) && !strings.Contains(strings.ToLower(message), "everybody") {
				t.Fatalf("%q ended ann's connection", message)
			}
		})
	})
}
