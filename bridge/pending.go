package bridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

var (
	errPendingFull  = errors.New("as many connections as MaxPending allows are waiting for their first message")
	errNotLoggedIn  = errors.New("the client sent something else before it was authenticated")
	errMisspelt     = errors.New(`the client's first message is not of the form {"rediskey": "<session id>"}, in lower case`)
	errNoneInTime   = errors.New("no credential came in time")
	errTooManyTries = errors.New("as many bad attempts as MaxAttempts allows were made")
	errLeft         = errors.New("the client left before it was authenticated")
	errGaveUp       = errors.New("the client left after it was refused") // which has been logged
)

// await reads messages until one authenticates the connection. The deadline is
// that of the handshake: no attempt moves it. On a refusal the client has been
// turned away.
func (c *Conn) await(r *http.Request, deadline time.Time) *Refusal {
	ctx, cancel := context.WithDeadline(c.life.context(), deadline)
	defer cancel()
	c.ws.SetReadLimit(c.life.b.opts.MaxPendingFrame)
	if err := c.ws.SetReadDeadline(deadline); err != nil {
		return c.turnAway(unavailable(err))
	}
	for attempt, left := 1, errLeft; ; attempt, left = attempt+1, errGaveUp {
		messageType, p, err := c.ws.ReadMessage()
		if err != nil {
			return c.turnAway(c.pendingFailure(err, left))
		}
		kind, m := parseFrame(p)
		if messageType != websocket.TextMessage || kind != frameAuthenticate {
			err := errNotLoggedIn
			if messageType == websocket.TextMessage && bytes.Contains(bytes.ToLower(p), []byte(`"rediskey"`)) {
				err = errMisspelt
			}
			return c.turnAway(&Refusal{CodeCredentialsRequired, "authenticate first", err})
		}
		err = c.life.authenticate(ctx, &Handshake{Request: r, Message: m})
		if err == nil {
			break
		}
		ref := refusalFor(err, m)
		switch {
		case c.life.over.Load():
			return c.turnAway(c.pendingFailure(err, left))
		case ref.Code == CodeUnavailable:
			return c.turnAway(ref)
		case attempt == c.life.b.opts.MaxAttempts:
			ref.Err = fmt.Errorf("%w; the last: %w", errTooManyTries, err)
			return c.turnAway(ref)
		case c.life.b.opts.CloseAfter < 0:
			return c.turnAway(ref)
		case c.life.b.opts.CloseAfter > 0 && attempt == 1:
			if end := time.Now().Add(c.life.b.opts.CloseAfter); end.Before(deadline) {
				deadline = end
				if err := c.ws.SetReadDeadline(deadline); err != nil {
					return c.turnAway(c.pendingFailure(err, left))
				}
			}
		}
		c.life.b.logRefusal(r, ref)
		err = c.send(websocket.TextMessage, ref.event(), min(c.life.b.opts.WriteTimeout, time.Until(deadline)))
		if err != nil {
			return c.turnAway(c.pendingFailure(err, errGaveUp))
		}
	}
	c.ws.SetReadLimit(c.life.b.opts.ReadLimit)
	if err := c.ws.SetReadDeadline(time.Time{}); err != nil {
		return c.turnAway(unavailable(err))
	}
	return nil
}

// pendingFailure says why a pending connection failed: left if it is the client
// that ended it.
func (c *Conn) pendingFailure(err, left error) *Refusal {
	if end, ok := errors.AsType[*EndError](c.life.endedBy()); ok {
		return refusalFor(end, nil)
	}
	if t := net.Error(nil); errors.As(err, &t) && t.Timeout() {
		return &Refusal{CodeTimeout, CodeTimeout.message(), errNoneInTime}
	}
	_, closed := errors.AsType[*websocket.CloseError](err)
	_, reset := errors.AsType[*net.OpError](err)
	if closed || reset {
		err = fmt.Errorf("%w: %w", left, err)
	}
	return &Refusal{CodeCredentialsRequired, "authenticate first", err}
}

// turnAway tells a client that it is refused after the upgrade. [Conn.finish]
// remains to be called.
func (c *Conn) turnAway(ref *Refusal) *Refusal {
	c.life.release(ref)
	c.closing.Do(func() { c.shutdown(ref.event(), ref.Code.CloseCode(), string(ref.Code)) })
	return ref
}
