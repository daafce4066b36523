package socketcluster_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest/wiretest"
	"github.com/sessionbridge/sessionbridge/socketcluster"
)

// An expired socket gets nothing of what it was subscribed to, nor may it
// publish; what anybody may have goes on.
func TestExpiryStopsDelivery(t *testing.T) {
	s := newService(t, wiretest.Tokens(t), newOptions())
	c := s.node(t, with{Token: new(wiretest.Sign(t, "42", 3*time.Second))})
	c.start()
	c.subscribe("news")
	c.subscribe("public/news")
	c.Must(map[string]any{"do": "publish", "channel": "news", "data": "before"})
	wiretest.Equal(t, "before the end", any("before"), c.Wait("message")["data"])

	c.Wait("deauthenticate")
	wiretest.Equal(t, "kickOut", map[string]any{"channel": "news", "message": "token_expired"}, c.Wait("kickOut"))
	for _, channel := range []string{"news", "public/news"} {
		if err := s.server.Publish(channel, "after"); err != nil {
			t.Fatal(err)
		}
	}
	wiretest.Equal(t, "after the end", map[string]any{"channel": "public/news", "data": "after"}, c.Wait("message"))
	r := c.Do(map[string]any{"do": "publish", "channel": "news", "data": "forbidden"})
	wiretest.Equal(t, "publishing", any("AuthError"), r.Error["name"])
	state := c.State()
	wiretest.Equal(t, "authState", any("unauthenticated"), state["authState"])
	wiretest.Equal(t, "state", any("open"), state["state"])
	wiretest.Equal(t, "stored", any(map[string]any{}), state["stored"])
	if n := s.server.Subscribers("news"); n != 0 {
		t.Errorf("%d subscribers left", n)
	}
}

// What is published once an identity has ended does not arrive, and nothing at
// all does behind the word of it.
func TestNothingAfterTheEnd(t *testing.T) {
	sessions := wiretest.NewSessions("42")
	var over atomic.Bool
	o := newOptions()
	o.Issuer = nil
	o.OnAuthState = func(_ *socketcluster.Conn, _, present *bridge.Identity) { over.Store(present == nil) }
	s := newService(t, sessions, o)
	c := s.dial(t, http.Header{"Cookie": {"user=42"}})
	if !c.shake("").IsAuthenticated {
		t.Fatal("not authenticated")
	}
	c.send(`{"event":"#subscribe","data":{"channel":"news"},"cid":2}`)
	c.want(`{"rid":2}`)
	ctx, stop := context.WithCancel(t.Context())
	var publisher sync.WaitGroup
	publisher.Go(func() {
		tick := time.NewTicker(200 * time.Microsecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			<-tick.C
			if err := s.server.Publish("news", over.Load()); err != nil {
				t.Error(err)
			}
		}
	})
	defer publisher.Wait()
	defer stop()
	got, told := 0, map[string]bool{}
	for len(told) < 2 {
		frame, err := c.next()
		if err != nil {
			t.Fatal(err)
		}
		switch frame {
		case `{"event":"#publish","data":{"channel":"news","data":false}}`:
			if got++; got == 100 {
				sessions.Logout("42")
			}
			if len(told) > 0 {
				t.Fatal("a message behind the end")
			}
		case `{"event":"#removeAuthToken"}`, `{"event":"#kickOut","data":{"channel":"news","message":"session_ended"}}`:
			told[frame] = true
		default:
			t.Fatalf("got %s", frame)
		}
	}
	if got < 100 {
		t.Errorf("%d messages before the logout", got)
	}
	c.send(`{"event":"whoami","cid":3}`)
	c.want(`{"rid":3}`)
}

// What still waits for a slow client when the identity ends is not delivered.
func TestQueueAtTheEnd(t *testing.T) {
	const messages = 400
	sessions := wiretest.NewSessions("42")
	o := newOptions()
	o.MaxQueue = 64 << 20
	s := newService(t, sessions, o)
	c := s.dial(t, http.Header{"Cookie": {"user=42"}})
	if !c.shake("").IsAuthenticated {
		t.Fatal("not authenticated")
	}
	c.send(`{"event":"#subscribe","data":{"channel":"news"},"cid":2}`)
	for frame := ""; frame != `{"rid":2}`; {
		var err error
		if frame, err = c.next(); err != nil {
			t.Fatal(err)
		}
	}
	data := strings.Repeat("x", 64<<10) // in all more than the kernel's buffers take
	for range messages {
		if err := s.server.Publish("news", data); err != nil {
			t.Fatal(err)
		}
	}
	sessions.Logout("42")
	wiretest.Eventually(t, "the subscription is over", func() bool { return s.server.Subscribers("news") == 0 })
	got := 0
	for {
		frame, err := c.next()
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(frame, `{"event":"#kickOut"`) {
			break
		}
		if strings.HasPrefix(frame, `{"event":"#publish"`) {
			got++
		}
	}
	if got == messages {
		t.Error("all of them were delivered")
	}
}

