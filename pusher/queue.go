package pusher

import (
	"log/slog"

	"github.com/sessionbridge/sessionbridge/internal/outbox"
)

// tooSlow notes that a client is cut off because it does not read.
func (c *conn) tooSlow() {
	c.server.opts.Logger.LogAttrs(c.own.Context(), slog.LevelWarn, "pusher: a client that reads too slowly is cut off", c.remote())
}

// send queues a message.
func (c *conn) send(frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.push(frame)
}

// push is send, for a caller that holds c.mu.
func (c *conn) push(frame []byte) { c.queue.Push(outbox.Item{Frame: frame}) }

// deliver queues a channel's message, unless its subscription is over.
func (c *conn) deliver(s *subscription, frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.alive() {
		c.queue.Push(outbox.Item{Frame: frame, Guard: s})
	}
}

// joined queues the word that a subscription has begun. It reports false if
// that is over already.
func (c *conn) joined(s *subscription, frame []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.gone {
		return false
	}
	c.queue.Push(outbox.Item{Frame: frame, Guard: s})
	return true
}

// Pass lets nothing be written once the subscription is over.
func (s *subscription) Pass(frame []byte) ([]byte, bool) { return frame, s.alive() }

// alive reports whether a subscription may be delivered to at this moment. The
// caller holds conn.mu.
func (s *subscription) alive() bool {
	return !s.gone && s.conn.own.Context().Err() == nil && (s.holder == nil || s.holder.alive())
}
