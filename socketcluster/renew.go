package socketcluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
)

const (
	// renewTimeout bounds the issuing of a token.
	renewTimeout = 10 * time.Second
	// minRenewal and maxRetry bound how soon, and after a failure how late, a
	// token is issued again.
	minRenewal = time.Second
	maxRetry   = 30 * time.Second
)

// token is what the client authenticates by, or was given. It is guarded by
// Conn.mu.
type token struct {
	text  string
	timer *time.Timer // issues the next; nil for none
}

func (t *token) stop() {
	if t.timer != nil {
		t.timer.Stop()
	}
}

// provide gives a client with a session its first token, and sees to it that
// any other's is renewed.
func (c *Conn) provide(link *bridge.Link, id *bridge.Identity) {
	if isSession(id) {
		c.renewAfter(link, 0)
	} else {
		c.renewLater(link, id.Expires)
	}
}

// renewLater has the next token issued when two thirds of the present one's
// time have passed.
func (c *Conn) renewLater(link *bridge.Link, expires time.Time) {
	if rest := time.Until(expires); rest > 0 && !expires.IsZero() {
		c.renewAfter(link, max(rest/3*2, minRenewal))
	}
}

func (c *Conn) renewAfter(link *bridge.Link, d time.Duration) {
	o := &c.server.opts
	c.mu.Lock()
	defer c.mu.Unlock()
	id := c.standing(link)
	if o.Issuer == nil || c.over || id == nil || !isSession(id) && o.Renew == nil {
		return
	}
	c.token.stop()
	c.token.timer = time.AfterFunc(d, func() { c.renew(link) })
}

// renew issues a token for the identity that stands, and tells the client.
func (c *Conn) renew(link *bridge.Link) {
	c.changing.Lock()
	defer c.changing.Unlock()
	c.mu.Lock()
	id := c.standing(link)
	c.mu.Unlock()
	if id == nil || c.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, renewTimeout)
	defer cancel()
	text, expires, err := c.issueNext(ctx, id)
	if err == nil && !isSession(id) {
		// The token is the authentication itself, which goes on with it.
		if ref := c.ask(link, &bridge.Message{Kind: bridge.MessageToken, Token: text}); ref != nil {
			err = ref
		} else {
			expires = link.Identity().Expires
		}
	}
	if err != nil && identityOf(link) == nil {
		return // it ended meanwhile
	}
	if err != nil {
		c.log("a token could not be issued", id.Via, err)
		c.renewAfter(link, min(max(time.Until(id.Expires)/3, minRenewal), maxRetry))
		return
	}
	c.mu.Lock()
	present := c.standing(link)
	if present != nil {
		c.token.text = text
		c.pushAuth(setAuthToken(text))
	}
	bound := c.bound()
	c.mu.Unlock()
	if present == nil {
		return
	}
	c.renewLater(link, expires)
	if present != id { // other claims, perhaps fewer rights
		c.report()
		c.reauthorize(link, present, bound, bridge.CodeUserChanged)
	}
}

// issueNext signs the next token of an identity.
func (c *Conn) issueNext(ctx context.Context, id *bridge.Identity) (string, time.Time, error) {
	return c.issue(ctx, func() (*bridge.Identity, error) {
		if isSession(id) {
			return id, nil
		}
		return c.server.opts.Renew(ctx, id)
	})
}

// issue signs a token for the identity that the application says.
func (c *Conn) issue(ctx context.Context, whose func() (*bridge.Identity, error)) (text string, expires time.Time, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	id, err := whose()
	if err != nil {
		return "", time.Time{}, err
	}
	if id == nil || id.User == "" {
		return "", time.Time{}, errors.New("socketcluster: a token needs an identity with a User")
	}
	text, expires, err = c.server.opts.Issuer.Issue(ctx, id)
	if err == nil && text == "" {
		err = errors.New("socketcluster: the Issuer returned an empty token")
	}
	return text, expires, err
}
