package socketcluster

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/internal/outbox"
)

// Conn is one client's socket. It is safe for concurrent use.
type Conn struct {
	server *Server
	ws     *websocket.Conn
	id     string
	ctx    context.Context
	cancel context.CancelCauseFunc

	// changing serialises what changes the identity by the client's or the
	// application's wish. It is taken before mu and may be held for long.
	changing sync.Mutex

	mu     sync.Mutex
	link   *bridge.Link // the present authentication, or that of nobody; never nil
	over   bool
	queue  outbox.Queue
	subs   map[string]*subscription
	told   told
	token  token
	pinger *time.Timer

	reporting sync.Mutex // guards reported
	reported  *bridge.Identity

	// Of the reading goroutine alone.
	shaken   bool
	attempts int           // bad tokens in a row
	calls    chan struct{} // holds as many as run
}

func newConn(s *Server, ws *websocket.Conn, l *bridge.Link) *Conn {
	c := &Conn{server: s, ws: ws, id: rand.Text(), link: l}
	c.queue = outbox.Queue{Lock: &c.mu, WS: ws, MaxBytes: s.opts.MaxQueue, WriteTimeout: s.opts.WriteTimeout, TooSlow: c.tooSlow}
	c.ctx, c.cancel = context.WithCancelCause(context.WithoutCancel(l.Request().Context()))
	return c
}

// ID returns the socket's id, which is random and which its client knows.
func (c *Conn) ID() string { return c.id }

// Identity returns who is at the other end, as last learnt; nil for nobody. It
// may change to another user's while the socket lives, through nobody or not.
func (c *Conn) Identity() *bridge.Identity { return identityOf(c.current()) }

// identityOf returns whom a link stands for at this moment.
func identityOf(l *bridge.Link) *bridge.Identity {
	if l.Context().Err() != nil {
		return nil // ended, although the client may not have been told yet
	}
	return l.Identity()
}

func (c *Conn) current() *bridge.Link {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link
}

// Request returns the upgrade request. Its body must not be read.
func (c *Conn) Request() *http.Request { return c.current().Request() }

// Context ends with the connection, with what ended it as its cause. It has
// the values of the upgrade request's context.
func (c *Conn) Context() context.Context { return c.ctx }

// Transmit sends the client an event without waiting for an answer. It is not
// sent if the identity that stands when it is called ends before it is
// written. It does not wait for the client; see Options.MaxQueue.
func (c *Conn) Transmit(name string, data any) error {
	frame, err := event(ownName(name), data)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.queue.Sealed() {
		return net.ErrClosed
	}
	c.queue.Push(outbox.Item{Frame: frame, Guard: during{link: c.link}})
	return nil
}

// Close closes the connection behind what is queued, with a close code and a
// reason of at most 123 bytes. A client reconnects after every code but 1000
// and those from 4500 up. It does not wait for the client. A second call does
// nothing.
func (c *Conn) Close(code int, reason string) {
	if len(reason) > 123 { // RFC 6455, section 5.5
		reason = ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if held := c.told.held; held != nil {
		c.push(held)
	}
	c.queue.Push(outbox.Item{Frame: []byte(reason), Code: code})
}

func (c *Conn) remote() slog.Attr { return slog.String("remote", c.ws.RemoteAddr().String()) }

// start begins the socket's life, on a goroutine of its own.
func (c *Conn) start() {
	_ = c.ws.SetReadDeadline(time.Now().Add(c.server.opts.HandshakeTimeout)) // the first read fails then
	c.ws.SetReadLimit(c.server.opts.MaxHandshake)
	link := c.link
	go func() {
		link.OnEnd(func(e *bridge.EndError) { c.ended(link, e) })
		err := c.read()
		c.finish(err)
	}()
}

// read handles the client's messages until the connection ends.
func (c *Conn) read() error {
	for {
		if c.shaken {
			_ = c.ws.SetReadDeadline(time.Now().Add(c.server.opts.PingTimeout))
		}
		if c.sealed() { // only the peer's close frame is awaited
			_ = c.ws.SetReadDeadline(time.Now().Add(outbox.CloseGrace))
		}
		kind, p, err := c.ws.ReadMessage()
		if err != nil {
			return c.readFailed(err)
		}
		switch {
		case c.sealed():
		case kind != websocket.TextMessage: // a codec that is not spoken here
			c.Close(websocket.CloseUnsupportedData, "")
		case !utf8.Valid(p): // RFC 6455, section 8.1
			c.Close(websocket.CloseInvalidFramePayloadData, "")
		case len(p) == 0 && c.shaken:
			c.ponged()
		default:
			c.message(p)
		}
	}
}

// sealed reports whether the connection is being closed.
func (c *Conn) sealed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queue.Sealed()
}

