package jwtmode

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// RevocationStore keeps entries until their time is over, for all nodes.
// A Redis store of package stores is one.
type RevocationStore interface {
	// Name tells the store from others in the process.
	Name() string

	// Revoke writes an entry, which is gone after ttl.
	Revoke(ctx context.Context, key, value string, ttl time.Duration) error

	// Revoked returns those of the entries that are there.
	Revoked(ctx context.Context, keys ...string) (map[string]string, error)

	// Follow reports changes of entries, as [bridge.Feed] asks for.
	Follow(ctx context.Context, prefixes []string, f bridge.Follower) error
}

// RevocationOptions configure [Revocations]. A nil *RevocationOptions is safe.
type RevocationOptions struct {
	// Prefix is what the entries' keys begin with. Default
	// "sessionbridge:revoked:". Issuers whose users or jti may be the same
	// need one each.
	Prefix string

	// MaxTokenAge is the longest time from a token's iat to its exp. A token
	// of a longer life is rejected, as it could outlive the entry that revokes
	// it. Default 24 h.
	MaxTokenAge time.Duration

	// InsecureIgnoreOutage takes a token for not revoked when the store cannot
	// be asked. Whoever can keep the service from its store then gets in with
	// revoked tokens. By default such a handshake could not be found out (503),
	// and a live connection is ended after the hook's MaxStale.
	InsecureIgnoreOutage bool
}

const (
	defaultRevocationPrefix = "sessionbridge:revoked:"
	defaultMaxTokenAge      = 24 * time.Hour
)

// Revocations end tokens before their exp: at the handshake and on the live
// connections of every node that reads the same store.
//
// An entry of the store is a key that Redis drops by itself:
//
//	<Prefix>jti:<SHA-256 of the jti, in hex>    any value
//	<Prefix>sub:<SHA-256 of the user, in hex>   a Unix time in seconds
//
// A token is revoked if an entry has its jti, or if the entry of its user (the
// [bridge.Identity] User, as [Options.UserClaim] says) holds a time at or after
// its iat. A web application can write entries itself; "log out everywhere" in
// PHP and in Node is
//
//	$redis->setex('sessionbridge:revoked:sub:'.hash('sha256', $user), 86700, sprintf('%.6F', microtime(true)));
//	redis.set('sessionbridge:revoked:sub:' + crypto.createHash('sha256').update(user).digest('hex'), (Date.now() / 1000).toFixed(3), {EX: 86700});
//
// where 86,700 s is the default MaxTokenAge and the 5 min that [Options.Leeway]
// may be.
//
// A time stands for the whole unit of its last digit: 1700000000 for the second
// that begins then, 1700000000.25 for 10 ms. What may have been issued before
// the end of that unit is revoked. So a token whose iat is in whole seconds is
// revoked by an entry of the same second, whichever came first, and its user
// has to ask for another one a second later. The tokens of an [Issuer] have an
// iat in microseconds and are told apart exactly, as far as the clocks of who
// issues and who revokes agree. An entry that is no time between the years 2001
// and 9999, such as one in milliseconds, revokes every token of the user.
//
// With Revocations, a token must have an iat.
type Revocations struct {
	store  RevocationStore
	opts   RevocationOptions
	source string // the feed's name
}

var revocations atomic.Int64

// NewRevocations returns the revocations that a store holds, for
// [Options.Revocations] and its siblings.
func NewRevocations(store RevocationStore, opts *RevocationOptions) (*Revocations, error) {
	var o RevocationOptions
	if opts != nil {
		o = *opts
	}
	if isNil(store) {
		return nil, errors.New("jwtmode: the store of the revocations is nil; was the error of its constructor checked?")
	}
	if o.Prefix == "" {
		o.Prefix = defaultRevocationPrefix
	}
	switch {
	case o.MaxTokenAge < 0:
		return nil, errors.New("jwtmode: MaxTokenAge is negative; leave it zero for 24 h")
	case o.MaxTokenAge == 0:
		o.MaxTokenAge = defaultMaxTokenAge
	}
	return &Revocations{store: store, opts: o, source: fmt.Sprintf("%s/revocations-%d", store.Name(), revocations.Add(1))}, nil
}

// overlaps reports whether an entry of one is one of the other. It is false if
// either is nil.
func (r *Revocations) overlaps(s *Revocations) bool {
	return r != nil && s != nil && r.store.Name() == s.store.Name() && r.opts.Prefix == s.opts.Prefix
}

// isNil reports whether an interface holds nothing, or the typed nil that a
// constructor returned beside an error.
func isNil(v any) bool {
	r := reflect.ValueOf(v)
	return !r.IsValid() || (r.Kind() == reflect.Pointer || r.Kind() == reflect.Func) && r.IsNil()
}

// RevokeToken revokes one token by its jti. The entry is kept until expires,
// the token's exp, and the greatest leeway; if that is the zero time, as long
// as any token may live. An error says that the token is not known to be
// revoked.
func (r *Revocations) RevokeToken(ctx context.Context, jti string, expires time.Time) error {
	if jti == "" {
		return errors.New("jwtmode: a token without a jti can be revoked by its user only")
	}
	ttl := r.entryTTL()
	if !expires.IsZero() {
		ttl = min(ttl, time.Until(expires)+maxLeeway)
	}
	if ttl < time.Millisecond {
		return nil
	}
	return r.store.Revoke(ctx, r.tokenKey(jti), "1", ttl)
}

// RevokeUser revokes every token of a user that was issued before now: "log
// out everywhere". An error says that they are not known to be revoked.
func (r *Revocations) RevokeUser(ctx context.Context, user string) error {
	if user == "" {
		return errors.New("jwtmode: no user; give the one of the identity")
	}
	return r.store.Revoke(ctx, r.userKey(user), numericDate(time.Now()).String(), r.entryTTL())
}

// entryTTL is how long the last token that an entry can match may be used.
func (r *Revocations) entryTTL() time.Duration { return r.opts.MaxTokenAge + maxLeeway }

func (r *Revocations) tokenKey(jti string) string { return r.opts.Prefix + "jti:" + hexHash(jti) }

func (r *Revocations) userKey(user string) string { return r.opts.Prefix + "sub:" + hexHash(user) }

func hexHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// feeds tell of revocations.
func (r *Revocations) feeds() []bridge.Feed {
	return []bridge.Feed{{
		Name:     r.source,
		Store:    r.store.Name(),
		Prefixes: []string{r.opts.Prefix},
		Follow:   r.store.Follow,
	}}
}
