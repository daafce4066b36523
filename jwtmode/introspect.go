package jwtmode

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// IntrospectionOptions configure an [Introspection]. URL, ClientID and
// ClientSecret must be given.
type IntrospectionOptions struct {
	// Name is the Via of the identities. Default "oauth2".
	Name string

	// URL is the authorization server's introspection endpoint (RFC 7662,
	// section 2), by https; [Provider] has it as IntrospectionEndpoint.
	URL string

	// ClientID and ClientSecret are this service's credentials there.
	ClientID, ClientSecret string

	// SecretInBody sends the credentials in the form (client_secret_post)
	// instead of by HTTP's Basic (RFC 6749, section 2.3.1).
	SecretInBody bool

	// Issuer is what the answer's "iss" must be. Default "": not checked; the
	// answer is from the URL.
	Issuer string

	// Audience lists whom a token may be for: one of them must be in the
	// answer's "aud". Default none: not checked, which is safe only if the
	// server tells this client of no token for another service.
	Audience []string

	// Scopes must all be in the answer's "scope". Default none.
	Scopes []string

	// UserClaim names the member of the answer that holds the user's id, such
	// as "username". Default "sub".
	UserClaim string

	// Sources, Cookie and QueryParam say where a token is looked for, as in
	// [Options].
	Sources    []Source
	Cookie     string
	QueryParam string

	// Interval is how long the server's answer holds, but never longer than
	// the token: so late a token may be found revoked at a handshake, and up
	// to the hook's Sweep later on a live connection, which is asked about
	// from time to time. Default 1 min.
	Interval time.Duration

	// CacheBytes bounds the memory for answers. Default 16 MiB; negative:
	// none, every look asks the server.
	CacheBytes int64

	// MaxConcurrent bounds how many requests to the server are under way.
	// Others wait for their turn. Default 32.
	MaxConcurrent int

	// Timeout bounds one request, with the wait for its turn. Default 4 s.
	Timeout time.Duration

	// Leeway is how much later the answer's "exp" is taken to be. Default
	// 30 s; negative: not at all. At most 5 min.
	Leeway time.Duration

	// Client makes the requests; redirects are not followed. Default: one of
	// its own, that keeps connections open.
	Client *http.Client

	// InsecureHTTP allows a URL by http on another machine: anybody on the way
	// can read tokens and credentials, and let anybody in.
	InsecureHTTP bool
}

const (
	defaultInterval      = time.Minute
	defaultIntrospection = 4 * time.Second // the hook gives up after 5 s
	maxIntrospections    = 32
	defaultAnswerBytes   = 16 << 20
)

// Introspection is a [bridge.Authenticator] by an opaque OAuth 2 access token,
// which the authorization server is asked about (RFC 7662). It is safe for
// concurrent use.
type Introspection struct {
	opts   IntrospectionOptions
	tokens *Authenticator // finds them; it verifies none
	client *http.Client
	turns  chan struct{}
	source string
	cache  answers
}

var introspections atomic.Int64

