package socketcluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/internal/parts/partstest/wiretest"
	"github.com/sessionbridge/sessionbridge/socketcluster"
)

// Two clients talk in a channel; one that may not is told so.
func TestChannels(t *testing.T) {
	s := newService(t, wiretest.Tokens(t), newOptions())
	alice := s.node(t, with{Token: new(wiretest.Sign(t, "42", time.Hour))})
	bob := s.node(t, with{Token: new(wiretest.Sign(t, "7", time.Hour))})
	eve := s.node(t, with{})
	for _, c := range []*client{alice, bob, eve} {
		c.start()
	}
	alice.subscribe("news")
	bob.subscribe("news")
	eve.Must(map[string]any{"do": "subscribe", "channel": "news"})
	refused := eve.Wait("subscribeFail")
	wiretest.Equal(t, "channel", any("news"), refused["channel"])
	wiretest.Equal(t, "error", any("log in first"), refused["error"].(map[string]any)["message"])

	data := map[string]any{"text": "hello <b>", "n": 1.0}
	alice.Must(map[string]any{"do": "publish", "channel": "news", "data": data})
	for _, c := range []*client{alice, bob} {
		wiretest.Equal(t, "message", map[string]any{"channel": "news", "data": data}, c.Wait("message"))
	}
	r := eve.Do(map[string]any{"do": "publish", "channel": "news", "data": 1})
	wiretest.Equal(t, "eve's publish", any("AuthError"), r.Error["name"])

	bob.Must(map[string]any{"do": "unsubscribe", "channel": "news"})
	wiretest.Eventually(t, "one subscriber", func() bool { return s.server.Subscribers("news") == 1 })
	if err := s.server.Publish("news", "to alice"); err != nil {
		t.Fatal(err)
	}
	wiretest.Equal(t, "message", any("to alice"), alice.Wait("message")["data"])
	if bob.Count("message", nil) != 1 || eve.Count("message", nil) != 0 {
		t.Error("a message to somebody who is not subscribed")
	}
}

// Events without an answer, both ways, in the order sent.
func TestTransmit(t *testing.T) {
	s := newService(t, wiretest.Tokens(t), newOptions())
	s.server.Receive("note", func(_ context.Context, c *socketcluster.Conn, data json.RawMessage) {
		if err := c.Transmit("echo", data); err != nil {
			t.Error(err)
		}
	})
	s.server.Receive("panic", func(context.Context, *socketcluster.Conn, json.RawMessage) { panic("here") })
	s.server.Receive("kick", func(_ context.Context, c *socketcluster.Conn, _ json.RawMessage) {
		if !c.KickOut("public", "out") || c.KickOut("public", "again") {
			t.Error("KickOut is wrong")
		}
	})
	c := s.node(t, with{})
	c.start()
	c.Must(map[string]any{"do": "receive", "name": "echo"})
	c.Must(map[string]any{"do": "transmit", "name": "panic"})
	for i := range 10 {
		c.Must(map[string]any{"do": "transmit", "name": "note", "data": i})
	}
	for i := range 10 {
		wiretest.Equal(t, "echo", any(float64(i)), c.Wait("received")["data"])
	}
	c.subscribe("public")
	c.Must(map[string]any{"do": "transmit", "name": "kick"})
	wiretest.Equal(t, "kickOut", map[string]any{"channel": "public", "message": "out"}, c.Wait("kickOut"))
}

