package socketcluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// Options configure a [Server]. A nil *Options and the zero value are safe:
// each zero field has the default that its comment gives.
type Options struct {
	// Authorize is asked before a client subscribes to a channel and before
	// it publishes; an error refuses it. The client is told what an [*Error]
	// says, of any other error only that it is not allowed; the rest is
	// logged. When a client's identity changes or ends, Authorize is asked
	// again about the channels that it has. It may be called concurrently, and
	// must not authenticate or deauthenticate the client.
	// Default nil: no client may subscribe or publish.
	Authorize func(ctx context.Context, r *Request) error

	// AuthorizeTimeout bounds Authorize, for all channels of a client together
	// when its identity changes: those that it has not answered for by then
	// are refused. Default 10 s, which is how long a client waits for an
	// answer.
	AuthorizeTimeout time.Duration

	// Issuer signs the tokens that clients are given. The bridge's
	// authenticator must accept them as messages of kind MessageToken.
	// Default nil: clients are given none, and [Conn.SetAuthToken] fails.
	//
	// A client with a session is given a token at its handshake, and another
	// whenever two thirds of its time have passed, as long as the session
	// lives.
	Issuer Issuer

	// Renew does the same for a client that has a token and no session: it is
	// asked, with the identity that the token stands for, whose identity the
	// next is to be issued for, which must be of the same user. An error
	// issues none, for now: it is asked again until the token runs out. It
	// must honour ctx. Default nil: such tokens run out.
	Renew func(ctx context.Context, id *bridge.Identity) (*bridge.Identity, error)

	// CloseOnEnd closes a socket with [CloseUnauthorized] when its identity
	// ends from this side, instead of letting it go on as nobody's.
	CloseOnEnd bool

	// OnAuthState, if set, is told when somebody else is at the other end, or
	// the same user with other claims; nil is nobody. Of changes in quick
	// succession it may be told the last only. It must not block, nor
	// authenticate or deauthenticate the client.
	OnAuthState func(c *Conn, former, present *bridge.Identity)

	// OnBadToken, if set, is told of each token that was refused. The error
	// holds nothing of the token. It must not block, nor authenticate or
	// deauthenticate the client.
	OnBadToken func(c *Conn, err *bridge.Refusal)

	// HandshakeTimeout is how long a client may take until its #handshake has
	// come; then it is closed with [CloseNoHandshake]. Default 10 s.
	HandshakeTimeout time.Duration

	// PingInterval is how often the server pings. Default 8 s.
	PingInterval time.Duration

	// PingTimeout is how long a client may be silent before it is closed with
	// [ClosePongTimeout], and, told to the client, the server. It must be
	// longer than PingInterval. Default 20 s.
	PingTimeout time.Duration

	// WriteTimeout bounds each write. Default 10 s.
	WriteTimeout time.Duration

	// MaxPending bounds how many sockets may be open without a #handshake at
	// once; one more is answered with 503. Default 1,024.
	MaxPending int

	// MaxHandshake is the longest #handshake in bytes. Default 8,192.
	MaxHandshake int64

	// ReadLimit is the longest message in bytes after the handshake; a longer
	// one closes the socket with 1009. Default 1 MiB.
	ReadLimit int64

	// MaxQueue is how many bytes may wait for a client that reads slowly,
	// with 128 for each message on top of its length. A client for which more
	// comes is cut off, rather than sent some of its messages; it reconnects
	// and subscribes again by itself. Default 1 MiB.
	MaxQueue int

	// MaxChannels is how many channels a client may be subscribed to.
	// Default 256.
	MaxChannels int

	// MaxCalls is how many procedures may run at once for one client; while
	// they do, nothing more is read from it. Default 16.
	MaxCalls int

	// MaxAttempts is how many bad tokens in a row a client may present on one
	// socket before that is closed with [CloseUnauthorized]. Default 3.
	MaxAttempts int

	// Logger gets one line for each failure of the application's functions
	// and each client that was cut off. What concerns authentication is in
	// the bridge's log. Default slog.Default().
	Logger *slog.Logger
}

// Request is what [Options.Authorize] is asked about.
type Request struct {
	Conn     *Conn            // the client's
	Action   Action           // what it wants to do
	Channel  string           // as the client has written it, at most 512 bytes
	Data     json.RawMessage  // what is published, or came with the subscription; nil for nothing
	Identity *bridge.Identity // who asks, with the session or the token's claims; nil for nobody
}

// Action is what a client wants to do with a channel.
type Action string

// The actions that [Options.Authorize] is asked about.
const (
	Subscribe Action = "subscribe"
	Publish   Action = "publish"
)

// Issuer signs tokens. Package jwtmode's does, by means of [IssuerFunc]:
//
//	socketcluster.IssuerFunc(func(_ context.Context, id *bridge.Identity) (string, time.Time, error) {
//		t, err := issuer.Issue(id)
//		return t.Text, t.Expires, err
//	})
type Issuer interface {
	// Issue returns a token for an identity, which must not be modified, and
	// until when it holds.
	Issue(ctx context.Context, id *bridge.Identity) (token string, expires time.Time, err error)
}

// IssuerFunc is a function as an [Issuer].
type IssuerFunc func(ctx context.Context, id *bridge.Identity) (string, time.Time, error)

// Issue calls f.
func (f IssuerFunc) Issue(ctx context.Context, id *bridge.Identity) (string, time.Time, error) {
	return f(ctx, id)
}

// withDefaults returns a checked copy.
func (o *Options) withDefaults() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	err := errors.Join(
		setDefault("AuthorizeTimeout", &c.AuthorizeTimeout, 10*time.Second),
		setDefault("HandshakeTimeout", &c.HandshakeTimeout, 10*time.Second),
		setDefault("PingInterval", &c.PingInterval, 8*time.Second),
		setDefault("PingTimeout", &c.PingTimeout, 20*time.Second),
		setDefault("WriteTimeout", &c.WriteTimeout, 10*time.Second),
		setDefault("MaxPending", &c.MaxPending, 1024),
		setDefault("MaxHandshake", &c.MaxHandshake, 8<<10),
		setDefault("ReadLimit", &c.ReadLimit, 1<<20),
		setDefault("MaxQueue", &c.MaxQueue, 1<<20),
		setDefault("MaxChannels", &c.MaxChannels, 256),
		setDefault("MaxCalls", &c.MaxCalls, 16),
		setDefault("MaxAttempts", &c.MaxAttempts, 3))
	if err == nil && c.PingTimeout <= c.PingInterval {
		err = fmt.Errorf("socketcluster: PingTimeout, %v, must be longer than PingInterval, %v", c.PingTimeout, c.PingInterval)
	}
	if err == nil && c.PingTimeout > maxTimer {
		err = fmt.Errorf("socketcluster: PingTimeout, %v, is more than a client's timer can hold, %v", c.PingTimeout, maxTimer)
	}
	if err == nil && c.Renew != nil && c.Issuer == nil {
		err = errors.New("socketcluster: Renew has no effect without an Issuer; set both")
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, err
}

// maxTimer is the longest that JavaScript's setTimeout takes.
const maxTimer = (1<<31 - 1) * time.Millisecond

func setDefault[T int | int64 | time.Duration](name string, v *T, def T) error {
	if *v < 0 {
		return fmt.Errorf("socketcluster: %s is negative; leave it zero for the default, %v", name, def)
	}
	if *v == 0 {
		*v = def
	}
	return nil
}
