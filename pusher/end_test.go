package pusher_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest/wiretest"
	"github.com/sessionbridge/sessionbridge/pusher"
)

// A token that runs out takes the channels with it that it has granted. What
// is everybody's goes on, and what another token has granted.
func TestExpiryTakesChannels(t *testing.T) {
	s := newService(t, messages{wiretest.Tokens(t)}, pusher.Options{ClientEvents: true})
	short := wiretest.Sign(t, "42", 3*time.Second)
	c := s.connected(t, s.port, with{Headers: bearer(short)})
	witness := s.dial(t, "")
	long := bearer(wiretest.Sign(t, "7", time.Hour))
	witness.subscribe("presence-room", long)
	c.Must(map[string]any{"do": "echo"})
	c.Must(map[string]any{"do": "listen", "how": "private", "channel": "news", "name": "event"})
	c.echo("news", "subscribed")
	c.subscribe("presence-room")
	c.subscribe("public")
	if err := s.server.Trigger("private-news", "event", "before"); err != nil {
		t.Fatal(err)
	}
	wiretest.Equal(t, "before the end", any("before"), c.echo("news", "event"))
	witness.event("pusher_internal:member_added", "presence-room")

	ended := map[string]any{"type": "AuthError", "error": "token_expired", "status": 401.0}
	c.WaitFor("error", isError(4009, "token_expired"))
	wiretest.Equal(t, "subscription_error", any(ended), c.on("presence-room", "pusher:subscription_error"))
	wiretest.Equal(t, "Echo's error", any(ended), c.echo("news", "error"))
	wiretest.Equal(t, "member_removed", `{"user_id":"42"}`, witness.event("pusher_internal:member_removed", "presence-room"))
	for _, channel := range []string{"private-news", "presence-room", "public"} {
		if err := s.server.Trigger(channel, "event", "after"); err != nil {
			t.Fatal(err)
		}
	}
	wiretest.Equal(t, "after the end", any("after"), c.on("public", "event"))
	c.Must(map[string]any{"do": "trigger", "channel": "presence-room", "name": "client-a", "data": 1})
	c.WaitFor("error", isError(4301, "client events need a subscribed private or presence channel"))
	for _, event := range []string{"channel", "echo"} {
		if n := c.Count(event, func(d map[string]any) bool { return d["data"] == "after" && d["channel"] != "public" }); n != 0 {
			t.Errorf("%d messages behind the end", n)
		}
	}
	wiretest.Equal(t, "state", any("connected"), c.State()["state"])
	if n := s.server.Subscribers("private-news"); n != 0 {
		t.Errorf("%d subscribers left", n)
	}
}

// A session that has granted channels to a socket of nobody ends: the socket
// stays, the channels do not, and neither do grants that wait.
func TestLogoutTakesChannels(t *testing.T) {
	sessions := wiretest.NewSessions("42", "7")
	s := newService(t, sessions, pusher.Options{})
	alice, bob := map[string]string{"Cookie": "user=42"}, map[string]string{"Cookie": "user=7"}
	c := s.dial(t, "")
	c.subscribe("private-a", alice)
	c.subscribe("private-b", bob)
	waiting := c.grant("private-c", alice)
	wiretest.Equal(t, "lives: the socket's and one of each session", 3, s.bridge.Len())
	sessions.Logout("42")
	c.want(`{"event":"pusher:error","data":{"code":4009,"message":"session_ended"}}`)
	wiretest.Equal(t, "data", `{"type":"AuthError","error":"session_ended","status":401}`, c.event("pusher:subscription_error", "private-a"))
	c.sendGranted("pusher:subscribe", waiting)
	c.wantRefused("private-c", notGranted)
	for _, channel := range []string{"private-a", "private-b"} {
		if err := s.server.Trigger(channel, "event", nil); err != nil {
			t.Fatal(err)
		}
	}
	c.event("event", "private-b")
	wiretest.Equal(t, "lives", 2, s.bridge.Len())
	c.send(`{"event":"pusher:unsubscribe","data":{"channel":"private-b"}}`)
	wiretest.Eventually(t, "what is not used is let go of", func() bool { return s.bridge.Len() == 1 })
}