// While the application is being asked again about a channel, nothing of it is
// delivered; and a subscription that was allowed to somebody who has logged
// out meanwhile is not made.
func TestAskingMeanwhile(t *testing.T) {
	for _, tc := range []struct {
		name string
		hold func(*socketcluster.Request) bool // which question is answered late
	}{
		{"again, about nobody", func(r *socketcluster.Request) bool { return r.Identity == nil && r.Channel == "news" }},
		{"for the first time", func(r *socketcluster.Request) bool { return r.Identity != nil && r.Channel == "late" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sessions := wiretest.NewSessions("42")
			asked, release := make(chan struct{}), make(chan struct{})
			o := newOptions()
			o.Issuer = nil
			o.Authorize = func(ctx context.Context, r *socketcluster.Request) error {
				if tc.hold(r) {
					close(asked)
					<-release
				}
				return private(ctx, r)
			}
			s := newService(t, sessions, o)
			c := s.dial(t, http.Header{"Cookie": {"user=42"}})
			if !c.shake("").IsAuthenticated {
				t.Fatal("not authenticated")
			}
			c.send(`{"event":"#subscribe","data":{"channel":"news"},"cid":2}`)
			c.want(`{"rid":2}`)
			late := tc.name == "for the first time"
			if late {
				c.send(`{"event":"#subscribe","data":{"channel":"late"},"cid":3}`)
				<-asked
			}
			sessions.Logout("42")
			if !late {
				<-asked
				if err := s.server.Publish("news", "secret"); err != nil {
					t.Fatal(err)
				}
				c.send(`{"event":"whoami","cid":9}`)
			} else {
				wiretest.Eventually(t, "kicked out of news", func() bool { return s.server.Subscribers("news") == 0 })
			}
			told := map[string]bool{}
			if !late {
				for !told[`{"rid":9}`] { // behind what was published
					frame, err := c.next()
					if err != nil || frame != `{"rid":9}` && frame != `{"event":"#removeAuthToken"}` {
						t.Fatalf("got %s, %v", frame, err)
					}
					told[frame] = true
				}
				delete(told, `{"rid":9}`)
			}
			close(release)
			want := []string{`{"event":"#kickOut","data":{"channel":"news","message":"session_ended"}}`, `{"event":"#removeAuthToken"}`}
			if late {
				want = append(want, `{"rid":3,"error":{"name":"AuthError","message":"log in first"}}`)
			}
			for len(told) < len(want) {
				frame, err := c.next()
				if err != nil {
					t.Fatalf("%v, after %v", err, told)
				}
				if !slices.Contains(want, frame) {
					t.Fatalf("got %s", frame)
				}
				told[frame] = true
			}
			if n := s.server.Subscribers("late") + s.server.Subscribers("news"); n != 0 {
				t.Errorf("%d subscribers left", n)
			}
		})
	}
}

// With CloseOnEnd, the client is closed for good, and has forgotten its token.
func TestCloseOnEnd(t *testing.T) {
	o := newOptions()
	o.CloseOnEnd = true
	s := newService(t, wiretest.Tokens(t), o)
	c := s.node(t, with{Token: new(wiretest.Sign(t, "42", 2*time.Second))})
	c.start()
	c.subscribe("news")
	c.Wait("deauthenticate")
	end := c.Wait("disconnect")
	wiretest.Equal(t, "disconnect", map[string]any{"code": 4500.0, "reason": "token_expired"}, end)
	state := c.State()
	wiretest.Equal(t, "pendingReconnect", any(false), state["pendingReconnect"])
	wiretest.Equal(t, "stored", any(map[string]any{}), state["stored"])
}

// A service that stops says so, to anonymous clients as well, and they come
// back later.
func TestDrain(t *testing.T) {
	for _, token := range []*string{nil, new(wiretest.Sign(t, "42", time.Hour))} {
		s := newService(t, wiretest.Tokens(t), newOptions())
		c := s.node(t, with{Token: token})
		c.start()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := s.bridge.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
		wiretest.Equal(t, "disconnect", map[string]any{"code": 1001.0, "reason": "draining"}, c.Wait("disconnect"))
		state := c.State()
		wiretest.Equal(t, "pendingReconnect", any(true), state["pendingReconnect"])
		if token != nil && len(state["stored"].(map[string]any)) != 1 {
			t.Error("the client has lost its token")
		}
		resp, err := s.http.Client().Do(upgradeRequest(t, s, nil))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
			t.Errorf("a handshake then: %s", resp.Status)
		}
	}
}

