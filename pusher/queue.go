package pusher

import (
	"log/slog"
	"time"

	"github.com/gorilla/websocket"
)

const (
	// itemCost is what a message in a queue is taken to need beyond its bytes.
	itemCost = 128
	// closeGrace is how long a close frame may take, there and back.
	closeGrace = 2 * time.Second
)

// item is one message that waits to be written.
type item struct {
	frame []byte
	sub   *subscription // whose message it is; nil: none's
	code  int           // closes the connection, with frame as the reason; 0: does not
}

// queue is what waits for a client. It is guarded by conn.mu.
type queue struct {
	items   []item
	bytes   int
	writing bool // a goroutine writes; there is one only while there is work
	sealed  bool // nothing follows any more
}

// clear forgets what waits.
func (q *queue) clear() { q.items, q.bytes = nil, 0 }

// send queues a message.
func (c *conn) send(frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.push(item{frame: frame})
}

// push queues a message. A client whose queue is full is cut off. The caller
// holds c.mu.
func (c *conn) push(i item) {
	if c.queue.sealed {
		return
	}
	c.queue.items = append(c.queue.items, i)
	c.queue.bytes += len(i.frame) + itemCost
	switch {
	case i.code != 0:
		c.queue.sealed = true
		time.AfterFunc(closeGrace, c.hangUp) // whatever blocks the writer
	case c.queue.bytes > c.server.opts.MaxQueue:
		c.cutOff()
		return
	}
	if !c.queue.writing {
		c.queue.writing = true
		go c.write()
	}
}

// deliver queues a channel's message, unless its subscription is over.
func (c *conn) deliver(s *subscription, frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.alive() {
		c.push(item{frame: frame, sub: s})
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
	c.push(item{frame: frame, sub: s})
	return true
}

// alive reports whether a subscription may be delivered to at this moment. The
// caller holds conn.mu.
func (s *subscription) alive() bool {
	return !s.gone && s.conn.own.Context().Err() == nil && (s.holder == nil || s.holder.alive())
}

// cutOff gives up a client that does not read. The caller holds c.mu.
func (c *conn) cutOff() {
	c.queue.sealed = true
	c.queue.clear()
	go func() {
		c.server.opts.Logger.LogAttrs(c.own.Context(), slog.LevelWarn, "pusher: a client that reads too slowly is cut off", c.remote())
		_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(tooSlow, "too slow"), time.Now().Add(closeGrace))
		c.hangUp()
	}()
}

// next takes what is to be written now out of the queue.
func (c *conn) next() (item, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue.items) > 0 {
		i := c.queue.items[0]
		c.queue.items[0] = item{}
		c.queue.items = c.queue.items[1:]
		c.queue.bytes -= len(i.frame) + itemCost
		if i.sub == nil || i.sub.alive() {
			return i, true
		}
	}
	c.queue.items, c.queue.writing = nil, false
	return item{}, false
}

// write writes until the queue is empty.
func (c *conn) write() {
	for {
		i, ok := c.next()
		if !ok {
			return
		}
		deadline := time.Now().Add(c.server.opts.WriteTimeout)
		if i.code != 0 {
			deadline = time.Now().Add(closeGrace)
			_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(i.code, string(i.frame)), deadline)
			_ = c.ws.SetReadDeadline(deadline) // for the peer's close frame
			continue
		}
		_ = c.ws.SetWriteDeadline(deadline) // only stores it
		if err := c.ws.WriteMessage(websocket.TextMessage, i.frame); err != nil {
			c.mu.Lock()
			c.queue.sealed = true
			c.queue.clear()
			c.mu.Unlock()
			c.hangUp()
		}
	}
}

// hangUp closes the network connection, upon which the reader ends.
func (c *conn) hangUp() { _ = c.ws.Close() }