// The end of the socket's own identity, or of the one that signed in, closes
// the socket, and the client stays away until the page connects it again.
func TestLogoutCloses(t *testing.T) {
	for _, tc := range []struct {
		name   string
		cookie string
		key    string
	}{
		{"the upgrade request's cookie", "user=42", ""},
		{"the sign-in's rediskey", "", "42"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sessions := wiretest.NewSessions("42")
			s := newService(t, sessions, pusher.Options{})
			w, port := with{}, s.port
			if tc.key != "" {
				w.Params = map[string]string{"rediskey": tc.key}
			}
			if tc.cookie != "" {
				port = s.jar(t, tc.cookie)
			}
			c := s.connected(t, port, w)
			c.subscribe("private-news")
			c.Must(map[string]any{"do": "signin"})
			wiretest.Eventually(t, "the user's channel", func() bool { return s.server.Subscribers("#server-to-user-42") == 1 })
			want := 2 // the socket's life, and that of the session
			if tc.cookie != "" {
				want = 1 // which are one
			}
			wiretest.Equal(t, "lives", want, s.bridge.Len())
			sessions.Logout("42")
			c.wantClosed(4009, "session_ended")
			wiretest.Equal(t, "subscribed", any([]any{}), c.State()["subscribed"])
			wiretest.Eventually(t, "nothing is left", func() bool { return s.bridge.Len() == 0 })

			sessions.Login("42")
			c.Must(map[string]any{"do": "reconnect"})
			c.waitState("connected")
			c.on("private-news", "pusher:subscription_succeeded")
		})
	}
}

// What is published once an identity has ended does not arrive, and nothing at
// all does behind the word of it.
func TestNothingAfterTheEnd(t *testing.T) {
	for _, own := range []bool{false, true} {
		sessions := wiretest.NewSessions("42")
		s := newService(t, sessions, pusher.Options{})
		cookie, last := "", "pusher:subscription_error"
		if own {
			cookie, last = "user=42", "pusher:error"
		}
		c := s.dial(t, cookie)
		c.subscribe("private-news", map[string]string{"Cookie": "user=42"})
		ctx, stop := context.WithCancel(t.Context())
		var publisher sync.WaitGroup
		publisher.Go(func() {
			tick := time.NewTicker(200 * time.Microsecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				<-tick.C
				if err := s.server.Trigger("private-news", "event", "secret"); err != nil {
					t.Error(err)
				}
			}
		})
		got, told := 0, false
		for !told {
			frame, err := c.next()
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case strings.HasPrefix(frame, `{"event":"event"`):
				if got++; got == 100 {
					sessions.Logout("42")
				}
			case strings.HasPrefix(frame, `{"event":"`+last+`"`):
				told = true
			case !strings.HasPrefix(frame, `{"event":"pusher:error"`):
				t.Fatalf("got %s", frame)
			}
		}
		if got < 100 {
			t.Errorf("%d messages before the logout", got)
		}
		if own {
			if frame, err := c.next(); err == nil {
				t.Errorf("behind the end: %s", frame)
			}
		} else {
			c.send(`{"event":"pusher:ping"}`)
			c.want(`{"event":"pusher:pong","data":"{}"}`)
		}
		stop()
		publisher.Wait()
	}
}

