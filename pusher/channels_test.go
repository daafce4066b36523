package pusher_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sessionbridge/sessionbridge/internal/parts/partstest/wiretest"
	"github.com/sessionbridge/sessionbridge/pusher"
)

// A public channel is everybody's, and over when the client says so.
func TestPublicChannel(t *testing.T) {
	s := newService(t, wiretest.NewSessions(), pusher.Options{})
	c := s.connected(t, s.port, with{})
	wiretest.Equal(t, "subscription_succeeded", any(map[string]any{}), c.subscribe("news"))
	for _, data := range []any{"text", 7.0, map[string]any{"a": []any{1.0, nil, "ü<&>"}}, nil} {
		if err := s.server.Trigger("news", "event", data); err != nil {
			t.Fatal(err)
		}
		wiretest.Equal(t, "data", data, c.on("news", "event"))
	}
	if err := s.server.TriggerExcept(c.State()["socket"].(string), "news", "to-others", nil); err != nil {
		t.Fatal(err)
	}
	if err := s.server.Trigger("news", "last", nil); err != nil {
		t.Fatal(err)
	}
	c.on("news", "last")
	if n := c.Count("channel", func(d map[string]any) bool { return d["event"] == "to-others" }); n != 0 {
		t.Error("the client itself was not left out")
	}
	c.Must(map[string]any{"do": "unsubscribe", "channel": "news"})
	wiretest.Eventually(t, "nobody is subscribed", func() bool { return s.server.Subscribers("news") == 0 })
}

// A private channel is for those whom the policy lets have it.
func TestPrivateChannel(t *testing.T) {
	s := newService(t, wiretest.Tokens(t), pusher.Options{})
	c := s.connected(t, s.port, with{Headers: bearer(wiretest.Sign(t, "42", time.Hour))})
	wiretest.Equal(t, "subscription_succeeded", any(map[string]any{}), c.subscribe("private-user-42"))
	if err := s.server.Trigger("private-user-42", "invoice", map[string]any{"number": 7}); err != nil {
		t.Fatal(err)
	}
	wiretest.Equal(t, "data", any(map[string]any{"number": 7.0}), c.on("private-user-42", "invoice"))
	for _, tc := range []struct {
		channel string
		status  float64
	}{
		{"private-user-7", http.StatusForbidden},
		{"private-broken", http.StatusServiceUnavailable},
		{"private-panic", http.StatusServiceUnavailable},
		{"presence-long", http.StatusServiceUnavailable},
	} {
		c.Must(map[string]any{"do": "subscribe", "channel": tc.channel})
		err, _ := c.on(tc.channel, "pusher:subscription_error").(map[string]any)
		wiretest.Equal(t, tc.channel, []any{"AuthError", tc.status}, []any{err["type"], err["status"]})
	}
	for _, w := range []with{{}, {Headers: bearer("nonsense")}, {Headers: bearer(wiretest.Sign(t, "42", -time.Hour))}, {Params: map[string]string{"token": "nonsense"}}} {
		c := s.connected(t, s.port, w)
		c.Must(map[string]any{"do": "subscribe", "channel": "private-user-42"})
		err, _ := c.on("private-user-42", "pusher:subscription_error").(map[string]any)
		wiretest.Equal(t, fmt.Sprint(w), any(401.0), err["status"])
		wiretest.Equal(t, "state", any("connected"), c.State()["state"])
	}
}

// A credential that the client sends among its parameters.
func TestCredentialInParameters(t *testing.T) {
	sessions := wiretest.NewSessions("7")
	for _, tc := range []struct {
		name   string
		s      *service
		params map[string]string
		user   string
	}{
		{"a token", newService(t, messages{wiretest.Tokens(t)}, pusher.Options{}), map[string]string{"token": wiretest.Sign(t, "42", time.Hour)}, "42"},
		{"a rediskey", newService(t, sessions, pusher.Options{}), map[string]string{"rediskey": "7"}, "7"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := tc.s.connected(t, tc.s.port, with{Params: tc.params})
			c.subscribe("private-user-" + tc.user)
			c.Must(map[string]any{"do": "signin"})
			c.Wait("signin_success")
		})
	}
}

