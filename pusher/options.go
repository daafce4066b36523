package pusher

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// minSecret is the shortest secret in bytes; Pusher's own have 20.
const minSecret = 16

// Options configure a [Server]. AppKey and Secret must be set; each other zero
// field has the default that its comment gives, which is safe.
type Options struct {
	// AppKey is the application's key, which its clients know: letters,
	// digits, - and _.
	AppKey string

	// Secret signs the authorizations of channels: at least 16 bytes, which
	// nobody knows but this service and, with AcceptSignatures, the web
	// application.
	Secret string

	// AcceptSignatures accepts signatures that were not made by AuthHandler in
	// this process, but by the web application (Laravel's /broadcasting/auth)
	// or another node with the same secret, on sockets whose upgrade request
	// carried an identity. Such a subscription lasts until that identity ends,
	// which closes the socket. Default false: only what AuthHandler and
	// UserAuthHandler have granted to this socket here is accepted.
	AcceptSignatures bool

	// InsecureUnlinkedSignatures accepts them on sockets of nobody, too. No
	// logout ever ends such a subscription.
	InsecureUnlinkedSignatures bool

	// ClientEvents lets clients send events (client-…) to the others on their
	// private and presence channels. Default false.
	ClientEvents bool

	// ClientEventRate is how many events a client may send in a second, with
	// 4301 for those above. Default 10, as Pusher has it.
	ClientEventRate int

	// ActivityTimeout is how long a client may be silent before it is pinged,
	// and, told to the client, the server: whole seconds. Default 120 s.
	ActivityTimeout time.Duration

	// PongTimeout is how long it may then take to answer before it is closed
	// with 4201. Default 30 s.
	PongTimeout time.Duration

	// WriteTimeout bounds each write. Default 10 s.
	WriteTimeout time.Duration

	// GrantTimeout is how long what AuthHandler has granted may wait for the
	// client's subscription. Default 30 s.
	GrantTimeout time.Duration

	// PolicyTimeout bounds a [Policy]. Default 10 s.
	PolicyTimeout time.Duration

	// MaxConnections bounds how many sockets may be open at once; one more is
	// closed with 4100, upon which the client tries again later. Default 0: as
	// many as the system allows.
	MaxConnections int

	// ReadLimit is the longest message in bytes that a client may send; a
	// longer one closes the socket with 1009. Default 16 KiB.
	ReadLimit int64

	// MaxQueue is how many bytes may wait for a client that reads slowly,
	// with 128 for each message on top of its length. A client for which more
	// comes is cut off, rather than sent some of its messages; it reconnects
	// and subscribes again by itself. Default 1 MiB.
	MaxQueue int

	// MaxChannels is how many channels a client may be subscribed to, and how
	// many grants may wait for it. Default 256.
	MaxChannels int

	// MaxMembers is how many users may be on a presence channel. Default 100,
	// as Pusher has it. With many more, raise MaxQueue: one that comes is sent
	// all of them in one message.
	MaxMembers int

	// Logger gets one line for each failure of the application's functions,
	// each policy that refused, and each client that was cut off. What
	// concerns authentication is in the bridge's log. Default slog.Default().
	Logger *slog.Logger
}

// withDefaults returns a checked copy.
func (o *Options) withDefaults() (Options, error) {
	if o == nil {
		return Options{}, errors.New("pusher: set Options.AppKey and Options.Secret; signatures cannot be made without them")
	}
	c := *o
	err := errors.Join(
		checkKey(c.AppKey),
		checkSecret(c.Secret),
		setDefault("ClientEventRate", &c.ClientEventRate, 10),
		setDefault("ActivityTimeout", &c.ActivityTimeout, 120*time.Second),
		setDefault("PongTimeout", &c.PongTimeout, 30*time.Second),
		setDefault("WriteTimeout", &c.WriteTimeout, 10*time.Second),
		setDefault("GrantTimeout", &c.GrantTimeout, 30*time.Second),
		setDefault("PolicyTimeout", &c.PolicyTimeout, 10*time.Second),
		setDefault("MaxConnections", &c.MaxConnections, 0),
		setDefault("ReadLimit", &c.ReadLimit, 16<<10),
		setDefault("MaxQueue", &c.MaxQueue, 1<<20),
		setDefault("MaxChannels", &c.MaxChannels, 256),
		setDefault("MaxMembers", &c.MaxMembers, 100))
	if err == nil && c.ActivityTimeout%time.Second != 0 {
		err = fmt.Errorf("pusher: ActivityTimeout, %v, must be whole seconds: clients are told so many", c.ActivityTimeout)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, err
}

func checkKey(key string) error {
	if key == "" {
		return errors.New("pusher: AppKey is empty; set it to the key that the clients are created with")
	}
	if strings.ContainsFunc(key, func(r rune) bool { return r > 'z' || !alphanumeric(byte(r)) && r != '-' && r != '_' }) {
		return errors.New("pusher: AppKey may have letters, digits, - and _ only; it is part of a path and of signatures")
	}
	return nil
}

func checkSecret(secret string) error {
	if len(secret) < minSecret {
		return fmt.Errorf("pusher: Secret has %d bytes; set one of at least %d random ones", len(secret), minSecret)
	}
	return nil
}

func setDefault[T int | int64 | time.Duration](name string, v *T, def T) error {
	if *v < 0 {
		return fmt.Errorf("pusher: %s is negative; leave it zero for the default, %v", name, def)
	}
	if *v == 0 {
		*v = def
	}
	return nil
}
