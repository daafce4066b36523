package pusher_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/internal/parts"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest/wiretest"
)

// client is pusher-js from npm, unmodified, in Node.
type client struct {
	*wiretest.Client
	t testing.TB
}

func nodeModules(t testing.TB) string {
	t.Helper()
	_, modules := partstest.Node(t, parts.NodePrograms, "pusher-js", "laravel-echo", "pusher")
	return modules
}

// with is how a client starts.
type with struct {
	Headers map[string]string // of its requests to be authorized
	Params  map[string]string // the same
	Signs   bool              // the web application signs, not AuthHandler
	More    map[string]any    // options of pusher-js
}

// node starts a client. It connects to the service through a jar, if it has
// one, which adds the cookies that a browser would.
func (s *service) node(t testing.TB, port int, w with) *client {
	t.Helper()
	auth := map[string]any{}
	if w.Headers != nil {
		auth["headers"] = w.Headers
	}
	if w.Params != nil {
		auth["params"] = w.Params
	}
	c := wiretest.Node(t, map[string]any{
		"modules": nodeModules(t), "port": port, "key": appKey, "secret": appSecret, "signs": w.Signs,
		"options": map[string]any{"auth": auth, "more": w.More},
	})
	return &client{c, t}
}

// connected is node, connected.
func (s *service) connected(t testing.TB, port int, w with) *client {
	t.Helper()
	c := s.node(t, port, w)
	c.start()
	return c
}

// start connects and waits until the client is connected.
func (c *client) start() {
	c.t.Helper()
	c.Must(map[string]any{"do": "connect"})
	c.waitState("connected")
}

func (c *client) waitState(state string) {
	c.t.Helper()
	c.WaitFor("state", func(d map[string]any) bool { return d["current"] == state })
}

// on returns the data of the next event of that name on a channel.
func (c *client) on(channel, event string) any {
	c.t.Helper()
	return c.WaitFor("channel", func(d map[string]any) bool { return d["channel"] == channel && d["event"] == event })["data"]
}

// echo returns the data of Echo's next callback of that name on a channel.
func (c *client) echo(channel, event string) any {
	c.t.Helper()
	return c.WaitFor("echo", func(d map[string]any) bool { return d["channel"] == channel && d["event"] == event })["data"]
}

// subscribe subscribes and returns what comes of it.
func (c *client) subscribe(channel string) any {
	c.t.Helper()
	c.Must(map[string]any{"do": "subscribe", "channel": channel})
	return c.on(channel, "pusher:subscription_succeeded")
}

// wantClosed waits for the client's error of a code and message, and for it to
// be disconnected for good.
func (c *client) wantClosed(code float64, message string) {
	c.t.Helper()
	c.WaitFor("error", isError(code, message))
	c.waitState("disconnected")
	wiretest.Equal(c.t, "state", any("disconnected"), c.State()["state"])
	if n := c.Count("connecting_in", nil); n != 0 {
		c.t.Errorf("the client means to come back")
	}
}

// isError fits a client's error event: {type: PusherError, data: {code, message}}.
func isError(code float64, message string) func(map[string]any) bool {
	return func(d map[string]any) bool {
		return cmp.Equal(d, map[string]any{"type": "PusherError", "data": map[string]any{"code": code, "message": message}})
	}
}