// Members see each other come and go, a user of several sockets once.
func TestPresenceChannel(t *testing.T) {
	s := newService(t, wiretest.Tokens(t), pusher.Options{MaxMembers: 2})
	alice := s.connected(t, s.port, with{Headers: bearer(wiretest.Sign(t, "42", time.Hour))})
	bob := s.connected(t, s.port, with{Headers: bearer(wiretest.Sign(t, "7", time.Hour))})
	info := map[string]any{"via": "jwt"}
	alice.subscribe("presence-room")
	wiretest.Equal(t, "alice alone", any(map[string]any{
		"count": 1.0, "me": map[string]any{"id": "42", "info": info}, "all": map[string]any{"42": info},
	}), alice.Must(map[string]any{"do": "members", "channel": "presence-room"}))
	bob.subscribe("presence-room")
	wiretest.Equal(t, "bob's members", any(map[string]any{
		"count": 2.0, "me": map[string]any{"id": "7", "info": info}, "all": map[string]any{"42": info, "7": info},
	}), bob.Must(map[string]any{"do": "members", "channel": "presence-room"}))
	wiretest.Equal(t, "member_added", any(map[string]any{"id": "7", "info": info}), alice.on("presence-room", "pusher:member_added"))

	// Another socket of bob's is no other member, and carol is one too many.
	second := s.dial(t, "")
	second.subscribe("presence-room", bearer(wiretest.Sign(t, "7", time.Hour)))
	carol := s.connected(t, s.port, with{Headers: bearer(wiretest.Sign(t, "9", time.Hour))})
	carol.Must(map[string]any{"do": "subscribe", "channel": "presence-room"})
	wiretest.Equal(t, "carol", any(map[string]any{"type": "LimitReached", "error": "the channel is full", "status": 4004.0}), carol.on("presence-room", "pusher:subscription_error"))
	bob.Must(map[string]any{"do": "unsubscribe", "channel": "presence-room"})
	wiretest.Eventually(t, "bob's first is gone", func() bool { return s.server.Subscribers("presence-room") == 2 })
	second.ws.Close()
	wiretest.Equal(t, "member_removed", any(map[string]any{"id": "7", "info": info}), alice.on("presence-room", "pusher:member_removed"))
	for _, event := range []string{"pusher:member_added", "pusher:member_removed"} {
		if n := alice.Count("channel", func(d map[string]any) bool { return d["event"] == event }); n != 1 {
			t.Errorf("%s: %d times", event, n)
		}
	}
}

// Clients' own events reach the others, with the member's id on presence
// channels, as long as they are not too many.
func TestClientEvents(t *testing.T) {
	s := newService(t, wiretest.Tokens(t), pusher.Options{ClientEvents: true, ClientEventRate: 3})
	alice := s.connected(t, s.port, with{Headers: bearer(wiretest.Sign(t, "42", time.Hour))})
	bob := s.dial(t, "")
	for _, channel := range []string{"private-room", "presence-room"} {
		alice.subscribe(channel)
		bob.subscribe(channel, bearer(wiretest.Sign(t, "7", time.Hour)))
	}
	alice.on("presence-room", "pusher:member_added")
	alice.Must(map[string]any{"do": "trigger", "channel": "private-room", "name": "client-typing", "data": map[string]any{"n": 1}})
	bob.want(`{"event":"client-typing","channel":"private-room","data":{"n":1}}`)
	alice.Must(map[string]any{"do": "trigger", "channel": "presence-room", "name": "client-typing", "data": "x"})
	bob.want(`{"event":"client-typing","channel":"presence-room","data":"x","user_id":"42"}`)
	for range 4 {
		alice.Must(map[string]any{"do": "trigger", "channel": "private-room", "name": "client-typing", "data": 2})
	}
	alice.WaitFor("error", isError(4301, "too many client events in a second"))
	if n := alice.Count("channel", func(d map[string]any) bool { return d["event"] == "client-typing" }); n != 0 {
		t.Errorf("%d of her own events came back", n)
	}
	wiretest.Equal(t, "state", any("connected"), alice.State()["state"])
}

