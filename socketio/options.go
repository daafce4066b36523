package socketio

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/zishang520/socket.io/servers/socket/v3"
)

// Options say how the clients of a namespace authenticate. A nil *Options and
// the zero value are safe: a credential at the handshake.
type Options struct {
	// TwoRoundTrips lets clients connect without a credential and wait for
	// one in a message. Cookies, headers and the query of the handshake are
	// then not looked at; what auth holds is.
	TwoRoundTrips bool

	// Optional lets clients stay, and send and receive, that never say who
	// they are: [Identity] is nil for them. Only with TwoRoundTrips.
	Optional bool

	// Timeout is how long a client may take with TwoRoundTrips until it is
	// disconnected; no failed attempt stops the clock. Default 5 s, which is
	// socketio-jwt's.
	Timeout time.Duration

	// CloseAfter is how long after a failed attempt a client is disconnected
	// that is nobody yet; negative: at once. Default 0: it may try again,
	// within Timeout and MaxAttempts. It is socketio-jwt's option callback.
	// Whatever it says, a client that acknowledges the event unauthorized is
	// disconnected.
	CloseAfter time.Duration

	// MaxAttempts is how many failed attempts in a row end a connection.
	// Default 3.
	MaxAttempts int

	// RequireHeader refuses handshakes without an Authorization header. It is
	// socketio-jwt's option auth_header_required.
	RequireHeader bool

	// InsecureQueryToken takes the token from ?token=, before any in a header,
	// as socketio-jwt does. URLs are kept where tokens must not be: in the
	// logs of proxies and of the service.
	InsecureQueryToken bool

	// Authenticated is called once for each socket, when it is connected and
	// its identity stands, before the client is told. Handlers that only
	// users may reach are best set here. Default nil.
	Authenticated func(*socket.Socket)

	// Logger gets what goes wrong in here; refusals and ends are in the
	// bridge's. Default slog.Default().
	Logger *slog.Logger
}

// withDefaults returns a checked copy.
func (o *Options) withDefaults() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	switch {
	case c.Timeout < 0:
		return c, errors.New("socketio: Timeout is negative; leave it zero for 5 s")
	case c.MaxAttempts < 0:
		return c, errors.New("socketio: MaxAttempts is negative; leave it zero for 3")
	}
	if !c.TwoRoundTrips {
		for _, o := range []struct {
			name string
			set  bool
		}{{"Optional", c.Optional}, {"Timeout", c.Timeout != 0}, {"CloseAfter", c.CloseAfter != 0}} {
			if o.set {
				return c, fmt.Errorf("socketio: %s has no effect without TwoRoundTrips; set that too, or leave it out", o.name)
			}
		}
	} else if c.RequireHeader || c.InsecureQueryToken {
		return c, errors.New("socketio: RequireHeader and InsecureQueryToken are about the handshake, which TwoRoundTrips does not look at; leave them out")
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.MaxAttempts == 0 {
		c.MaxAttempts = 3
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, nil
}
