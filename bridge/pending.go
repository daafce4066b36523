package bridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/gorilla/websocket"
)

var (
	errPendingFull  = errors.New("as many connections as MaxPending allows are waiting for their first message")
	errNotLoggedIn  = errors.New("the client sent something else before it was authenticated")
	errTooManyTries = errors.New("as many bad attempts as MaxAttempts allows were made")
)

// await reads messages until one authenticates the connection. The deadline is
// that of the handshake: no attempt moves it. On a refusal the connection has
// been closed.
func (c *Conn) await(deadline time.Time) *refusal {
	ctx, cancel := context.WithDeadline(c.life.ctx, deadline)
	defer cancel()
	c.ws.SetReadLimit(c.b.opts.MaxPendingFrame)
	if err := c.ws.SetReadDeadline(deadline); err != nil {
		return c.turnAway(&refusal{CodeUnavailable, "try again later", err})
	}
	for attempt := 1; ; attempt++ {
		messageType, p, err := c.ws.ReadMessage()
		if err != nil {
			c.linger(err)
			return c.turnAway(pendingFailure(err))
		}
		kind, m := parseFrame(p)
		if messageType != websocket.TextMessage || kind != frameAuthenticate {
			return c.turnAway(&refusal{CodeCredentialsRequired, "authenticate first", errNotLoggedIn})
		}
		err = c.life.authenticate(ctx, &Handshake{Request: c.request, Message: m})
		if err == nil {
			break
		}
		ref := refusalFor(err, m)
		switch {
		case ctx.Err() != nil:
			return c.turnAway(&refusal{CodeTimeout, "no credential in time", err})
		case ref.code == CodeUnavailable:
			return c.turnAway(ref)
		case attempt == c.b.opts.MaxAttempts:
			ref.err = fmt.Errorf("%w; the last: %w", errTooManyTries, err)
			return c.turnAway(ref)
		}
		c.b.logRefusal(c.request, ref)
		c.writing.Lock()
		err = c.write(websocket.TextMessage, ref.event(), c.b.opts.WriteTimeout)
		c.writing.Unlock()
		if err != nil {
			return c.turnAway(&refusal{CodeUnavailable, "try again later", err})
		}
	}
	c.ws.SetReadLimit(c.b.opts.ReadLimit)
	if err := c.ws.SetReadDeadline(time.Time{}); err != nil {
		return c.turnAway(&refusal{CodeUnavailable, "try again later", err})
	}
	return nil
}

// pendingFailure says why reading from a pending connection failed.
func pendingFailure(err error) *refusal {
	if t := net.Error(nil); errors.As(err, &t) && t.Timeout() {
		return &refusal{CodeTimeout, "no credential in time", errors.New("no credential came in time")}
	}
	return &refusal{CodeCredentialsRequired, "authenticate first", err}
}

// turnAway closes a connection that was refused after the upgrade.
func (c *Conn) turnAway(ref *refusal) *refusal {
	c.life.release(ref)
	c.closing.Do(func() { c.shutdown(ref.event(), ref.code.closeCode(), string(ref.code)) })
	c.finish()
	return ref
}
