package socketio_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/zishang520/socket.io/servers/socket/v3"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/internal/parts"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/socketio"
)

func deauthenticated(t *testing.T, c *client, code string) {
	t.Helper()
	if diff := cmp.Diff([]any{map[string]any{"code": code}}, c.until("deauthenticated").Args); diff != "" {
		t.Error(diff)
	}
}

// over asserts that the client was told, was disconnected, and stays away.
func over(t *testing.T, c *client, code string) {
	t.Helper()
	deauthenticated(t, c, code)
	if e := c.until("disconnect"); e.Args[0] != leftByServer {
		t.Errorf("disconnected by %v", e.Args)
	}
	c.quiet(300 * time.Millisecond) // it would try again within 40 ms
}

// A logout in the web application ends its user's sockets at once, by either
// transport and in either version.
func TestLogout(t *testing.T) {
	redis := partstest.Redis(t)
	a, _ := sessions(t, redis.URL)
	b := newBridge(t, a, &bridge.Options{Sweep: -1})
	s := guarded(t, b, nil)
	for name, start := range map[string]func(testing.TB, *parts.Process) string{
		"php":     func(t testing.TB, r *parts.Process) string { return partstest.PHP(t, r).URL },
		"express": func(t testing.TB, r *parts.Process) string { return partstest.Express(t, r, expressSecret).URL },
	} {
		t.Run(name, func(t *testing.T) {
			v := partstest.NewVisitor(t, start(t, redis))
			node := startClients(t)
			for _, version := range []int{4, 2} {
				for _, transport := range transports() {
					v.Login("alice")
					options := map[string]any{
						"transports": []string{transport}, "upgrade": false,
						"extraHeaders": map[string]any{"cookie": v.Cookie()},
					}
					id := fmt.Sprintf("v%d %s", version, transport)
					c := node.open(id, version, s.url, options)
					c.until("connect")
					if got := c.ask("whoami"); got != "42" {
						t.Errorf("%s: the service says %v", id, got)
					}
					v.Logout()
					began := time.Now()
					deauthenticated(t, c, "session_ended")
					if late := time.Since(began); late > time.Second {
						t.Errorf("%s: told %v after the logout", id, late)
					}
					if e := c.until("disconnect"); e.Args[0] != leftByServer {
						t.Errorf("%s: disconnected by %v", id, e.Args)
					}
					c.quiet(300 * time.Millisecond)
					again := node.open(id+" again", version, s.url, options)
					if version == 4 {
						again.until("connect_error")
					} else {
						again.until("error")
					}
				}
			}
		})
	}
}

func TestTokenExpires(t *testing.T) {
	s := guarded(t, newBridge(t, tokens(t, nil), &bridge.Options{ExpiryNotice: -1}), nil)
	node := startClients(t)
	for _, version := range []int{4, 2} {
		token := sign(t, func(c jwt.MapClaims) { c["exp"] = time.Now().Add(2 * time.Second).Unix() })
		c := node.open(fmt.Sprint(version), version, s.url, bearer(token))
		c.until("connect")
		over(t, c, "token_expired")
	}
}

// A client that sends the next token in time stays.
func TestTokenIsRenewed(t *testing.T) {
	b := newBridge(t, tokens(t, nil), &bridge.Options{ExpiryNotice: time.Hour})
	s := guarded(t, b, nil)
	soon := time.Now().Add(3 * time.Second).Unix()
	c := startClients(t).open("a", 4, s.url, auth(sign(t, func(c jwt.MapClaims) { c["exp"] = soon })))
	c.until("connect")
	want := []any{map[string]any{"expires": time.Unix(soon, 0).UTC().Format(time.RFC3339)}}
	if diff := cmp.Diff(want, c.until("expiring").Args); diff != "" {
		t.Error(diff)
	}
	c.emit("authenticate", map[string]any{"token": sign(t, func(c jwt.MapClaims) { c["exp"] = soon + 7200 })})
	c.until("authenticated")
	c.quiet(time.Until(time.Unix(soon, 0).Add(500 * time.Millisecond)))
	if got := c.ask("whoami"); got != "42" {
		t.Errorf("the service says %v", got)
	}
}