// What a client may not do on the wire, and what it is told.
func TestChannelErrors(t *testing.T) {
	o := newOptions()
	o.MaxChannels = 1
	s := newService(t, wiretest.Tokens(t), o)
	for _, tc := range []struct{ name, frame, want string }{
		{"no data", `{"event":"#subscribe","cid":2}`, `{"name":"InvalidActionError","message":"the channel name is malformed"}`},
		{"a channel that is no string", `{"event":"#publish","data":{"channel":5},"cid":2}`, `{"name":"InvalidActionError","message":"the channel name is malformed"}`},
		{"a long channel", `{"event":"#subscribe","data":{"channel":"public` + strings.Repeat("x", 512) + `"},"cid":2}`, `{"name":"InvalidActionError","message":"the channel name is malformed"}`},
		{"long data", `{"event":"#subscribe","data":{"channel":"public","data":"` + strings.Repeat("x", 4096) + `"},"cid":2}`, `{"name":"InvalidActionError","message":"the data of a subscription is too long"}`},
		{"one channel too many", `{"event":"#subscribe","data":{"channel":"public2"},"cid":2}`, `{"name":"InvalidActionError","message":"the limit of channels is reached"}`},
		{"not subscribed", `{"event":"#unsubscribe","data":"public2","cid":2}`, `{"name":"BrokerError","message":"there is no subscription to this channel"}`},
		{"no name to unsubscribe", `{"event":"#unsubscribe","data":{},"cid":2}`, `{"name":"InvalidActionError","message":"the channel name is malformed"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := s.dial(t, nil)
			c.shake("")
			c.send(`{"event":"#subscribe","data":{"channel":"public"},"cid":1}`)
			c.want(`{"rid":1}`)
			c.send(tc.frame)
			c.want(`{"rid":2,"error":` + tc.want + `}`)
			c.send(`{"event":"#subscribe","data":{"channel":"public"},"cid":3}`) // again: allowed
			c.want(`{"rid":3}`)
			c.send(`{"event":"#unsubscribe","data":"public","cid":4}`)
			c.want(`{"rid":4}`)
		})
	}
	t.Run("nobody is asked", func(t *testing.T) {
		s := newService(t, wiretest.Tokens(t), &socketcluster.Options{})
		c := s.dial(t, nil)
		c.shake("")
		c.send(`{"event":"#subscribe","data":{"channel":"public"},"cid":1}`)
		c.want(`{"rid":1,"error":{"name":"AuthError","message":"not allowed"}}`)
	})
	t.Run("the application's reason is not shown", func(t *testing.T) {
		o := newOptions()
		o.Authorize = func(context.Context, *socketcluster.Request) error { return errors.New("internal detail") }
		s := newService(t, wiretest.Tokens(t), o)
		c := s.dial(t, nil)
		c.shake("")
		c.send(`{"event":"#publish","data":{"channel":"public"},"cid":1}`)
		c.want(`{"rid":1,"error":{"name":"AuthError","message":"not allowed"}}`)
	})
}

// A client that does not read is cut off, and nobody else waits for it.
func TestSlowReader(t *testing.T) {
	o := newOptions()
	o.MaxQueue = 64 << 10
	o.WriteTimeout = time.Minute // not what cuts it off
	s := newService(t, wiretest.Tokens(t), o)
	slow, quick := s.dial(t, nil), s.dial(t, nil)
	for _, c := range []*socket{slow, quick} {
		c.shake("")
		c.send(`{"event":"#subscribe","data":{"channel":"public"},"cid":1}`)
		c.want(`{"rid":1}`)
	}
	if err := slow.ws.NetConn().(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("x", 16<<10)
	want := fmt.Sprintf(`{"event":"#publish","data":{"channel":"public","data":"%s"}}`, text)
	for range 2000 { // more than the kernel takes in
		if err := s.server.Publish("public", text); err != nil {
			t.Fatal(err)
		}
		quick.want(want)
		if s.server.Subscribers("public") == 1 {
			break
		}
	}
	wiretest.Eventually(t, "the slow client is gone", func() bool { return s.server.Subscribers("public") == 1 })
	quick.send(`{"event":"whoami","cid":2}`)
	quick.want(`{"rid":2}`)
}

// A page of another origin gets nowhere, whatever cookie its visitor has, and
// so does one socket too many.
func TestUpgradeRefused(t *testing.T) {
	o := newOptions()
	o.MaxPending = 1
	s := newService(t, wiretest.NewSessions("42"), o)
	for _, tc := range []struct {
		name   string
		header http.Header
		full   bool
		want   int
	}{
		{"another origin", http.Header{"Cookie": {"user=42"}, "Origin": {"https://evil.example"}}, false, http.StatusForbidden},
		{"its own origin", http.Header{"Cookie": {"user=42"}, "Origin": {s.url}}, false, http.StatusSwitchingProtocols},
		{"too many pending", http.Header{}, true, http.StatusServiceUnavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.full {
				s.dial(t, nil)
			}
			ws, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(s.url, "http")+"/socketcluster/", tc.header)
			if resp == nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tc.want {
				t.Errorf("status = %s, want %d", resp.Status, tc.want)
			}
			if err == nil {
				ws.Close()
				wiretest.Eventually(t, "the socket is gone", func() bool { return s.bridge.Len() == 0 })
			}
		})
	}
	resp, err := s.http.Client().Get(s.url + "/socketcluster/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("a plain GET: %s", resp.Status)
	}
}