func upgradeRequest(t *testing.T, s *service, header http.Header) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/socketcluster/", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Sec-WebSocket-Version", "13")
	r.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	return r
}

// While it cannot be found out whether a credential is good, nobody becomes
// anonymous: the handshake is refused, and the client tries again.
func TestOutage(t *testing.T) {
	var down atomic.Bool
	a := &messages{bridge.AuthenticatorFunc(func(_ context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
		if down.Load() {
			if h.Message != nil && h.Message.Token == "panic" {
				panic("here")
			}
			return nil, errors.New("the store is away")
		}
		if h.Message == nil {
			return nil, bridge.ErrNoCredential
		}
		return &bridge.Identity{User: h.Message.Token, Via: "test"}, nil
	})}
	s := newService(t, a, newOptions())
	c := s.node(t, with{Token: new("42")})
	c.start()
	down.Store(true)
	for _, token := range []string{"7", "panic"} {
		r := c.Do(map[string]any{"do": "authenticate", "token": token})
		wiretest.Equal(t, "#authenticate", any("TimeoutError"), r.Error["name"])
	}
	wiretest.Equal(t, "the client's state", any("authenticated"), c.State()["authState"])
	wiretest.Equal(t, "whoami", any("42"), c.Must(map[string]any{"do": "invoke", "name": "whoami"}))

	late := s.node(t, with{Token: new("42")})
	late.Do(map[string]any{"do": "connect"})
	wiretest.Equal(t, "connectAbort", any(4008.0), late.Wait("connectAbort")["code"])
	wiretest.Equal(t, "error", any("try again later"), late.Wait("error")["error"].(map[string]any)["message"])
	state := late.State()
	wiretest.Equal(t, "pendingReconnect", any(true), state["pendingReconnect"])
	if len(state["stored"].(map[string]any)) != 1 {
		t.Error("the client has lost its token")
	}
}

// messages is an authenticator that reads messages.
type messages struct{ bridge.Authenticator }

func (*messages) Traits() bridge.Traits { return bridge.Traits{Message: true} }

// The close codes of a handshake that goes wrong.
func TestCloseCodes(t *testing.T) {
	o := newOptions()
	o.HandshakeTimeout = 500 * time.Millisecond
	o.PingInterval = 50 * time.Millisecond
	o.PingTimeout = time.Second
	o.MaxHandshake = 1000
	s := newService(t, wiretest.Tokens(t), o)
	const shake = `{"event":"#handshake","data":{},"cid":1}`
	for _, tc := range []struct {
		name   string
		frames []string
		mute   bool // does not answer pings
		code   int
	}{
		{name: "nothing", code: socketcluster.CloseNoHandshake},
		{name: "no cid", frames: []string{`{"event":"#handshake","data":{}}`}, code: socketcluster.CloseRejected},
		{name: "a cid that is no number", frames: []string{`{"event":"#handshake","data":{},"cid":"1"}`}, code: socketcluster.CloseRejected},
		{name: "another event", frames: []string{`{"event":"#subscribe","data":{"channel":"public"},"cid":1}`}, code: socketcluster.CloseNotShaken},
		{name: "a pong", frames: []string{``}, code: socketcluster.CloseNotShaken},
		{name: "no JSON", frames: []string{`hello`}, code: socketcluster.CloseNotShaken},
		{name: "an empty batch, then nothing", frames: []string{`[]`}, code: socketcluster.CloseNoHandshake},
		{name: "a batch with a number", frames: []string{`[1]`}, code: socketcluster.CloseNotShaken},
		{name: "too long", frames: []string{`{"event":"#handshake","cid":1,"x":"` + string(make([]byte, 1000)) + `"}`}, code: 1009},
		{name: "silence", frames: []string{shake}, mute: true, code: socketcluster.ClosePongTimeout},
		{name: "#authenticate without cid", frames: []string{shake, `{"event":"#authenticate","data":"x"}`}, code: socketcluster.CloseRejected},
		{name: "invalid UTF-8", frames: []string{shake, "{\"event\":\"\xff\"}"}, code: 1007},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := s.dial(t, nil)
			c.pong = !tc.mute
			for _, frame := range tc.frames {
				c.send(frame)
			}
			c.wantClose(tc.code)
		})
	}
	t.Run("nothing is left", func(t *testing.T) {
		wiretest.Eventually(t, "all sockets are gone", func() bool { return s.bridge.Len() == 0 })
	})
}
