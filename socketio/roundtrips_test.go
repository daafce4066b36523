package socketio_test

import (
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/zishang520/socket.io/servers/socket/v3"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/socketio"
)

// unauthorized is what the event of that name delivers.
func unauthorized(code, message string) any {
	return map[string]any{
		"message": message,
		"inner":   map[string]any{"message": message},
		"data":    map[string]any{"message": message, "code": code, "type": "UnauthorizedError"},
	}
}

var websocketOnly = map[string]any{"transports": []string{"websocket"}}

const leftByServer = "io server disconnect"

// versions runs a test with each client, and a service of its own.
func versions(t *testing.T, test func(t *testing.T, version int)) {
	for version, name := range map[int]string{4: "socket.io-client 4", 2: "socket.io-client 2"} {
		t.Run(name, func(t *testing.T) { test(t, version) })
	}
}

// Every row of socketio-jwt's two round trips.
func TestTwoRoundTrips(t *testing.T) {
	good := sign(t, nil)
	expired := sign(t, func(c jwt.MapClaims) { c["exp"] = time.Now().Add(-time.Hour).Unix() })
	early := sign(t, func(c jwt.MapClaims) { c["nbf"] = time.Now().Add(time.Hour).Unix() })
	failures := map[string]struct {
		sent any
		want any
	}{
		"expired":     {map[string]any{"token": expired}, unauthorized("invalid_token", "jwt expired")},
		"forged":      {map[string]any{"token": good[:len(good)-4] + "AAAA"}, unauthorized("invalid_token", "invalid signature")},
		"malformed":   {map[string]any{"token": "abc"}, unauthorized("invalid_token", "jwt malformed")},
		"unsigned":    {map[string]any{"token": good[:len(good)-43]}, unauthorized("invalid_token", "jwt signature is required")},
		"not active":  {map[string]any{"token": early}, unauthorized("invalid_token", "jwt not active")},
		"missing":     {map[string]any{}, unauthorized("invalid_token", "invalid token datatype")},
		"a number":    {map[string]any{"token": 42}, unauthorized("invalid_token", "invalid token datatype")},
		"no object":   {"token", unauthorized("invalid_token", "invalid token datatype")},
		"a rediskey":  {map[string]any{"rediskey": "abc"}, unauthorized("invalid_session", "the session is unknown, over, or nobody is logged in to it")},
		"not at all":  {nil, unauthorized("invalid_token", "invalid token datatype")},
		"empty token": {map[string]any{"token": ""}, unauthorized("invalid_token", "jwt must be provided")},
	}
	versions(t, func(t *testing.T, version int) {
		b := newBridge(t, tokens(t, nil), nil)
		open := func(t *testing.T, opts *socketio.Options) *client {
			t.Helper()
			opts.TwoRoundTrips = true
			c := startClients(t).open("a", version, guarded(t, b, opts).url, websocketOnly)
			c.until("connect")
			return c
		}
		t.Run("a good token, again and again", func(t *testing.T) {
			known := make(chan string, 9)
			c := open(t, &socketio.Options{Authenticated: func(s *socket.Socket) { known <- socketio.Identity(s).User }})
			for range 3 {
				c.emit("authenticate", map[string]any{"token": good})
				if e := c.until("authenticated"); len(e.Args) != 0 {
					t.Errorf("authenticated has the data %v", e.Args)
				}
			}
			if got := c.ask("whoami"); got != "42" {
				t.Errorf("the service says %v", got)
			}
			if user := <-known; user != "42" || len(known) > 0 {
				t.Errorf("Authenticated was called with %s, and %d times more", user, len(known))
			}
		})
		for name, f := range failures {
			t.Run(name, func(t *testing.T) {
				c := open(t, &socketio.Options{CloseAfter: -1})
				c.emit("authenticate", f.sent)
				if diff := cmp.Diff([]any{f.want}, c.until("unauthorized").Args); diff != "" {
					t.Error(diff)
				}
				if e := c.until("disconnect"); e.Args[0] != leftByServer {
					t.Errorf("disconnected by %v", e.Args)
				}
				c.quiet(100 * time.Millisecond)
			})
		}
		t.Run("a good token after a bad one", func(t *testing.T) {
			c := open(t, &socketio.Options{})
			c.emit("authenticate", map[string]any{"token": expired})
			c.until("unauthorized")
			c.emit("authenticate", map[string]any{"token": good})
			c.until("authenticated")
		})
		t.Run("an acknowledged failure disconnects", func(t *testing.T) {
			opts := &socketio.Options{TwoRoundTrips: true, Timeout: time.Minute}
			node := startClients(t)
			node.do(map[string]any{"do": "open", "id": "a", "version": version, "url": guarded(t, b, opts).url, "options": websocketOnly, "ack": true})
			c := &client{node, "a"}
			c.until("connect")
			c.emit("authenticate", map[string]any{"token": expired})
			c.until("unauthorized")
			if e := c.until("disconnect"); e.Args[0] != leftByServer {
				t.Errorf("disconnected by %v", e.Args)
			}
		})
		t.Run("CloseAfter", func(t *testing.T) {
			c := open(t, &socketio.Options{CloseAfter: 50 * time.Millisecond, Timeout: time.Minute})
			c.emit("authenticate", map[string]any{"token": expired})
			c.until("unauthorized")
			c.until("disconnect")
		})
		t.Run("a good token within CloseAfter", func(t *testing.T) {
			c := open(t, &socketio.Options{CloseAfter: 200 * time.Millisecond, Timeout: time.Minute})
			c.emit("authenticate", map[string]any{"token": expired})
			c.until("unauthorized")
			c.emit("authenticate", map[string]any{"token": good})
			c.until("authenticated")
			c.quiet(400 * time.Millisecond)
		})
		t.Run("MaxAttempts", func(t *testing.T) {
			c := open(t, &socketio.Options{MaxAttempts: 2, Timeout: time.Minute})
			for range 2 {
				c.emit("authenticate", map[string]any{"token": expired})
				c.until("unauthorized")
			}
			c.until("disconnect")
		})
		t.Run("Timeout", func(t *testing.T) {
			c := open(t, &socketio.Options{Timeout: 100 * time.Millisecond})
			if e := c.until("disconnect"); e.Args[0] != leftByServer {
				t.Errorf("disconnected by %v", e.Args)
			}
			c.quiet(100 * time.Millisecond)
		})
		t.Run("a bad token does not stop the clock", func(t *testing.T) {
			c := open(t, &socketio.Options{Timeout: 300 * time.Millisecond})
			c.emit("authenticate", map[string]any{"token": expired})
			c.until("unauthorized")
			c.until("disconnect")
		})
		t.Run("another user's token ends it", func(t *testing.T) {
			c := open(t, &socketio.Options{})
			c.emit("authenticate", map[string]any{"token": good})
			c.until("authenticated")
			c.emit("authenticate", map[string]any{"token": sign(t, func(m jwt.MapClaims) { m["sub"] = "7" })})
			if diff := cmp.Diff([]any{map[string]any{"code": "user_changed"}}, c.until("deauthenticated").Args); diff != "" {
				t.Error(diff)
			}
			c.until("disconnect")
		})
		t.Run("a bad token leaves the identity", func(t *testing.T) {
			c := open(t, &socketio.Options{CloseAfter: 50 * time.Millisecond})
			c.emit("authenticate", map[string]any{"token": good})
			c.until("authenticated")
			c.emit("authenticate", map[string]any{"token": expired})
			c.until("unauthorized")
			c.quiet(100 * time.Millisecond)
			if got := c.ask("whoami"); got != "42" {
				t.Errorf("the service says %v", got)
			}
		})
	})
}

