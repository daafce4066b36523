package bridge_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// readings is an authenticator whose store reports changes, and whose sessions
// are read by a function of the test's.
type readings struct {
	follower chan bridge.Follower
	read     func(ctx context.Context, id string) error
}

func (r *readings) Traits() bridge.Traits { return bridge.Traits{Message: true} }

func (r *readings) Feeds() []bridge.Feed {
	return []bridge.Feed{{Name: "s", Store: "s", Prefixes: []string{"s:"}, Follow: func(ctx context.Context, _ []string, f bridge.Follower) error {
		f.Restored("test")
		f.Alive(time.Now().Add(24 * time.Hour))
		r.follower <- f
		<-ctx.Done()
		return nil
	}}}
}

func (r *readings) Authenticate(ctx context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
	id := "first"
	if h.Message != nil {
		id = h.Message.SessionID
	}
	key := "s/s:" + id
	return h.Load(ctx, bridge.Binding{Key: key, Feed: "s", Reload: func(ctx context.Context) (*bridge.Identity, error) {
		if err := r.read(ctx, id); err != nil {
			return nil, err
		}
		return &bridge.Identity{User: "ann", Via: "test", Key: key}, nil
	}})
}

func newReadings(t *testing.T, o bridge.Options, read func(context.Context, string) error) (*bridge.Bridge, bridge.Follower) {
	t.Helper()
	r := &readings{make(chan bridge.Follower, 1), read}
	b, _ := newBridge(t, r, o)
	shutAtEnd(t, b)
	return b, <-r.follower
}

func open(t *testing.T, b *bridge.Bridge) *bridge.Link {
	t.Helper()
	l, err := b.Open(httptest.NewRequest(http.MethodGet, "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(nil) })
	return l
}

// A service that stops does not wait for a store that hangs.
func TestShutdownDuringAReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newReadings(t, bridge.Options{}, func(ctx context.Context, _ string) error {
			<-ctx.Done()
			return ctx.Err()
		})
		l := open(t, b)
		done := make(chan error)
		go func() {
			err := l.Authenticate(t.Context(), nil)
			l.Close(nil)
			done <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		began := time.Now()
		go func() { _ = b.Shutdown(ctx) }()
		if err := <-done; err == nil || time.Since(began) > 4*time.Second {
			t.Errorf("it went on with %v, %v after the service was to stop", err, time.Since(began))
		}
	})
}

// One whose time is up does not take those with it who wait for its reading,
// even if its store goes by the deadline itself.
func TestDeadlineIsItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := true
		b, _ := newReadings(t, bridge.Options{AuthTimeout: time.Second}, func(ctx context.Context, _ string) error {
			if !first {
				return nil
			}
			first = false
			_ = ctx.Done()
			end, _ := ctx.Deadline()
			<-time.After(time.Until(end))
			return context.DeadlineExceeded
		})
		one, other := open(t, b), open(t, b)
		done := make(chan error)
		go func() { done <- one.Authenticate(t.Context(), nil) }()
		<-time.After(500 * time.Millisecond)
		if err := other.Authenticate(t.Context(), nil); err != nil {
			t.Errorf("with half a second left: %v", err)
		}
		if err := <-done; err == nil {
			t.Error("the first was let in by a reading that failed")
		}
	})
}

// A client moves to another session of its own while the one it has is looked
// at.
func TestLookDuringReauthentication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		b, f := newReadings(t, bridge.Options{}, func(ctx context.Context, id string) error {
			if id == "second" {
				<-gate
			}
			return nil
		})
		l := open(t, b)
		if err := l.Authenticate(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() {
			done <- l.Authenticate(t.Context(), &bridge.Message{Kind: bridge.MessageRedisKey, SessionID: "second"})
		}()
		synctest.Wait()
		f.Changed([]string{"s:first"})
		<-time.After(time.Second)
		close(gate)
		if err := <-done; err != nil {
			t.Errorf("a good session: %v", err)
		}
		if key := l.Identity().Key; key != "s/s:second" {
			t.Errorf("the identity is of %s", key)
		}
	})
}

// An observer may ask for the context of what it is told about.
func TestObserverAsksForTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l *bridge.Link
		var causes []error
		b, _ := newReadings(t, bridge.Options{Observe: func(ctx context.Context, e bridge.Event) context.Context {
			if e.Kind == bridge.EventConnectionBegin || e.Kind == bridge.EventConnectionEnd {
				causes = append(causes, context.Cause(l.Context()))
			}
			return ctx
		}}, func(context.Context, string) error { return nil })
		l = open(t, b)
		if err := l.Authenticate(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		l.Close(nil)
		if len(causes) != 2 || causes[0] != nil || causes[1] != bridge.ErrClosed {
			t.Errorf("causes %v, want none at the beginning and ErrClosed at the end", causes)
		}
	})
}
