package bridge_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/bridge"
)

var kinds = map[bridge.EventKind]string{
	bridge.EventHandshakeBegin: "handshake…", bridge.EventHandshakeEnd: "handshake",
	bridge.EventLookupBegin: "lookup…", bridge.EventLookupEnd: "lookup", bridge.EventCacheHit: "hit",
	bridge.EventPendingBegin: "pending…", bridge.EventPendingEnd: "pending",
	bridge.EventConnectionBegin: "connection…", bridge.EventConnectionEnd: "connection",
	bridge.EventChangeJudged: "judged", bridge.EventWatchRestored: "restored", bridge.EventWatchLost: "lost",
	bridge.EventWatchRefused: "no reports", bridge.EventResync: "resync",
}

// observer writes down what it is told, and within what.
type observer struct {
	mu     sync.Mutex
	events []string
}

type within struct{}

func (o *observer) observe(ctx context.Context, e bridge.Event) context.Context {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := []string{kinds[e.Kind]}
	for _, s := range []string{e.Via, string(e.Code), e.Mode} {
		if s != "" {
			text = append(text, s)
		}
	}
	if e.Kind == bridge.EventResync {
		text = append(text, fmt.Sprint(e.Count))
	}
	if outer, ok := ctx.Value(within{}).(string); ok {
		text = append(text, "in "+outer)
	}
	o.events = append(o.events, strings.Join(text, " "))
	if name, begins := strings.CutSuffix(kinds[e.Kind], "…"); begins {
		return context.WithValue(ctx, within{}, name)
	}
	return ctx
}

func (o *observer) take() []string {
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	events := o.events
	o.events = nil
	return events
}

func TestObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &observer{}
		p, b := newPushed(t, bridge.Options{Observe: o.observe})
		expect := func(step string, want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, o.take()); diff != "" {
				t.Errorf("%s: -want +got:\n%s", step, diff)
			}
		}
		expect("at first", "restored test", "resync 0")
		h := hold(b, "anns")
		expect("a handshake", "handshake…", "lookup… in handshake", "lookup test in lookup", "connection… test in handshake", "handshake test in handshake")
		again := hold(b, "anns")
		expect("another", "handshake…", "hit test in handshake", "connection… test in handshake", "handshake test in handshake")
		again.leave()
		<-again.over
		expect("its client leaves", "connection test in handshake")
		p.change("anns", "ann", time.Time{})
		expect("a change", "lookup…", "lookup test in lookup", "judged")
		p.change("anns", "", time.Time{})
		<-h.over
		expect("a logout", "lookup…", "lookup credentials_required in lookup", "connection test session_ended in handshake", "judged")
		hold(b, "anns")
		expect("nobody", "handshake…", "lookup… in handshake", "lookup credentials_required in lookup", "handshake credentials_required in handshake")
		bob := hold(b, "bobs")
		defer bob.leave()
		o.take()
		p.f.Lost(errStream)
		p.f.Restored("another")
		pass(time.Second)
		expect("a lost stream", "lost", "restored another", "lookup…", "lookup test in lookup", "resync 1")
		p.fail(errOutage)
		p.f.Changed([]string{p.key("bobs")})
		expect("an outage", "lookup…", "lookup unavailable in lookup", "judged")
		p.fail(nil)
	})
}

func TestObservePending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &observer{}
		b, _ := newBridge(t, tokens{}, bridge.Options{Observe: o.observe})
		c := inMemory(t, b.Handler(echo)).open()
		if diff := cmp.Diff([]string{"handshake…", "pending…"}, o.take()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		c.send(tokenFrame("ann"))
		c.expect("authenticated ann")
		if diff := cmp.Diff([]string{"connection… jwt", "pending", "handshake jwt in handshake"}, o.take()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		l, err := b.Open(httptest.NewRequest("GET", "/", nil))
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Wait(0); err != nil {
			t.Error(err)
		}
		_ = l.Authenticate(t.Context(), &bridge.Message{Kind: bridge.MessageToken, Token: "bad"})
		l.Close(nil)
		if diff := cmp.Diff([]string{"pending…", "handshake…", "handshake invalid_token in handshake", "pending"}, o.take()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}