// Events of clients that must not be passed on.
func TestClientEventsRefused(t *testing.T) {
	for _, tc := range []struct {
		name, event, channel, message string
		code                          float64
		off                           bool
	}{
		{name: "not enabled", event: "client-a", channel: "private-room", off: true, code: 4301, message: "client events are not enabled"},
		{name: "a public channel", event: "client-a", channel: "news", code: 4301, message: "client events need a subscribed private or presence channel"},
		{name: "not subscribed", event: "client-a", channel: "private-other", code: 4301, message: "client events need a subscribed private or presence channel"},
		{name: "the user's channel", event: "client-a", channel: "#server-to-user-42", code: 4301, message: "client events need a subscribed private or presence channel"},
		{name: "a long name", event: "client-" + strings.Repeat("a", 200), channel: "private-room", code: 4301, message: "the event's name is too long"},
		{name: "another event", event: "invoice", channel: "private-room", code: 4200, message: "the event is not one that a client sends"},
		{name: "the protocol's", event: "pusher_internal:member_added", channel: "private-room", code: 4200, message: "the event is not one that a client sends"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newService(t, wiretest.Tokens(t), pusher.Options{ClientEvents: !tc.off})
			headers := bearer(wiretest.Sign(t, "42", time.Hour))
			other := s.dial(t, "")
			other.subscribe("private-room", headers)
			c := s.connected(t, s.port, with{Headers: headers})
			c.Must(map[string]any{"do": "signin"})
			c.Wait("signin_success")
			c.subscribe("news")
			c.subscribe("private-room")
			c.Must(map[string]any{"do": "raw", "name": tc.event, "channel": tc.channel, "data": 1})
			c.WaitFor("error", isError(tc.code, tc.message))
			if err := s.server.Trigger("private-room", "last", nil); err != nil {
				t.Fatal(err)
			}
			other.event("last", "private-room")
		})
	}
}

// Who signs in has a channel of its own, on all of its sockets.
func TestSignin(t *testing.T) {
	s := newService(t, wiretest.Tokens(t), pusher.Options{})
	c := s.connected(t, s.port, with{Headers: bearer(wiretest.Sign(t, "42", time.Hour))})
	c.Must(map[string]any{"do": "signin"})
	wiretest.Equal(t, "signin_success", any(`{"id":"42"}`), c.Wait("signin_success")["user_data"])
	wiretest.Equal(t, "user", any(map[string]any{"id": "42"}), c.State()["user"])
	wiretest.Eventually(t, "the user's channel", func() bool { return s.server.Subscribers("#server-to-user-42") == 1 })
	other := s.dial(t, "")
	other.send(`{"event":"pusher:subscribe","data":{"channel":"#server-to-user-42","auth":""}}`)
	other.event2(t, "pusher:error")
	if err := s.server.SendToUser("42", "notice", map[string]any{"text": "hello"}); err != nil {
		t.Fatal(err)
	}
	got := c.WaitFor("user", func(d map[string]any) bool { return d["event"] == "notice" })
	wiretest.Equal(t, "notice", any(map[string]any{"text": "hello"}), got["data"])

	nobody := s.connected(t, s.port, with{})
	nobody.Must(map[string]any{"do": "signin"})
	failed := nobody.WaitFor("user", func(d map[string]any) bool { return d["event"] == "pusher:signin_error" })
	wiretest.Equal(t, "status", any(401.0), failed["data"].(map[string]any)["status"])
}

// Echo on top of it, with its own words.
func TestEcho(t *testing.T) {
	s := newService(t, wiretest.Tokens(t), pusher.Options{ClientEvents: true})
	clients := map[string]*client{}
	for _, user := range []string{"42", "7"} {
		c := s.connected(t, s.port, with{Headers: bearer(wiretest.Sign(t, user, time.Hour))})
		c.Must(map[string]any{"do": "echo"})
		c.Must(map[string]any{"do": "listen", "how": "private", "channel": "orders", "name": "OrderShipped"})
		c.echo("orders", "subscribed")
		c.Must(map[string]any{"do": "listen", "how": "join", "channel": "room", "name": "Said"})
		c.echo("room", "here")
		clients[user] = c
	}
	alice, bob := clients["42"], clients["7"]
	info := any(map[string]any{"via": "jwt"})
	wiretest.Equal(t, "joining", info, alice.echo("room", "joining"))
	bob.Must(map[string]any{"do": "whisper", "how": "private", "channel": "orders", "data": map[string]any{"name": "bob"}})
	wiretest.Equal(t, "whisper", any(map[string]any{"name": "bob"}), alice.echo("orders", "typing"))
	if err := s.server.Trigger("private-orders", "OrderShipped", map[string]any{"id": 1}); err != nil {
		t.Fatal(err)
	}
	wiretest.Equal(t, "event", any(map[string]any{"id": 1.0}), alice.echo("orders", "OrderShipped"))
	bob.Must(map[string]any{"do": "unsubscribe", "channel": "presence-room"})
	wiretest.Equal(t, "leaving", info, alice.echo("room", "leaving"))
	alice.Must(map[string]any{"do": "listen", "how": "private", "channel": "user-7", "name": "Any"})
	refused, _ := alice.echo("user-7", "error").(map[string]any)
	wiretest.Equal(t, "error", any(403.0), refused["status"])
}