// Who has not said who they are neither hears nor is heard, in rooms and
// broadcasts too; not by OnAny either, which the library calls before all else.
func TestPendingIsMute(t *testing.T) {
	if raceDetector {
		t.Skip("the library's broadcasts have a race; see transports")
	}
	b := newBridge(t, tokens(t, nil), nil)
	heard := make(chan string, 9)
	s := newService(t, nil, func(io *socket.Server) error {
		if err := socketio.Use(io.Sockets(), b, &socketio.Options{TwoRoundTrips: true}); err != nil {
			return err
		}
		return io.Sockets().On("connection", func(args ...any) {
			args[0].(*socket.Socket).OnAny(func(args ...any) { heard <- args[0].(string) })
		})
	})
	node := startClients(t)
	for _, version := range []int{4, 2} {
		pending := node.open("pending", version, s.url, websocketOnly)
		pending.until("connect")
		pending.emit("say", "I am nobody")
		pending.emit("message", "me neither")
		known := node.open("known", version, s.url, websocketOnly)
		known.until("connect")
		known.emit("authenticate", map[string]any{"token": sign(t, nil)})
		known.until("authenticated")
		for range 3 {
			known.emit("say", "secret")
			if e := known.until("news"); e.Args[0] != "secret" {
				t.Errorf("news of %v", e.Args)
			}
		}
		s.io.Emit("news", "to all")
		known.until("news")
		pending.quiet(50 * time.Millisecond)
		// Nothing of that comes later either.
		pending.emit("authenticate", map[string]any{"token": sign(t, nil)})
		pending.until("authenticated")
		s.io.Emit("news", "again")
		if e := pending.until("news"); e.Args[0] != "again" {
			t.Errorf("news of %v", e.Args)
		}
		for _, want := range []string{"authenticate", "say", "say", "say", "authenticate"} {
			if got := <-heard; got != want {
				t.Errorf("OnAny heard %s, want %s", got, want)
			}
		}
		known.until("news")
		known.all.do(map[string]any{"do": "close", "id": "known"})
		pending.all.do(map[string]any{"do": "close", "id": "pending"})
		known.until("disconnect")
		pending.until("disconnect")
	}
}

