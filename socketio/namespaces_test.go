package socketio_test

import (
	"context"
	"regexp"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/zishang520/socket.io/servers/socket/v3"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/jwtmode"
	"github.com/sessionbridge/sessionbridge/socketio"
)

var anyTenant = regexp.MustCompile(`^/tenant-\d+$`)

// Each namespace has its own authenticator, and the end of the identity in one
// leaves the others of the same connection, guarded or not, as they are.
func TestNamespaces(t *testing.T) {
	b := newBridge(t, tokens(t, nil), &bridge.Options{ExpiryNotice: -1})
	admins := newBridge(t, tokens(t, func(o *jwtmode.Options) {
		o.Check = func(_ context.Context, id *bridge.Identity) error {
			if id.Claims["admin"] != true {
				return bridge.Reject("not_admin", "administrators only", nil)
			}
			return nil
		}
	}), &bridge.Options{ExpiryNotice: -1})
	s := newService(t, nil, func(io *socket.Server) error {
		if err := socketio.Use(io.Sockets(), b, nil); err != nil {
			return err
		}
		serve(io.Of("/admin", nil))
		serve(io.Of("/public", nil))
		return socketio.Use(io.Of("/admin", nil), admins, nil)
	})
	node := startClients(t)
	shared := map[string]any{"forceNew": false, "transports": []string{"websocket"}}

	user := node.open("user", 4, s.url, with(auth(sign(t, nil)), shared))
	user.until("connect")
	public := node.open("public", 4, s.url+"/public", shared)
	public.until("connect")
	refusedAdmin := node.open("no admin", 4, s.url+"/admin", with(auth(sign(t, nil)), map[string]any{"transports": []string{"websocket"}}))
	e := refusedAdmin.until("connect_error")
	if got := e.Args[0].(map[string]any)["message"]; got != "administrators only" {
		t.Errorf("refused with %v", got)
	}
	admin := node.open("admin", 4, s.url+"/admin", with(auth(sign(t, func(c jwt.MapClaims) {
		c["admin"], c["exp"] = true, time.Now().Add(2*time.Second).Unix()
	})), shared))
	admin.until("connect")

	over(t, admin, "token_expired")
	// Longer than the connection of a client that has left would be kept.
	for _, c := range []*client{user, public} {
		c.quiet(500 * time.Millisecond)
	}
	if got := user.ask("whoami"); got != "42" {
		t.Errorf("the service says %v", got)
	}
	if got := public.ask("whoami"); got != nil {
		t.Errorf("of the unguarded namespace, the service says %v", got)
	}
	_ = s.io.Of("/admin", nil).Emit("news", "for administrators")
	_ = s.io.Of("/public", nil).Emit("news", "for all")
	public.until("news")
	user.quiet(50 * time.Millisecond)
	admin.quiet(50 * time.Millisecond)
}

// The children of a guarded parent are guarded.
func TestDynamicNamespaces(t *testing.T) {
	b := newBridge(t, tokens(t, nil), nil)
	s := newService(t, nil, func(io *socket.Server) error {
		parent := io.Of(anyTenant, nil)
		serve(parent)
		return socketio.Use(parent, b, nil)
	})
	node := startClients(t)
	stranger := node.open("stranger", 4, s.url+"/tenant-1", websocketOnly)
	stranger.until("connect_error")
	user := node.open("user", 4, s.url+"/tenant-1", with(auth(sign(t, nil)), websocketOnly))
	user.until("connect")
	if got := user.ask("whoami"); got != "42" {
		t.Errorf("the service says %v", got)
	}
	if err := b.Revoke(t.Context(), bridge.Target{User: "42", Via: "jwt"}); err != nil {
		t.Fatal(err)
	}
	over(t, user, "revoked")
}
