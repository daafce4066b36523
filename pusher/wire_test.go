package pusher_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest/wiretest"
	"github.com/sessionbridge/sessionbridge/pusher"
)

// messages is an authenticator that reads messages, too.
type messages struct{ bridge.Authenticator }

func (m messages) Traits() bridge.Traits {
	traits := bridge.TraitsOf(m.Authenticator)
	traits.Message = true
	return traits
}

// event2 reads a frame, which must be that event, whatever its data.
func (c *socket) event2(t testing.TB, name string) string {
	t.Helper()
	text, err := c.next()
	var f struct{ Event string }
	if err != nil || json.Unmarshal([]byte(text), &f) != nil || f.Event != name {
		t.Fatalf("got %s, %v, want %s", text, err, name)
	}
	return text
}

// wantRefused reads what a refused subscription is answered with.
func (c *socket) wantRefused(channel, message string) {
	c.t.Helper()
	c.want(`{"event":"pusher:error","data":{"code":4009,"message":"` + message + `"}}`)
	var got struct{ Error string }
	if err := json.Unmarshal([]byte(c.event("pusher:subscription_error", channel)), &got); err != nil || got.Error != message {
		c.t.Errorf("got %q, want %q", got.Error, message)
	}
}

const (
	notSigned  = "the signature does not hold"
	notGranted = "the signature was not made for this socket by this service, or too long ago"
)

// A signature is good for one socket, one channel, once, and for a while.
func TestSubscribeRefused(t *testing.T) {
	s := newService(t, wiretest.NewSessions("42", "7"), pusher.Options{GrantTimeout: 300 * time.Millisecond})
	alice := map[string]string{"Cookie": "user=42"}
	t.Run("another's socket", func(t *testing.T) {
		a, b := s.dial(t, ""), s.dial(t, "")
		b.sendGranted("pusher:subscribe", a.grant("private-a", alice))
		b.wantRefused("private-a", notSigned)
	})
	t.Run("another channel", func(t *testing.T) {
		c := s.dial(t, "")
		g := c.grant("private-a", alice)
		g.Channel = "private-b"
		c.sendGranted("pusher:subscribe", g)
		c.wantRefused("private-b", notSigned)
	})
	t.Run("another member", func(t *testing.T) {
		c := s.dial(t, "")
		g := c.grant("presence-a", alice)
		g.ChannelData = new(strings.Replace(*g.ChannelData, "42", "43", 1))
		c.sendGranted("pusher:subscribe", g)
		c.wantRefused("presence-a", notSigned)
	})
	t.Run("no member", func(t *testing.T) {
		c := s.dial(t, "")
		g := c.grant("presence-a", alice)
		g.ChannelData = nil
		c.sendGranted("pusher:subscribe", g)
		c.wantRefused("presence-a", notSigned)
	})
	t.Run("a private channel's for a presence channel", func(t *testing.T) {
		c := s.dial(t, "")
		g := c.grant("private-a", alice)
		g.Channel = "presence-a"
		c.sendGranted("pusher:subscribe", g)
		c.wantRefused("presence-a", notSigned)
	})
	t.Run("none", func(t *testing.T) {
		c := s.dial(t, "user=42")
		c.send(`{"event":"pusher:subscribe","data":{"channel":"private-a"}}`)
		c.wantRefused("private-a", notSigned)
	})
	t.Run("twice", func(t *testing.T) {
		c := s.dial(t, "")
		g := c.grant("private-a", alice)
		c.sendGranted("pusher:subscribe", g)
		c.event("pusher_internal:subscription_succeeded", "private-a")
		c.send(`{"event":"pusher:unsubscribe","data":{"channel":"private-a"}}`)
		c.sendGranted("pusher:subscribe", g)
		c.wantRefused("private-a", notGranted)
	})
	t.Run("late", func(t *testing.T) {
		c := s.dial(t, "")
		g := c.grant("private-a", alice)
		wiretest.Eventually(t, "the grant is over, and its link released", func() bool { return len(s.bridge.Sessions()) == 0 })
		c.sendGranted("pusher:subscribe", g)
		c.wantRefused("private-a", notGranted)
	})
	t.Run("a user's channel without a sign-in", func(t *testing.T) {
		c := s.dial(t, "user=42")
		c.send(`{"event":"pusher:subscribe","data":{"channel":"#server-to-user-42","auth":""}}`)
		c.wantRefused("#server-to-user-42", "the channel is another user's")
	})
	t.Run("another's channel", func(t *testing.T) {
		c := s.dial(t, "")
		c.sendGranted("pusher:signin", c.grant("", alice))
		c.event("pusher:signin_success", "")
		c.send(`{"event":"pusher:subscribe","data":{"channel":"#server-to-user-7","auth":""}}`)
		c.wantRefused("#server-to-user-7", "the channel is another user's")
	})
}