// NewIntrospection returns an authenticator that asks the server at the URL. It
// does not connect.
func NewIntrospection(opts IntrospectionOptions) (*Introspection, error) {
	o := opts
	if o.Name == "" {
		o.Name = "oauth2"
	}
	if err := checkURL(o.URL, o.InsecureHTTP); err != nil {
		return nil, fmt.Errorf("jwtmode: the introspection endpoint: %w", err)
	}
	switch {
	case o.ClientID == "" || o.ClientSecret == "":
		return nil, errors.New("jwtmode: no ClientID or no ClientSecret for the introspection endpoint; is an environment variable unset?")
	case slices.Contains(o.Scopes, ""):
		return nil, errors.New("jwtmode: an empty string in Scopes; leave it out")
	case o.Interval < 0 || o.Timeout < 0 || o.MaxConcurrent < 0:
		return nil, errors.New("jwtmode: Interval, Timeout or MaxConcurrent is negative; leave it zero for the default")
	}
	o.Audience, o.Scopes = slices.Clone(o.Audience), slices.Clone(o.Scopes)
	o.Interval = orDefault(o.Interval, defaultInterval)
	o.Timeout = orDefault(o.Timeout, defaultIntrospection)
	o.MaxConcurrent = orDefault(o.MaxConcurrent, maxIntrospections)
	o.CacheBytes = orDefault(o.CacheBytes, defaultAnswerBytes)
	found := Options{Name: o.Name, UserClaim: o.UserClaim, Audience: o.Audience, Leeway: o.Leeway,
		Sources: o.Sources, Cookie: o.Cookie, QueryParam: o.QueryParam}
	checked, err := found.withDefaults()
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: o.MaxConcurrent,
		IdleConnTimeout:     time.Minute,
		TLSHandshakeTimeout: o.Timeout,
	}}
	if o.Client != nil {
		own := *o.Client
		client = &own
	}
	// The credentials and the token are for the URL and for nobody else.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Introspection{
		opts:   o,
		tokens: &Authenticator{opts: checked},
		client: client,
		turns:  make(chan struct{}, o.MaxConcurrent),
		source: fmt.Sprintf("introspection-%d", introspections.Add(1)),
		cache:  answers{limit: o.CacheBytes},
	}, nil
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// Traits implements [bridge.TraitsOf].
func (i *Introspection) Traits() bridge.Traits { return i.tokens.Traits() }

// Authenticate implements [bridge.Authenticator]. A handshake without a token
// is no credential; a token that the server calls inactive, or that is for
// another service, lacks a scope or names no user, is rejected; and if the
// server cannot be reached, or answers anything but what RFC 7662 says, it
// could not be found out. That is also so if it refuses this client's
// credentials.
//
// The identity's claims are the members of the answer, with numbers as
// [json.Number]. It holds until the answer's exp plus the leeway, if there is
// one, and as long as the server calls the token active.
func (i *Introspection) Authenticate(ctx context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
	raw, err := i.tokens.find(h)
	if errors.Is(err, bridge.ErrNoCredential) {
		return nil, err
	}
	if err == nil {
		err = checkOpaque(raw)
	}
	if err != nil {
		return nil, i.tokens.explain(err)
	}
	name := digest(raw)
	return h.Load(ctx, bridge.Binding{
		Key:   i.source + "/" + hex.EncodeToString(name[:]),
		Every: i.opts.Interval,
		Reload: func(ctx context.Context) (*bridge.Identity, error) {
			id, err := i.ask(ctx, name, raw)
			if err != nil {
				return nil, i.tokens.explain(err)
			}
			return id, nil
		},
	})
}

// checkOpaque refuses what is no b64token (RFC 6750, section 2.1), which every
// bearer token is.
func checkOpaque(raw string) error {
	if raw == "" {
		return flawEmpty
	}
	if len(raw) > maxToken {
		return malformed("it is longer than 8,192 bytes")
	}
	for i := range len(raw) {
		switch c := raw[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-', c == '.', c == '_', c == '~', c == '+', c == '/', c == '=':
		default:
			return malformed("it has a character that no bearer token has")
		}
	}
	return nil
}

// ask returns the server's answer about a token: one that it gave before, if
// that still holds.
func (i *Introspection) ask(ctx context.Context, name [32]byte, raw string) (*bridge.Identity, error) {
	a, mine := i.cache.get(name)
	if mine {
		// Others may wait for the answer: it does not end with this one.
		go i.fill(context.WithoutCancel(ctx), a, raw)
	}
	select {
	case <-a.done:
		return a.id, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// rejectionTTL is how long it is remembered that a token is bad, so that a
// client which tries over and over costs the server little.
const rejectionTTL = time.Second

func (i *Introspection) fill(ctx context.Context, a *answer, raw string) {
	ctx, cancel := context.WithTimeout(ctx, i.opts.Timeout)
	defer cancel()
	id, size, err := i.introspect(ctx, raw)
	var f *flaw
	switch now := time.Now(); {
	case err == nil:
		a.until = now.Add(i.opts.Interval)
		if !id.Expires.IsZero() && id.Expires.Before(a.until) {
			a.until = id.Expires
		}
	case errors.As(err, &f):
		a.until = now.Add(rejectionTTL)
	}
	a.id, a.err, a.size = id, err, int64(size)
	i.cache.put(a)
}