// readFailed says a last word, if the client may be there to hear it.
func (c *Conn) readFailed(err error) error {
	if errors.Is(err, websocket.ErrReadLimit) {
		// Closing right away would reset the connection, and the client would
		// not see the 1009 that has been sent.
		_ = c.ws.SetReadDeadline(time.Now().Add(outbox.CloseGrace))
		_, _ = io.Copy(io.Discard, c.ws.NetConn())
		return err
	}
	late := net.Error(nil)
	if !errors.As(err, &late) || !late.Timeout() {
		return err
	}
	code := ClosePongTimeout
	if !c.shaken {
		code = CloseNoHandshake
	}
	c.mu.Lock()
	sealed := c.queue.Sealed()
	c.queue.Seal()
	c.queue.Clear()
	c.mu.Unlock()
	if !sealed {
		_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(outbox.CloseGrace))
	}
	return err
}

// message handles one text message.
func (c *Conn) message(p []byte) {
	packets, err := parse(p)
	switch {
	case errors.Is(err, errBatch):
		c.Close(websocket.ClosePolicyViolation, "too many packets")
		return
	case err != nil && !c.shaken:
		c.Close(CloseNotShaken, "")
		return
	case err != nil:
		return // not of the protocol
	}
	for _, one := range packets {
		if c.sealed() {
			return
		}
		c.current().Active()
		c.handle(one)
	}
}

// handle handles one packet.
func (c *Conn) handle(p packet) {
	switch {
	case p.event == "#handshake" && p.call == nil:
		c.Close(CloseRejected, "")
	case p.event == "#handshake" && c.shaken:
		c.fail(p, errTwoHandshakes)
	case p.event == "#handshake":
		c.handshake(p)
	case !c.shaken:
		c.Close(CloseNotShaken, "")
	case p.event == "": // an answer to nothing, or not of the protocol
	case p.event == "#authenticate" && p.call == nil:
		c.Close(CloseRejected, "")
	case p.event == "#authenticate":
		c.authenticate(p)
	case p.event == "#removeAuthToken":
		c.drop(c.current(), bridge.CodeClientRequest, true)
		c.answer(p)
	case p.event == "#subscribe":
		c.subscribe(p)
	case p.event == "#unsubscribe":
		c.unsubscribe(p)
	case p.event == "#publish":
		c.publish(p)
	case strings.HasPrefix(p.event, "#"):
		c.fail(p, errUnknownProcedure)
	case p.call != nil:
		c.invoke(p)
	default:
		c.receive(p)
	}
}

// answer answers a call. A packet that is no call is not answered.
func (c *Conn) answer(p packet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pushOK(p)
}

// pushOK is answer, for a caller that holds c.mu.
func (c *Conn) pushOK(p packet) {
	if p.call != nil {
		c.push(success(p.call))
	}
}

// fail answers a call with an error.
func (c *Conn) fail(p packet, err any) {
	if p.call != nil {
		c.send(outbox.Item{Frame: failure(p.call, err)})
	}
}

// startPinging lets the client be pinged. The caller holds c.mu.
func (c *Conn) startPinging() {
	if !c.over {
		c.pinger = time.AfterFunc(c.server.opts.PingInterval, c.ping)
	}
}

// ping pings the client until the connection ends.
func (c *Conn) ping() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	if c.queue.Empty() { // else it is late already
		c.pushPing()
	}
	c.pinger.Reset(c.server.opts.PingInterval)
}

// finish lets go of everything.
func (c *Conn) finish(cause error) {
	c.mu.Lock()
	c.over = true
	c.queue.Seal()
	link := c.link
	subs := c.subs
	c.subs = nil
	for _, s := range subs {
		s.gone = true
	}
	if c.pinger != nil {
		c.pinger.Stop()
	}
	c.token.stop()
	c.mu.Unlock()
	for _, s := range subs {
		c.server.broker.remove(s)
	}
	if !c.shaken {
		c.server.pending.Add(-1)
	}
	c.cancel(cause)
	link.Close(cause)
	c.queue.HangUp()
}

// log notes a failure of the application's functions.
func (c *Conn) log(text, name string, err error) {
	c.server.opts.Logger.LogAttrs(c.ctx, slog.LevelError, "socketcluster: "+text,
		slog.String("name", name), slog.String("reason", err.Error()), c.remote())
}
