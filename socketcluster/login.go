package socketcluster

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// Authenticate authenticates the client by a message, a rediskey say, as the
// bridge's authenticator judges it, for use in a procedure. The client is told
// that it is authenticated, with a token if there is an Issuer. The error is a
// [*bridge.Refusal] and leaves a former identity in force; ctx is that of the
// procedure.
func (c *Conn) Authenticate(ctx context.Context, m *bridge.Message) error {
	c.changing.Lock()
	defer c.changing.Unlock()
	link, ref := c.become(m)
	if ref != nil {
		return ref
	}
	c.tell(ctx, link)
	c.provide(link, link.Identity())
	return nil
}

// SetAuthToken logs the client in with a token of its own: the Issuer signs
// one for the identity, of which the user and, if the Issuer wants them, the
// claims need be set; the bridge's authenticator says whose it is; and the
// client is sent it (#setAuthToken), after the answer if ctx is that of a
// procedure. A Via that is empty is "login".
func (c *Conn) SetAuthToken(ctx context.Context, id *bridge.Identity) error {
	if c.server.opts.Issuer == nil {
		return errors.New("socketcluster: SetAuthToken needs Options.Issuer")
	}
	text, _, err := c.issue(ctx, func() (*bridge.Identity, error) {
		if id == nil || id.Via != "" {
			return id, nil
		}
		named := *id
		named.Via = "login"
		return &named, nil
	})
	if err != nil {
		return err
	}
	c.changing.Lock()
	defer c.changing.Unlock()
	link, ref := c.become(&bridge.Message{Kind: bridge.MessageToken, Token: text})
	if ref != nil {
		return ref
	}
	c.tell(ctx, link)
	return nil
}

// Deauthenticate logs the client out: it is nobody from here on, and told so
// (#removeAuthToken). The session or token that it was authenticated by is
// left as it is: a session may authenticate the next connection.
func (c *Conn) Deauthenticate() {
	c.drop(c.current(), bridge.CodeClientRequest, false)
}

// RedisKey is a [Procedure] that authenticates the client by the session id in
// its data, {"rediskey": "<session id>", "stack": "<name>"}, of which the
// stack may be left out. It needs an authenticator of such messages, as
// package cookie's RedisKey is.
func RedisKey(ctx context.Context, c *Conn, data json.RawMessage) (any, error) {
	m := &bridge.Message{Kind: bridge.MessageRedisKey}
	id, ok := jsonString(member(data, "rediskey"))
	m.SessionID, m.Malformed = id, !ok
	if raw := member(data, "stack"); raw != nil {
		m.Stack, ok = jsonString(raw)
		m.Malformed = m.Malformed || !ok || m.Stack == ""
	}
	err := c.Authenticate(ctx, m)
	if ref := (*bridge.Refusal)(nil); errors.As(err, &ref) {
		if unknown(ref) {
			return nil, errLater
		}
		return nil, &Error{"AuthError", ref.Message}
	}
	return nil, err
}

// Logout is a [Procedure] that deauthenticates the client.
func Logout(_ context.Context, c *Conn, _ json.RawMessage) (any, error) {
	c.Deauthenticate()
	return nil, nil
}

// tell gives the client a token, after the answer if ctx is a procedure's.
func (c *Conn) tell(ctx context.Context, link *bridge.Link) {
	tell := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.standing(link) != nil {
			c.pushAuth(setAuthToken(c.token.text)) // a first one may have been issued before the answer
		}
	}
	if call, ok := ctx.Value(callKey{}).(*call); !ok || !call.later(tell) {
		tell()
	}
}