// A service that stops closes the transport, so that its clients come back, to
// whatever there is then.
func TestDrain(t *testing.T) {
	versions(t, func(t *testing.T, version int) {
		for _, transport := range transports() {
			b := newBridge(t, tokens(t, nil), nil)
			s := guarded(t, b, nil)
			c := startClients(t).open(transport, version, s.url, with(bearer(sign(t, nil)), map[string]any{"transports": []string{transport}, "upgrade": false}))
			c.until("connect")
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			if err := b.Shutdown(ctx); err != nil {
				t.Error(err)
			}
			cancel()
			deauthenticated(t, c, "draining")
			e := c.next()
			if version == 2 && transport == "polling" && e.Event == "error" {
				e = c.next() // it reports that its poll was not answered
			}
			if e.Event != "disconnect" || e.Args[0] == leftByServer {
				t.Errorf("event %s %v, want a disconnect by transport", e.Event, e.Args)
			}
			c.until("reconnect_attempt")
			// Whoever comes back too early is refused, and is not hammering.
			event := "connect_error"
			if version == 2 {
				event = "error"
			}
			c.until(event)
			c.quiet(300 * time.Millisecond)
		}
	})
}

// From the moment that the application can see the end, nothing that it sends
// is delivered: to the socket, its rooms or everybody, with attachments too,
// and however much waited already.
func TestNothingAfterTheEnd(t *testing.T) {
	versions(t, func(t *testing.T, version int) {
		for _, transport := range transports() {
			t.Run(transport, func(t *testing.T) {
				b := newBridge(t, tokens(t, nil), &bridge.Options{ExpiryNotice: -1})
				sent, heard := make(chan struct{}), make(chan string, 100)
				s := newService(t, nil, func(io *socket.Server) error {
					if err := socketio.Use(io.Sockets(), b, nil); err != nil {
						return err
					}
					return io.Sockets().On("connection", func(args ...any) {
						s := args[0].(*socket.Socket)
						s.Join("room")
						s.OnAny(func(args ...any) {
							if socketio.Context(s).Err() != nil {
								heard <- args[0].(string)
							}
						})
						go func() {
							defer close(sent)
							<-socketio.Context(s).Done()
							for range 100 {
								_ = s.Emit("news", "a secret")
								_ = s.Emit("news", "a secret", attachment("and its attachment"))
								_ = io.To("room").Emit("news", "a secret")
								_ = io.Sockets().Emit("news", "a secret", attachment("and its attachment"))
							}
						}()
					})
				})
				c := startClients(t).open("a", version, s.url, with(bearer(sign(t, func(c jwt.MapClaims) { c["exp"] = time.Now().Add(2 * time.Second).Unix() })),
					map[string]any{"transports": []string{transport}, "upgrade": false}))
				c.until("connect")
				s.io.Emit("news", "no secret", attachment("with an attachment"))
				if e := c.until("news"); e.Args[0] != "no secret" {
					t.Errorf("news of %v", e.Args)
				}
				deauthenticated(t, c, "token_expired")
				c.until("disconnect")
				<-sent
				c.quiet(200 * time.Millisecond)
				if len(heard) > 0 {
					t.Errorf("after the end, the application heard %s", <-heard)
				}
			})
		}
	})
}

// What an application sends before it disconnects a socket by itself arrives.
func TestLastWords(t *testing.T) {
	b := newBridge(t, tokens(t, nil), nil)
	s := newService(t, nil, func(io *socket.Server) error {
		if err := socketio.Use(io.Sockets(), b, nil); err != nil {
			return err
		}
		return io.Sockets().On("connection", func(args ...any) {
			s := args[0].(*socket.Socket)
			_ = s.On("disconnect", func(...any) {
				if id := socketio.Identity(s); id == nil || id.User != "42" {
					t.Errorf("in disconnect the identity is %v", id)
				}
			})
			for i := range 20 {
				_ = s.Emit("news", i)
			}
			s.Disconnect(false)
		})
	})
	for _, transport := range transports() {
		c := startClients(t).open(transport, 4, s.url, with(bearer(sign(t, nil)), map[string]any{"transports": []string{transport}, "upgrade": false}))
		c.until("connect")
		for i := range 20 {
			if e := c.until("news"); e.Args[0] != float64(i) {
				t.Fatalf("news %v, want %d", e.Args, i)
			}
		}
		c.until("disconnect")
	}
}
