package socketio_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/zishang520/socket.io/servers/socket/v3"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/jwtmode"
	"github.com/sessionbridge/sessionbridge/socketio"
)

// refused is what connect_error delivers.
func refused(code, message string) any {
	return map[string]any{
		"message": message,
		"data":    map[string]any{"message": message, "code": code, "type": "UnauthorizedError"},
	}
}

func bearer(token string) map[string]any {
	return map[string]any{"extraHeaders": map[string]any{"authorization": "Bearer " + token}}
}

func query(token string) map[string]any {
	return map[string]any{"query": map[string]any{"token": token}}
}

func auth(token any) map[string]any {
	return map[string]any{"auth": map[string]any{"token": token}}
}

func with(options map[string]any, more map[string]any) map[string]any {
	all := map[string]any{}
	for _, m := range []map[string]any{options, more} {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

// Every row of socketio-jwt's one round trip, as the clients' own events
// deliver it.
func TestHandshake(t *testing.T) {
	good := sign(t, nil)
	expired := sign(t, func(c jwt.MapClaims) { c["exp"] = time.Now().Add(-time.Hour).Unix() })
	early := sign(t, func(c jwt.MapClaims) { c["nbf"] = time.Now().Add(time.Hour).Unix() })
	unsigned := good[:len(good)-43]
	forged := unsigned + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	inQuery := &socketio.Options{InsecureQueryToken: true}

	for name, test := range map[string]struct {
		options *socketio.Options
		auth    func(*jwtmode.Options)
		client  map[string]any
		want    any // a user, or what connect_error delivers
		only    int // the version that can do so; 0: both
	}{
		"a token in auth":                        {client: auth(good), want: "42", only: 4},
		"Bearer and a token in auth":             {client: auth("Bearer " + good), want: "42", only: 4},
		"a header":                               {client: bearer(good), want: "42"},
		"a query":                                {options: inQuery, client: query(good), want: "42"},
		"a query overrides the header":           {options: inQuery, client: with(query(good), bearer(expired)), want: "42"},
		"a bad query overrides the header":       {options: inQuery, client: with(query(expired), bearer(good)), want: refused("invalid_token", "jwt expired")},
		"the header, if no query":                {options: inQuery, client: bearer(good), want: "42"},
		"a query that is not allowed":            {client: query(good), want: refused("credentials_required", "no token provided")},
		"nothing":                                {want: refused("credentials_required", "no token provided")},
		"a header of one part":                   {client: map[string]any{"extraHeaders": map[string]any{"authorization": "Bearer"}}, want: refused("credentials_bad_format", "Format is Authorization: Bearer [token]")},
		"a header of three parts":                {client: bearer("a b"), want: refused("credentials_bad_format", "Format is Authorization: Bearer [token]")},
		"the header is required":                 {options: &socketio.Options{RequireHeader: true}, client: auth(good), want: refused("missing_authorization_header", "Server requires Authorization Header")},
		"expired":                                {client: bearer(expired), want: refused("invalid_token", "jwt expired")},
		"expired in auth, good in the header":    {client: with(auth(expired), bearer(good)), want: refused("invalid_token", "jwt expired"), only: 4},
		"forged":                                 {client: bearer(forged), want: refused("invalid_token", "invalid signature")},
		"unsigned":                               {client: bearer(unsigned), want: refused("invalid_token", "jwt signature is required")},
		"malformed":                              {client: bearer("abc"), want: refused("invalid_token", "jwt malformed")},
		"not active":                             {client: bearer(early), want: refused("invalid_token", "jwt not active")},
		"a token that is no string":              {client: auth(42), want: refused("invalid_token", "invalid token datatype"), only: 4},
		"a rediskey where none is accepted":      {client: map[string]any{"auth": map[string]any{"rediskey": "abc"}}, want: refused("invalid_session", "the session is unknown, over, or nobody is logged in to it"), only: 4},
		"no secret is known":                     {auth: secret(nil), client: bearer(good), want: refused("invalid_secret", "no secret is known for this token")},
		"the secret function has its own reason": {auth: secret(bridge.Reject("tenant_unknown", "who are you", nil)), client: bearer(good), want: refused("tenant_unknown", "who are you")},
		"the secret function fails":              {auth: secret(errors.New("the key server is down")), client: bearer(good), want: refused("unavailable", "try again later")},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBridge(t, tokens(t, test.auth), nil)
			s := guarded(t, b, test.options)
			node := startClients(t)
			for _, version := range []int{4, 2} {
				for _, transport := range transports() {
					if version == 2 && test.only == 4 {
						continue
					}
					id := fmt.Sprintf("v%d %s", version, transport)
					c := node.open(id, version, s.url, with(test.client, map[string]any{"transports": []string{transport}, "upgrade": false}))
					if user, ok := test.want.(string); ok {
						if e := c.until("connect"); e.Args[0] != transport {
							t.Errorf("%s: connected by %v", id, e.Args)
						}
						if got := c.ask("whoami"); got != user {
							t.Errorf("%s: the service says %v, want %s", id, got, user)
						}
						continue
					}
					event, want := "connect_error", test.want
					if version == 2 { // has the data alone, and calls it so
						event, want = "error", test.want.(map[string]any)["data"]
					}
					e := c.until(event)
					if diff := cmp.Diff(want, e.Args[0]); diff != "" {
						t.Errorf("%s: %s", id, diff)
					}
				}
			}
		})
	}
}

// secret is a KeyFunc that finds no key.
func secret(err error) func(*jwtmode.Options) {
	return func(o *jwtmode.Options) {
		o.Key = nil
		o.KeyFunc = func(context.Context, *http.Request, *jwt.Token) (any, error) { return nil, err }
	}
}

// A client that begins with polling keeps its identity through the upgrade.
func TestTransportUpgrade(t *testing.T) {
	if raceDetector {
		t.Skip("the library's polling has a race; see transports")
	}
	s := guarded(t, newBridge(t, tokens(t, nil), nil), nil)
	node := startClients(t)
	for _, version := range []int{4, 2} {
		c := node.open(fmt.Sprint(version), version, s.url, bearer(sign(t, nil)))
		c.until("connect")
		poll(t, "the transport stays polling", func() bool {
			if got := c.ask("whoami"); got != "42" {
				t.Fatalf("version %d: the service says %v", version, got)
			}
			upgraded := true
			s.io.Sockets().Sockets().Range(func(_ socket.SocketId, s *socket.Socket) bool {
				upgraded = upgraded && s.Conn().Transport().Name() == "websocket"
				return true
			})
			return upgraded
		})
	}
}

type panicking struct{}

func (panicking) Authenticate(context.Context, *bridge.Handshake) (*bridge.Identity, error) {
	panic("at the disco")
}

func TestAuthenticatorPanics(t *testing.T) {
	b := newBridge(t, panicking{}, nil)
	s := guarded(t, b, nil)
	c := startClients(t).open("a", 4, s.url, map[string]any{"transports": []string{"websocket"}})
	if diff := cmp.Diff(refused("unavailable", "try again later"), c.until("connect_error").Args[0]); diff != "" {
		t.Error(diff)
	}
	if n := b.Len(); n != 0 {
		t.Errorf("%d lives are left", n)
	}
}