// The signatures are those of Pusher's own library for Node.
func TestSignaturesOfLibrary(t *testing.T) {
	s := newService(t, wiretest.Tokens(t), pusher.Options{})
	lib := s.node(t, s.port, with{})
	headers := bearer(wiretest.Sign(t, "42", time.Hour))
	c := s.dial(t, "")
	for _, tc := range []struct {
		channel string
		data    any
	}{
		{"private-a", nil},
		{"presence-a", map[string]any{"user_id": "42", "user_info": map[string]any{"via": "jwt"}}},
		{"", map[string]any{"id": "42"}},
	} {
		p, err := json.Marshal(c.grant(tc.channel, headers))
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(p, &got); err != nil {
			t.Fatal(err)
		}
		delete(got, "channel")
		wiretest.Equal(t, tc.channel, lib.Must(map[string]any{"do": "sign", "socket": c.id, "channel": tc.channel, "data": tc.data}), any(got))
	}
}

// Requests that are not granted, and what they are answered with.
func TestAuthHandlerRefuses(t *testing.T) {
	s := newService(t, wiretest.NewSessions("42"), pusher.Options{})
	c := s.dial(t, "")
	form := func(channel string) url.Values { return url.Values{"socket_id": {c.id}, "channel_name": {channel}} }
	cookie := map[string]string{"Cookie": "user=42"}
	for _, tc := range []struct {
		name    string
		form    url.Values
		headers map[string]string
		status  int
	}{
		{"nobody", form("private-a"), nil, http.StatusUnauthorized},
		{"a forged cookie", form("private-a"), map[string]string{"Cookie": "user=forged"}, http.StatusUnauthorized},
		{"another page of the web", form("private-a"), map[string]string{"Cookie": "user=42", "Origin": "https://evil.example"}, http.StatusForbidden},
		{"the own origin", form("private-a"), map[string]string{"Cookie": "user=42", "Origin": s.url}, http.StatusOK},
		{"a public channel", form("news"), cookie, http.StatusBadRequest},
		{"a user's channel", form("#server-to-user-42"), cookie, http.StatusBadRequest},
		{"an encrypted channel", form("private-encrypted-a"), cookie, http.StatusBadRequest},
		{"a name with a colon", form("private-a:b"), cookie, http.StatusBadRequest},
		{"no channel", url.Values{"socket_id": {c.id}}, cookie, http.StatusBadRequest},
		{"no socket", url.Values{"channel_name": {"private-a"}}, cookie, http.StatusBadRequest},
		{"a socket that is not here", url.Values{"channel_name": {"private-a"}, "socket_id": {"1.2"}}, cookie, http.StatusNotFound},
		{"what no socket is called", url.Values{"channel_name": {"private-a"}, "socket_id": {"1.2:a"}}, cookie, http.StatusBadRequest},
		{"too much", url.Values{"channel_name": {"private-a"}, "socket_id": {c.id}, "x": {strings.Repeat("x", 20<<10)}}, cookie, http.StatusBadRequest},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, body := s.post(t, "/pusher/auth", tc.form, tc.headers)
			wiretest.Equal(t, "status", tc.status, status)
			if status != http.StatusOK && strings.Contains(string(body), appKey) {
				t.Errorf("the answer has a signature: %s", body)
			}
		})
	}
	resp, err := http.Get(s.url + "/pusher/auth")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	wiretest.Equal(t, "GET", []any{http.StatusMethodNotAllowed, http.MethodPost}, []any{resp.StatusCode, resp.Header.Get("Allow")})
}