// What still waits for a slow client when the identity ends is not delivered.
func TestQueueAtTheEnd(t *testing.T) {
	const messages = 400
	for _, cookie := range []string{"", "user=42"} {
		sessions := wiretest.NewSessions("42")
		s := newService(t, sessions, pusher.Options{MaxQueue: 64 << 20})
		c := s.dial(t, cookie)
		c.subscribe("private-news", map[string]string{"Cookie": "user=42"})
		data := strings.Repeat("x", 64<<10) // in all more than the kernel's buffers take
		for range messages {
			if err := s.server.Trigger("private-news", "event", data); err != nil {
				t.Fatal(err)
			}
		}
		sessions.Logout("42")
		wiretest.Eventually(t, "the subscription is over", func() bool { return s.server.Subscribers("private-news") == 0 })
		got := 0
		for {
			frame, err := c.next()
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(frame, `{"event":"pusher:error"`) {
				break
			}
			got++
		}
		if got == messages {
			t.Error("all of them were delivered")
		}
	}
}

// An operator ends everything of a user's.
func TestRevoke(t *testing.T) {
	s := newService(t, wiretest.NewSessions("42", "7"), pusher.Options{})
	c := s.connected(t, s.jar(t, "user=42"), with{})
	other := s.dial(t, "user=7")
	if err := s.bridge.Revoke(t.Context(), bridge.Target{User: "42"}); err != nil {
		t.Fatal(err)
	}
	c.wantClosed(4009, "revoked")
	other.send(`{"event":"pusher:ping"}`)
	other.want(`{"event":"pusher:pong","data":"{}"}`)
}

// A service that stops says so, and clients come back at once: elsewhere, or
// here a while later.
func TestDrain(t *testing.T) {
	for _, cookie := range []string{"", "user=42"} {
		s := newService(t, wiretest.NewSessions("42"), pusher.Options{})
		c := s.connected(t, s.jar(t, cookie), with{})
		if cookie == "" { // a session that has granted a channel does not tell first
			w := s.dial(t, "")
			w.subscribe("private-a", map[string]string{"Cookie": "user=42"})
			defer func() {
				w.want(`{"event":"pusher:error","data":{"code":4200,"message":"draining"}}`)
				if frame, err := w.next(); !websocket.IsCloseError(err, pusher.CodeReconnect) {
					t.Errorf("behind it: %s, %v", frame, err)
				}
			}()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := s.bridge.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
		c.WaitFor("error", isError(4200, "draining"))
		wiretest.Equal(t, "connecting_in", any(1.0), c.Wait("connecting_in")["seconds"])
		s.dialPath(t, path, nil).want(`{"event":"pusher:error","data":{"code":4100,"message":"draining"}}`)
		status, _ := s.post(t, "/pusher/auth", url.Values{"socket_id": {"1.2"}}, map[string]string{"Cookie": "user=42"})
		wiretest.Equal(t, "the handler", http.StatusServiceUnavailable, status)
	}
}

// Signatures that the web application makes with the same secret are accepted
// if Options say so, from those whose end is known.
func TestSignaturesOfApplication(t *testing.T) {
	for _, tc := range []struct {
		name   string
		opts   pusher.Options
		cookie string
		ok     bool
	}{
		{name: "by default", cookie: "user=42"},
		{name: "accepted, of nobody", opts: pusher.Options{AcceptSignatures: true}},
		{name: "accepted", opts: pusher.Options{AcceptSignatures: true}, cookie: "user=42", ok: true},
		{name: "unlinked", opts: pusher.Options{InsecureUnlinkedSignatures: true}, ok: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sessions := wiretest.NewSessions("42")
			s := newService(t, sessions, tc.opts)
			c := s.connected(t, s.jar(t, tc.cookie), with{Signs: true})
			if !tc.ok {
				c.Must(map[string]any{"do": "subscribe", "channel": "private-news"})
				refused, _ := c.on("private-news", "pusher:subscription_error").(map[string]any)
				wiretest.Equal(t, "status", any(401.0), refused["status"])
				c.WaitFor("error", isError(4009, notGranted))
				wiretest.Equal(t, "state", any("connected"), c.State()["state"])
				return
			}
			c.subscribe("private-news")
			c.subscribe("presence-room") // whose user_id is a number
			me, _ := c.Must(map[string]any{"do": "members", "channel": "presence-room"}).(map[string]any)
			wiretest.Equal(t, "me", any(map[string]any{"by": "application"}), me["all"].(map[string]any)["42"])
			c.Must(map[string]any{"do": "signin"})
			c.Wait("signin_success")
			sessions.Logout("42")
			if tc.cookie != "" {
				c.wantClosed(4009, "session_ended")
				return
			}
			if err := s.server.Trigger("private-news", "event", nil); err != nil {
				t.Fatal(err)
			}
			c.on("private-news", "event")
		})
	}
}

