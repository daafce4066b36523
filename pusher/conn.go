package pusher

import (
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/internal/outbox"
)

// conn is one client's socket.
type conn struct {
	server *Server
	ws     *websocket.Conn
	id     string
	own    *bridge.Link // of the upgrade request; perhaps nobody's

	mu      sync.Mutex
	queue   outbox.Queue
	subs    map[string]*subscription
	grants  map[string]*grant
	holders []*holder
	user    *user     // who has signed in; nil for nobody
	heard   time.Time // when the client last sent something
	pinged  bool      // since then
	idle    *time.Timer

	rate rate // of the reading goroutine alone
}

func newConn(s *Server, ws *websocket.Conn, l *bridge.Link) *conn {
	c := &conn{server: s, ws: ws, id: newSocketID(), own: l, heard: time.Now(), subs: map[string]*subscription{}}
	c.queue = outbox.Queue{Lock: &c.mu, WS: ws, MaxBytes: s.opts.MaxQueue, WriteTimeout: s.opts.WriteTimeout, TooSlow: c.tooSlow}
	return c
}

func (c *conn) remote() slog.Attr { return slog.String("remote", c.ws.RemoteAddr().String()) }

// start begins the socket's life, on a goroutine of its own.
func (c *conn) start() {
	c.ws.SetReadLimit(c.server.opts.ReadLimit)
	answer := c.ws.PingHandler()
	c.ws.SetPingHandler(func(data string) error { // clients in Node use these
		c.hear()
		return answer(data)
	})
	c.mu.Lock()
	c.idle = time.AfterFunc(c.server.opts.ActivityTimeout, c.listen)
	c.push(connectionEstablished(c.id, c.server.opts.ActivityTimeout))
	c.mu.Unlock()
	go func() {
		c.own.OnEnd(func(e *bridge.EndError) { c.close(closeCode(e.Code), string(e.Code)) })
		err := c.read()
		c.finish(err)
	}()
}

// read handles the client's messages until the connection ends.
func (c *conn) read() error {
	for {
		kind, p, err := c.ws.ReadMessage()
		if errors.Is(err, websocket.ErrReadLimit) {
			// Closing right away would reset the connection, and the client
			// would not see the 1009 that has been sent.
			_ = c.ws.SetReadDeadline(time.Now().Add(outbox.CloseGrace))
			_, _ = io.Copy(io.Discard, c.ws.NetConn())
		}
		if err != nil {
			return err
		}
		switch c.hear(); {
		case c.sealed():
		case kind != websocket.TextMessage: // not of the protocol
			c.closePlainly(websocket.CloseUnsupportedData)
		case !utf8.Valid(p): // RFC 6455, section 8.1
			c.closePlainly(websocket.CloseInvalidFramePayloadData)
		default:
			c.message(p)
		}
	}
}

// sealed reports whether the connection is being closed.
func (c *conn) sealed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queue.Sealed()
}

// hear notes that the client is there.
func (c *conn) hear() {
	c.mu.Lock()
	c.heard, c.pinged = time.Now(), false
	c.mu.Unlock()
}

// listen pings a client that has been silent, and gives up one that stays so.
func (c *conn) listen() {
	c.mu.Lock()
	if c.queue.Sealed() {
		c.mu.Unlock()
		return
	}
	var lost []*subscription
	rest := c.server.opts.ActivityTimeout - time.Since(c.heard)
	if rest <= 0 && !c.pinged {
		c.pinged = true
		c.push(ping)
	}
	if c.pinged {
		rest += c.server.opts.PongTimeout
	}
	if rest <= 0 {
		lost = c.shut(CodeNoPong, "no pong came in time")
	} else {
		c.idle.Reset(rest)
	}
	c.mu.Unlock()
	c.leave(lost)
}

// message handles one text message.
func (c *conn) message(p []byte) {
	f, ok := parse(p)
	if !ok {
		c.fail("", errMalformed)
		return
	}
	switch f.event {
	case "pusher:ping":
		c.send(pong)
		return
	case "pusher:pong":
		return
	}
	c.active()
	switch f.event {
	case "pusher:subscribe":
		c.subscribe(f)
	case "pusher:unsubscribe":
		c.unsubscribe(f)
	case "pusher:signin":
		c.signin(f)
	default:
		c.clientEvent(f)
	}
}

// active keeps the logins alive that the client uses, if the bridge is to do
// so.
func (c *conn) active() {
	c.own.Active()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.holders {
		h.link.Active()
	}
}

// fail tells the client that something is refused: the connection's listeners,
// and, if it is about a channel, that channel's.
func (c *conn) fail(channel string, p *problem) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.push(errorEvent(p.code, p.message))
	if channel != "" {
		c.push(subscriptionError(channel, p))
	}
}

// close tells the client why, with nothing behind it, and closes.
func (c *conn) close(code int, message string) {
	c.mu.Lock()
	lost := c.shut(code, message)
	c.mu.Unlock()
	c.leave(lost)
}

// closePlainly closes with a code of RFC 6455.
func (c *conn) closePlainly(code int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue.Push(outbox.Item{Code: code})
}

// shut is close; the caller holds c.mu, and has the subscriptions that are
// returned leave.
func (c *conn) shut(code int, message string) (lost []*subscription) {
	if c.queue.Sealed() {
		return nil
	}
	lost = c.forget()
	c.queue.Clear()
	c.push(errorEvent(code, message))
	c.queue.Push(outbox.Item{Frame: []byte(message), Code: code})
	return lost
}

// forget gives up all that was granted. The caller holds c.mu.
func (c *conn) forget() (lost []*subscription) {
	for name, g := range c.grants {
		c.drop(name, g)
	}
	for name, s := range c.subs {
		s.gone = true
		delete(c.subs, name)
		c.release(s.holder)
		lost = append(lost, s)
	}
	if c.user != nil {
		c.release(c.user.holder)
		c.user = nil
	}
	return lost
}

func (c *conn) leave(lost []*subscription) {
	for _, s := range lost {
		c.server.broker.leave(s)
	}
}

// finish lets go of everything.
func (c *conn) finish(cause error) {
	c.mu.Lock()
	c.queue.Seal()
	lost := c.forget()
	c.idle.Stop()
	c.mu.Unlock()
	c.leave(lost)
	c.server.remove(c)
	c.own.Close(cause)
	c.queue.HangUp()
}