// With Optional nobody needs to say who they are, and who does is known.
func TestOptional(t *testing.T) {
	versions(t, func(t *testing.T, version int) {
		b := newBridge(t, tokens(t, nil), &bridge.Options{AuthTimeout: 100 * time.Millisecond})
		s := guarded(t, b, &socketio.Options{TwoRoundTrips: true, Optional: true, Timeout: 100 * time.Millisecond})
		c := startClients(t).open("a", version, s.url, websocketOnly)
		c.until("connect")
		c.quiet(300 * time.Millisecond)
		if got := c.ask("whoami"); got != nil {
			t.Errorf("the service says %v", got)
		}
		s.io.Emit("news", "for all")
		c.until("news")
		c.emit("authenticate", map[string]any{"token": sign(t, nil)})
		c.until("authenticated")
		if got := c.ask("whoami"); got != "42" {
			t.Errorf("the service says %v", got)
		}
	})
}

// A page that got a rediskey from its login sends it as a message.
func TestRedisKey(t *testing.T) {
	redis := partstest.Redis(t)
	php := partstest.NewVisitor(t, partstest.PHP(t, redis).URL)
	php.Login("alice")
	a, _ := sessions(t, redis.URL)
	b := newBridge(t, a, nil)
	versions(t, func(t *testing.T, version int) {
		s := guarded(t, b, &socketio.Options{TwoRoundTrips: true})
		node := startClients(t)
		c := node.open("message", version, s.url, websocketOnly)
		c.until("connect")
		c.emit("message", map[string]any{"rediskey": php.Key})
		c.until("authenticated")
		if got := c.ask("whoami"); got != "42" {
			t.Errorf("the service says %v", got)
		}
		for name, key := range map[string]string{"unknown": "00000000000000000000000000", "a raw key": "PHPREDIS_SESSION:" + php.Key} {
			c := node.open(name, version, s.url, websocketOnly)
			c.until("connect")
			c.emit("message", map[string]any{"rediskey": key})
			e := c.until("unauthorized")
			if code := e.Args[0].(map[string]any)["data"].(map[string]any)["code"]; code != "invalid_session" {
				t.Errorf("%s: code %v", name, code)
			}
		}
		if version == 4 {
			c := node.open("auth", 4, guarded(t, b, nil).url, map[string]any{"auth": map[string]any{"rediskey": php.Key, "stack": "php"}})
			c.until("connect")
		}
	})
}