// An answer of another node is good here if signatures are accepted.
func TestOtherNode(t *testing.T) {
	sessions := wiretest.NewSessions("42")
	for _, accept := range []bool{false, true} {
		opts := pusher.Options{AcceptSignatures: accept}
		here, there := newService(t, sessions, opts), newService(t, sessions, opts)
		c := here.dial(t, "user=42")
		asked := &socket{t: t, s: there, id: c.id}
		status, _ := there.post(t, "/pusher/auth", map[string][]string{"socket_id": {c.id}, "channel_name": {"private-a"}}, map[string]string{"Cookie": "user=42"})
		if !accept {
			wiretest.Equal(t, "status", http.StatusNotFound, status)
			continue
		}
		c.sendGranted("pusher:subscribe", asked.grant("private-a", map[string]string{"Cookie": "user=42"}))
		c.event("pusher_internal:subscription_succeeded", "private-a")
		wiretest.Equal(t, "lives on the other node", 0, there.bridge.Len())
	}
}

// While it cannot be found out who somebody is, nobody becomes anonymous, and
// an outage is not a logout.
func TestOutage(t *testing.T) {
	sessions := wiretest.NewSessions("42")
	s := newService(t, sessions, pusher.Options{})
	c := s.connected(t, s.port, with{Params: map[string]string{"rediskey": "42"}})
	c.subscribe("private-news")
	sessions.Fail(true)
	sessions.Touch("42")
	c.Must(map[string]any{"do": "subscribe", "channel": "private-more"})
	refused, _ := c.on("private-more", "pusher:subscription_error").(map[string]any)
	wiretest.Equal(t, "status", any(503.0), refused["status"])
	if err := s.server.Trigger("private-news", "event", nil); err != nil {
		t.Fatal(err)
	}
	c.on("private-news", "event")
}

// A session is ended at some moment of its first subscription: whatever the
// client was told first, it ends up without the channel, and knows it.
func TestLogoutDuringSubscription(t *testing.T) {
	const rounds = 200
	var users []string
	for i := range rounds {
		users = append(users, fmt.Sprint("user", i))
	}
	sessions := wiretest.NewSessions(users...)
	s := newService(t, sessions, pusher.Options{GrantTimeout: time.Minute})
	before, after := 0, 0
	for i, user := range users {
		c := s.dial(t, "")
		g := c.grant("presence-room", map[string]string{"Cookie": "user=" + user})
		done := make(chan struct{})
		time.AfterFunc(time.Duration(i%20)*20*time.Microsecond, func() { defer close(done); sessions.Logout(user) })
		c.sendGranted("pusher:subscribe", g)
		for told := false; ; {
			frame, err := c.next()
			if err != nil {
				t.Fatalf("told %t: %v", told, err)
			}
			if strings.HasPrefix(frame, `{"event":"pusher_internal:subscription_succeeded"`) {
				told = true
			}
			if !strings.HasPrefix(frame, `{"event":"pusher:subscription_error"`) {
				continue
			}
			if told {
				after++
			} else {
				before++
			}
			break
		}
		<-done
	}
	t.Logf("%d ended before the answer, %d after it", before, after)
	if before == 0 || after == 0 {
		t.Error("one of the two was never tried")
	}
	wiretest.Eventually(t, "the channel is empty", func() bool { return s.server.Subscribers("presence-room") == 0 })
}
