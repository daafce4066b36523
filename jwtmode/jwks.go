package jwtmode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// JWKS are the public keys that an issuer publishes under a URL (RFC 7517,
// section 5). It is safe for concurrent use, and several authenticators may
// share one.
//
// The keys are fetched when the first token comes, and again when they are
// older than MaxAge and a token comes, so that nothing runs while nobody asks.
// Handshakes that need the same fetch share it. While the issuer cannot be
// reached, the last good keys are kept.
//
// A token whose kid is not among the keys has them fetched again, at most once
// in MinInterval; one that is not among them then is rejected. If that fetch
// fails, or no keys were ever fetched, whether the token is good could not be
// found out. A token without a kid is tried with the keys that fit its alg, at
// most 16 of them, and has nothing fetched.
//
// A key verifies only if its kty and crv go with the token's alg, its alg is
// that one or missing, its use is "sig" or missing, and its key_ops have
// "verify" or are missing. Secrets, private keys, RSA keys that are too weak
// and keys of other kinds are passed over.
type JWKS struct {
	url  string
	ctx  context.Context
	opts JWKSOptions
	last atomic.Pointer[keySet] // the last good one; nil before the first

	mu     sync.Mutex
	flight *flight   // the fetch that is under way
	tried  time.Time // when the last fetch ended
	err    error     // how it ended
}

// maxMaxBytes is the largest JWKSOptions.MaxBytes.
const maxMaxBytes = 16 << 20

// JWKSOptions say how keys are fetched. A nil *JWKSOptions and the zero value
// are safe: each zero field has the default that its comment gives.
type JWKSOptions struct {
	// MaxAge is how old the keys may get. Once they are older they are fetched
	// again; handshakes wait for that only when they are twice as old, so a
	// key that the issuer takes back is refused after 2 × MaxAge at the
	// latest. Connections that it let in live until their token expires.
	// Default 10 min.
	MaxAge time.Duration

	// MinInterval is the least time from one fetch to the next, however many
	// unknown kids are presented, and so the longest that a key which was just
	// published may go unknown. Before the first good fetch it is 1 s at most.
	// Default 10 s.
	MinInterval time.Duration

	// MaxStale is how long the last good keys are used beyond MaxAge while the
	// issuer cannot be reached. Default 24 h; negative: not at all.
	MaxStale time.Duration

	// Timeout bounds a fetch. Default 5 s.
	Timeout time.Duration

	// MaxBytes bounds the issuer's answer. Default 512 KiB; at most 16 MiB.
	MaxBytes int64

	// Client fetches. Its Timeout and redirects are its own matter. Default: a
	// client that uses the environment's proxy, keeps no connection open, and
	// follows at most 3 redirects, none of them to a URL that would be refused
	// here.
	Client *http.Client

	// Logger is told when the issuer can no longer be reached, and when it can
	// be again. Default slog.Default().
	Logger *slog.Logger

	// InsecureHTTP allows http:// to hosts other than this machine. Whoever is
	// on the way to the issuer can then give out keys of his own and sign
	// tokens for any user.
	InsecureHTTP bool
}

