package jwtmode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sessionbridge/sessionbridge/bridge"
)

var (
	flawNoIssuedAt = token("invalid iat value", detail(jwt.ErrTokenRequiredClaimMissing, "iat, by which a revocation of its user tells older tokens"))
	flawLongLived  = token("jwt lives too long", detail(jwt.ErrTokenInvalidClaims, "its exp is later after its iat than MaxTokenAge, so that it could outlive a revocation"))

	errRevoked = bridge.Reject(bridge.CodeRevoked, "jwt revoked", errors.New("the token is revoked"))
)

// revocable is what can revoke a token.
type revocable struct {
	tokenKey string // "" if it has no jti
	userKey  string
	issued   int64 // in microseconds since 1970, at the earliest
}

// revocable finds out what can revoke an identity's token, or why nothing
// could for certain.
func (r *Revocations) revocable(id *bridge.Identity) (revocable, error) {
	iat, ok, err := date(id.Claims, "iat")
	if err != nil || !ok {
		return revocable{}, flawNoIssuedAt
	}
	exp, ok, err := date(id.Claims, "exp")
	if err != nil || !ok || exp.Sub(iat) > r.opts.MaxTokenAge {
		return revocable{}, flawLongLived
	}
	v := revocable{userKey: r.userKey(id.User), issued: iat.UnixMicro()}
	number, _ := id.Claims["iat"].(json.Number)
	if m, ok := parseMoment(number.String()); ok { // exact, other than a float
		v.issued = m.from
	}
	switch jti := id.Claims["jti"].(type) {
	case string:
		v.tokenKey = r.tokenKey(jti)
	case json.Number:
		v.tokenKey = r.tokenKey(jti.String())
	}
	return v, nil
}

func (v revocable) keys() []string {
	if v.tokenKey == "" {
		return []string{v.userKey}
	}
	return []string{v.userKey, v.tokenKey}
}

// check returns errRevoked if the store says so, and another error if it cannot
// be asked.
func (r *Revocations) check(ctx context.Context, v revocable) error {
	found, err := r.store.Revoked(ctx, v.keys()...)
	if err != nil {
		if r.opts.InsecureIgnoreOutage {
			return nil
		}
		return fmt.Errorf("whether the token is revoked: %w", err)
	}
	if _, ok := found[v.tokenKey]; ok && v.tokenKey != "" {
		return errRevoked
	}
	value, ok := found[v.userKey]
	if !ok {
		return nil
	}
	if m, ok := parseMoment(value); ok && m.from >= minDate*microsPerSecond && v.issued >= m.until {
		return nil
	}
	return errRevoked
}

// aliases are the keys of bindings that a revocation changes.
func (r *Revocations) aliases(v revocable) []string {
	keys := v.keys()
	for i, k := range keys {
		keys[i] = r.source + "/" + k
	}
	return keys
}

// guard binds a connection to the revocations that could concern its token,
// and returns id if there are none. verify judges the token again: it is what
// a live connection's Reload calls before it asks for revocations.
//
// The hook keeps the answer as long as the store reports changes, so that the
// next handshake with this token reads nothing.
func (r *Revocations) guard(ctx context.Context, h *bridge.Handshake, id *bridge.Identity, verify func(context.Context) (*bridge.Identity, error)) (*bridge.Identity, error) {
	v, err := r.revocable(id)
	if err != nil {
		return nil, err
	}
	key, size, err := r.bindingKey(h, id)
	if err != nil {
		return nil, err
	}
	var verified atomic.Pointer[bridge.Identity] // just now, so once is enough
	verified.Store(id)
	defer verified.Store(nil)
	return h.Load(ctx, bridge.Binding{
		Key:     key,
		Aliases: r.aliases(v),
		Feed:    r.source,
		Reload: func(ctx context.Context) (*bridge.Identity, error) {
			id := verified.Swap(nil)
			if id == nil {
				var err error
				if id, err = verify(ctx); err != nil {
					return nil, err
				}
			}
			if err := r.check(ctx, v); err != nil {
				return nil, err
			}
			held := *id
			held.Key, held.Size = key, size
			return &held, nil
		},
	})
}

// bindingKey names a token: all that it says, and to which host. Two tokens
// with one jti that differ in anything else have different keys, so that the
// answer for one is never given for the other.
func (r *Revocations) bindingKey(h *bridge.Handshake, id *bridge.Identity) (key string, size int, err error) {
	text, err := json.Marshal([]any{id.Via, h.Request.Host, id.User, id.Claims})
	if err != nil {
		return "", 0, token("jwt malformed", detail(jwt.ErrTokenMalformed, "its claims are not JSON"))
	}
	return r.source + "/token:" + hexHash(string(text)), len(text), nil
}

// whileHolds verifies a token whose claims stay what they are.
func whileHolds(id *bridge.Identity) func(context.Context) (*bridge.Identity, error) {
	return func(context.Context) (*bridge.Identity, error) {
		if !id.Expires.IsZero() && !time.Now().Before(id.Expires) {
			return nil, bridge.Reject(bridge.CodeTokenExpired, "jwt expired", jwt.ErrTokenExpired)
		}
		return id, nil
	}
}
