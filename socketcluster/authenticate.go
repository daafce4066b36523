package socketcluster

import (
	"context"
	"errors"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// status answers a #handshake.
type status struct {
	ID              string     `json:"id"`
	PingTimeout     int64      `json:"pingTimeout"` // in milliseconds
	IsAuthenticated bool       `json:"isAuthenticated"`
	AuthError       *authError `json:"authError,omitempty"`
}

// authStatus answers an #authenticate.
type authStatus struct {
	IsAuthenticated bool       `json:"isAuthenticated"`
	AuthError       *authError `json:"authError"`
}

// tokenMessage is the credential in a #handshake or an #authenticate; nil if
// there is none.
func tokenMessage(raw []byte) *bridge.Message {
	if isNull(raw) || string(raw) == `""` {
		return nil
	}
	token, ok := jsonString(raw)
	return &bridge.Message{Kind: bridge.MessageToken, Token: token, Malformed: !ok}
}

// handshake answers the #handshake.
func (c *Conn) handshake(p packet) {
	c.changing.Lock()
	defer c.changing.Unlock()
	m := tokenMessage(member(p.data, "authToken"))
	link := c.current()
	by, ref := c.identify(link, m)
	if ref != nil && unknown(ref) {
		// An outage makes nobody anonymous. The client tries again.
		c.fail(p, struct {
			Error
			Status int `json:"statusCode"`
		}{Error{errLater.Name, errLater.Message}, CloseRejected})
		c.Close(CloseRejected, "")
		return
	}
	s := status{ID: c.id, PingTimeout: c.server.opts.PingTimeout.Milliseconds()}
	switch {
	case ref == nil:
	case by != nil:
		s.AuthError = authErrorOf(ref, by.Token)
	case !errors.Is(ref.Err, bridge.ErrNoCredential):
		s.AuthError = sessionError(ref)
	}
	c.shaken = true
	c.server.pending.Add(-1)
	c.ws.SetReadLimit(c.server.opts.ReadLimit)
	c.mu.Lock()
	id := c.standing(link)
	s.IsAuthenticated = id != nil
	if id != nil && by != nil {
		c.token.text = by.Token
	}
	c.answerAuth(p, s)
	c.startPinging()
	c.mu.Unlock()
	if id != nil {
		c.report()
		c.provide(link, id)
	}
	if ref != nil && by != nil {
		c.badToken(ref, s.AuthError)
	}
}

// standing returns whom a link stands for, if it is the present one. The
// caller holds c.mu, so that word of its end comes later than what is pushed
// now.
func (c *Conn) standing(link *bridge.Link) *bridge.Identity {
	if c.link != link {
		return nil
	}
	return identityOf(link)
}

// identify authenticates a link by the request or by the token of the
// handshake. It returns the message that decided, nil for the request.
func (c *Conn) identify(l *bridge.Link, m *bridge.Message) (by *bridge.Message, ref *bridge.Refusal) {
	if m != nil && c.server.opts.Issuer == nil {
		return m, c.ask(l, m)
	}
	ref = c.ask(l, nil)
	if m != nil && ref != nil && errors.Is(ref.Err, bridge.ErrNoCredential) {
		return m, c.ask(l, m)
	}
	return nil, ref
}

// ask authenticates a link, which takes the bridge's AuthTimeout at the most.
func (c *Conn) ask(l *bridge.Link, m *bridge.Message) (ref *bridge.Refusal) {
	defer func() {
		if recover() != nil { // nobody else would catch it; its value may be a secret
			ref = refusal(errPanicked)
			c.log("the authenticator panicked", "", errPanicked)
		}
	}()
	// That c.ctx ends would be noticed by nobody: it is its reader that waits.
	if err := l.Authenticate(context.WithoutCancel(c.ctx), m); err != nil {
		return refusal(err)
	}
	return nil
}

var errPanicked = errors.New("the authenticator panicked")

// badToken deals with a token that was refused, after the answer.
func (c *Conn) badToken(ref *bridge.Refusal, e *authError) {
	if f := c.server.opts.OnBadToken; f != nil {
		c.guard("OnBadToken", func() { f(c, ref) })
	}
	c.attempts++
	tooMany := c.attempts >= c.server.opts.MaxAttempts
	c.mu.Lock()
	switch {
	case !tooMany && c.standing(c.link) != nil:
		c.pushAuth(setAuthToken(c.token.text)) // the client took itself for nobody
	case tooMany || e.IsBadToken:
		c.push(removeAuthToken) // agrees with the answer, in whichever order
	}
	c.mu.Unlock()
	if tooMany {
		c.Close(CloseUnauthorized, string(ref.Code))
	}
}

// authenticate answers an #authenticate. If it fails, the client's former
// authentication goes on.
func (c *Conn) authenticate(p packet) {
	c.changing.Lock()
	defer c.changing.Unlock()
	m := tokenMessage(p.data)
	if m == nil {
		m = &bridge.Message{Kind: bridge.MessageToken}
	}
	link, ref := c.become(m)
	c.mu.Lock()
	var e *authError
	switch {
	case ref == nil && c.standing(link) != nil:
		c.attempts = 0
		c.answerAuth(p, authStatus{IsAuthenticated: true})
	case ref == nil:
		c.push(failure(p.call, errEnded))
	case unknown(ref):
		c.push(failure(p.call, errLater)) // upon this name, a client leaves its state as it is
	default:
		e = authErrorOf(ref, m.Token)
		if e.IsBadToken {
			c.pushUnsettling(failure(p.call, e))
		} else {
			c.answerAuth(p, authStatus{AuthError: e})
		}
	}
	c.mu.Unlock()
	if e != nil {
		c.badToken(ref, e)
	}
}
