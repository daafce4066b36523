package socketcluster

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/internal/outbox"
)

// tooSlow notes that a client is cut off because it does not read.
func (c *Conn) tooSlow() {
	c.server.opts.Logger.LogAttrs(c.ctx, slog.LevelWarn, "socketcluster: a client that reads too slowly is cut off", c.remote())
}

// send queues a message.
func (c *Conn) send(i outbox.Item) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue.Push(i)
}

// push queues a message that is written in any case. The caller holds c.mu.
func (c *Conn) push(frame []byte) { c.queue.Push(outbox.Item{Frame: frame}) }

// deliver queues a channel's message, unless its subscription is over.
func (c *Conn) deliver(s *subscription, frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.alive() {
		c.queue.Push(outbox.Item{Frame: frame, Guard: s})
	}
}

// Pass lets nothing be written once the subscription is over.
func (s *subscription) Pass(frame []byte) ([]byte, bool) { return frame, s.alive() }

// alive reports whether a subscription may be delivered to at this moment. The
// caller holds Conn.mu.
func (s *subscription) alive() bool {
	return !s.gone && (s.link == nil || s.link.Context().Err() == nil)
}

// during is the guard of a message to whom an authentication stands for.
type during struct {
	link *bridge.Link    // must not have ended; nil: need not be looked at
	call json.RawMessage // what is answered if it has; nil: nothing
}

// Pass lets a call be answered with an error once the authentication has ended,
// and nothing else be written.
func (d during) Pass(frame []byte) ([]byte, bool) {
	switch {
	case !ended(d.link):
		return frame, true
	case d.call == nil:
		return nil, false
	default:
		return failure(d.call, errEnded), true
	}
}

// ended reports whether an authentication ended from this side: not by the
// client's or the application's own wish.
func ended(l *bridge.Link) bool {
	if l == nil || l.Context().Err() == nil {
		return false
	}
	end := (*bridge.EndError)(nil)
	return errors.As(context.Cause(l.Context()), &end)
}