func (o *JWKSOptions) withDefaults() (JWKSOptions, error) {
	var c JWKSOptions
	if o != nil {
		c = *o
	}
	if c.MaxStale == 0 {
		c.MaxStale = 24 * time.Hour
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 512 << 10
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		def   time.Duration
	}{
		{"MaxAge", &c.MaxAge, 10 * time.Minute},
		{"MinInterval", &c.MinInterval, 10 * time.Second},
		{"Timeout", &c.Timeout, 5 * time.Second},
	} {
		if *d.value == 0 {
			*d.value = d.def
		}
		if *d.value < 0 {
			return c, fmt.Errorf("jwtmode: %s is negative; leave it zero for the default, %v", d.name, d.def)
		}
	}
	if c.MaxBytes < 0 || c.MaxBytes > maxMaxBytes {
		return c, fmt.Errorf("jwtmode: MaxBytes is %d; it may be up to %d, and zero is the default, 512 KiB", c.MaxBytes, maxMaxBytes)
	}
	if c.Client == nil {
		c.Client = newClient(c.InsecureHTTP)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, nil
}

// NewJWKS returns the keys under a URL, https:// or on this machine http://.
// It fetches nothing yet, so a service starts while its issuer is down. Once
// ctx has ended nothing is fetched any more, and the keys at hand are used
// until they are too old. Options may be nil.
func NewJWKS(ctx context.Context, url string, opts *JWKSOptions) (*JWKS, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := checkURL(url, o.InsecureHTTP); err != nil {
		return nil, fmt.Errorf("jwtmode: the JWKS: %w", err)
	}
	return &JWKS{url: url, ctx: ctx, opts: o}, nil
}

// find is a finder. Errors that are no *flaw are the issuer's silence.
func (k *JWKS) find(ctx context.Context, _ *http.Request, t *jwt.Token, a algorithm) ([]any, error) {
	set, err := k.current(ctx)
	if err != nil {
		return nil, err
	}
	value, named := t.Header["kid"]
	if !named {
		return set.fitting(a), nil
	}
	kid, ok := value.(string)
	if !ok {
		return nil, malformed("its kid is not a string")
	}
	keys, known := set.named(kid, a)
	if !known {
		f, failed := k.fetch()
		if f != nil {
			failed = f.wait(ctx)
		}
		if keys, known = k.last.Load().named(kid, a); !known && failed != nil {
			return nil, fmt.Errorf("the key of a token's kid is not known, and the issuer cannot be asked: %w", failed)
		}
	}
	switch {
	case !known:
		return nil, flawUnknownKID
	case len(keys) == 0:
		return nil, flawAlgorithmOfKey
	}
	return keys, nil
}

// current returns keys that are young enough, or the last good ones.
func (k *JWKS) current(ctx context.Context) (*keySet, error) {
	set := k.last.Load()
	if set == nil {
		f, err := k.fetch()
		if f != nil {
			err = f.wait(ctx)
		}
		if set = k.last.Load(); set == nil {
			return nil, fmt.Errorf("the JWKS could not be fetched: %w", err)
		}
		return set, nil
	}
	age := time.Since(set.fetched)
	if age < k.opts.MaxAge {
		return set, nil
	}
	usable := func() bool { return age < k.opts.MaxAge+max(k.opts.MaxStale, 0) }
	f, err := k.fetch()
	switch {
	case f == nil && usable(): // it has just failed
	case f != nil && (f.retry || age < 2*k.opts.MaxAge) && usable():
	case f != nil:
		err = f.wait(ctx)
	}
	set = k.last.Load()
	if age = time.Since(set.fetched); age >= k.opts.MaxAge && !usable() {
		return nil, fmt.Errorf("the JWKS is too old and could not be fetched: %w", err)
	}
	return set, nil
}

// flight is a fetch that any number of handshakes wait for.
type flight struct {
	retry bool // the one before it failed
	done  chan struct{}
	err   error // to be read once done is closed
}

// wait returns how the fetch ended, or ctx's error if that ends before.
func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fetch starts a fetch, or joins the one under way. Too soon after the last
// one it returns nil, and how that ended.
func (k *JWKS) fetch() (*flight, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.flight != nil {
		return k.flight, nil
	}
	pause := k.opts.MinInterval
	if k.last.Load() == nil {
		pause = min(pause, time.Second)
	}
	if !k.tried.IsZero() && time.Since(k.tried) < pause {
		return nil, k.err
	}
	if k.ctx.Err() != nil {
		return nil, errors.New("the context of the JWKS has ended")
	}
	f := &flight{retry: k.err != nil, done: make(chan struct{})}
	k.flight = f
	go k.run(f)
	return f, nil
}

func (k *JWKS) run(f *flight) {
	ctx, cancel := context.WithTimeout(k.ctx, k.opts.Timeout)
	set, err := k.get(ctx)
	cancel()
	k.mu.Lock()
	before := k.err
	if err == nil {
		k.last.Store(set)
	}
	k.flight, k.tried, k.err, f.err = nil, time.Now(), err, err
	close(f.done)
	k.mu.Unlock()
	switch {
	case err != nil && before == nil && k.ctx.Err() == nil:
		k.opts.Logger.LogAttrs(k.ctx, slog.LevelWarn, "the issuer's keys cannot be fetched; the last ones are kept", slog.String("reason", err.Error()))
	case err == nil && before != nil:
		k.opts.Logger.LogAttrs(k.ctx, slog.LevelInfo, "the issuer's keys can be fetched again")
	}
}