// A sign-in that fails closes the socket.
func TestSigninRefused(t *testing.T) {
	s := newService(t, wiretest.NewSessions("42", "7"), pusher.Options{})
	alice, bob := map[string]string{"Cookie": "user=42"}, map[string]string{"Cookie": "user=7"}
	for _, tc := range []struct {
		name string
		send func(c *socket)
	}{
		{"nothing", func(c *socket) { c.send(`{"event":"pusher:signin"}`) }},
		{"another user", func(c *socket) {
			g := c.grant("", alice)
			g.UserData = `{"id":"7"}`
			c.sendGranted("pusher:signin", g)
		}},
		{"another's socket", func(c *socket) { c.sendGranted("pusher:signin", s.dial(t, "").grant("", alice)) }},
		{"twice", func(c *socket) {
			g := c.grant("", alice)
			c.sendGranted("pusher:signin", g)
			c.sendGranted("pusher:signin", g)
		}},
		{"then as another", func(c *socket) {
			c.sendGranted("pusher:signin", c.grant("", alice))
			c.event("pusher:signin_success", "")
			c.sendGranted("pusher:signin", c.grant("", bob))
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := s.dial(t, "")
			tc.send(c)
			c.wantClose(pusher.CodeUnauthorized)
		})
	}
	t.Run("the same again", func(t *testing.T) {
		c := s.dial(t, "")
		for range 2 {
			c.sendGranted("pusher:signin", c.grant("", alice))
			c.event("pusher:signin_success", "")
			c.send(`{"event":"pusher:subscribe","data":{"channel":"#server-to-user-42","auth":""}}`)
			c.event("pusher_internal:subscription_succeeded", "#server-to-user-42")
		}
	})
}

// Frames that are not of the protocol do no harm.
func TestHostileFrames(t *testing.T) {
	s := newService(t, wiretest.NewSessions("42"), pusher.Options{ReadLimit: 1000})
	for _, frame := range []string{
		`hello`, ``, `{}`, `[]`, `null`, `{"event":1}`, `{"event":"pusher:subscribe"}`, `{"event":"pusher:subscribe","data":1}`,
		`{"event":"pusher:subscribe","data":"{"}`, `{"event":"pusher:subscribe","data":{"channel":{}}}`,
		`{"event":"pusher:subscribe","data":{"channel":"a b"}}`, `{"event":"pusher:subscribe","data":{"channel":"#other"}}`,
		`{"event":"pusher_internal:subscription_succeeded","channel":"a","data":"{}"}`, strings.Repeat("[", 999),
	} {
		c := s.dial(t, "")
		c.send(frame)
		c.event2(t, "pusher:error")
		c.send(`{"event":"pusher:unsubscribe","data":{"channel":7}}`) // nothing comes of it
		c.send(`{"event":"pusher:pong"}`)
		c.send(`{"event":"pusher:ping","data":{}}`)
		c.want(`{"event":"pusher:pong","data":"{}"}`)
	}
	t.Run("a presence channel's data that is no string", func(t *testing.T) {
		c := s.dial(t, "")
		c.send(`{"event":"pusher:subscribe","data":{"channel":"presence-a","auth":"x","channel_data":{"user_id":1}}}`)
		c.wantRefused("presence-a", "channel_data does not name a member")
	})
	for _, tc := range []struct {
		name string
		kind int
		p    string
		code int
	}{
		{"binary", websocket.BinaryMessage, `{"event":"pusher:ping"}`, websocket.CloseUnsupportedData},
		{"invalid UTF-8", websocket.TextMessage, "{\"event\":\"\xff\"}", websocket.CloseInvalidFramePayloadData},
		{"too long", websocket.TextMessage, strings.Repeat("x", 1001), websocket.CloseMessageTooBig},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := s.dial(t, "")
			if err := c.ws.WriteMessage(tc.kind, []byte(tc.p)); err != nil {
				t.Fatal(err)
			}
			c.wantClose(tc.code)
		})
	}
	wiretest.Eventually(t, "nothing is left of those that were closed", func() bool { return s.server.Subscribers("presence-a") == 0 })
}

// Channels and grants of a socket are bounded.
func TestMaxChannels(t *testing.T) {
	s := newService(t, wiretest.NewSessions("42"), pusher.Options{MaxChannels: 2})
	c := s.dial(t, "user=42")
	for i := range 2 {
		name := fmt.Sprint("private-", i)
		c.subscribe(name, map[string]string{"Cookie": "user=42"})
	}
	c.subscribe("private-0", map[string]string{"Cookie": "user=42"}) // one that it has
	c.send(`{"event":"pusher:subscribe","data":{"channel":"news"}}`)
	c.want(`{"event":"pusher:error","data":{"code":4100,"message":"the limit of channels is reached"}}`)
	c.event("pusher:subscription_error", "news")
	for i := range 3 {
		status, _ := s.post(t, "/pusher/auth", url.Values{"socket_id": {c.id}, "channel_name": {fmt.Sprint("private-x", i)}}, map[string]string{"Cookie": "user=42"})
		wiretest.Equal(t, fmt.Sprint("grant ", i), []int{200, 200, 503}[i], status)
	}
	if n := s.server.Subscribers("private-0"); n != 1 {
		t.Errorf("%d subscriptions to one channel", n)
	}
}

// A client that does not read is cut off, and holds nobody up.
func TestSlowClient(t *testing.T) {
	s := newService(t, wiretest.NewSessions(), pusher.Options{MaxQueue: 1 << 16, WriteTimeout: time.Minute})
	slow, quick := s.dial(t, ""), s.dial(t, "")
	for _, c := range []*socket{slow, quick} {
		c.send(`{"event":"pusher:subscribe","data":{"channel":"news"}}`)
		c.event("pusher_internal:subscription_succeeded", "news")
	}
	data := strings.Repeat("x", 32<<10)
	for range 1000 { // more than the kernel's buffers take
		if err := s.server.Trigger("news", "event", data); err != nil {
			t.Fatal(err)
		}
		quick.event("event", "news")
		if s.server.Subscribers("news") == 1 {
			return
		}
	}
	wiretest.Eventually(t, "the slow one is gone", func() bool { return s.server.Subscribers("news") == 1 })
}
