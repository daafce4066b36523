package bridge

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// closeGrace is how long a closed connection waits for the peer's own close
// frame, and how long writing the last frames may take. A socket closed while
// the peer's data is unread would be reset, and the close code lost.
const closeGrace = time.Second

// Conn is an authenticated WebSocket connection. One goroutine may read while
// any number write.
//
// The connection must be read from, as it is by reading that pings are
// answered and that a client's leaving is noticed; a service that only writes
// calls [Conn.CloseRead].
type Conn struct {
	life    *life
	ws      *websocket.Conn
	reader  bufio.Reader // which ws reads from
	request *keptRequest // for authentication messages; nil if none are read

	// What follows has the smallest types that do, to be 160 bytes in all.
	reading    sync.Mutex
	readFailed bool  // for good; reading again would make gorilla panic in the end
	bad        int32 // bad attempts to authenticate anew, since the last good one
	writing    sync.Mutex
	closing    sync.Once
	closed     sync.Once
}

// ErrClosed is the cause of a connection's context after the service itself
// closed it.
var ErrClosed = errors.New("bridge: connection closed by the service")

// Identity returns who is at the other end, as last learnt. It never changes
// the user while the connection lives.
func (c *Conn) Identity() *Identity { return c.life.identity.Load() }

// Context ends with the connection. Its cause ([context.Cause]) is an
// [*EndError] if the identity ended, [ErrClosed] if the service closed the
// connection, and otherwise the error that reading or writing met. It carries
// the identity ([FromContext]) and the values that Options.ConnContext gives.
func (c *Conn) Context() context.Context { return c.life.context() }

// Subprotocol returns the negotiated subprotocol, or "".
func (c *Conn) Subprotocol() string { return c.ws.Subprotocol() }

// RemoteAddr returns the peer's network address.
func (c *Conn) RemoteAddr() net.Addr { return c.ws.RemoteAddr() }

// ReadMessage returns the application's next message: its type, one of
// [websocket.TextMessage] and [websocket.BinaryMessage], and its content. It
// answers pings and handles authentication messages on the way. After an
// error the connection has ended and the same cause as the context's is
// returned from then on.
func (c *Conn) ReadMessage() (messageType int, p []byte, err error) {
	// An idle connection spends its life below this frame. Of a goroutine's
	// first 2 KB, 0.9 are a reserve of Go's; the rest is to be enough, with what
	// the service has on its stack. So gorilla, whose frames take 0.4, is called
	// once there is something, and what is rare is in other functions.
	c.reading.Lock()
	for !c.readFailed {
		var messageType int
		var r io.Reader
		_, err := c.reader.Peek(1)
		if err == nil {
			messageType, r, err = c.ws.NextReader()
		}
		if err != nil {
			return c.lost(err)
		}
		if p, application := c.receive(messageType, r); application {
			return messageType, p, nil
		}
	}
	return c.readCause()
}

//go:noinline
func (c *Conn) readCause() (messageType int, p []byte, err error) {
	c.reading.Unlock()
	return 0, nil, c.life.endedBy()
}

// lost ends a connection that can't be read from any more, and unlocks
// c.reading, which the caller holds.
//
//go:noinline
func (c *Conn) lost(err error) (messageType int, p []byte, cause error) {
	defer c.reading.Unlock()
	c.lose(err)
	return 0, nil, c.life.endedBy()
}

// lose ends a connection that can't be read from any more.
func (c *Conn) lose(err error) {
	c.readFailed = true
	if err == io.EOF { // between two messages; gorilla says so, too
		err = errAbnormal
	}
	c.life.release(err)
	c.linger(err)
	c.closing.Do(func() {}) // a last frame that is being written goes out
	c.hangUp()
}

// errAbnormal is what gorilla says of a connection that ends without a close
// frame (RFC 6455, section 7.1.5).
var errAbnormal = &websocket.CloseError{Code: websocket.CloseAbnormalClosure, Text: io.ErrUnexpectedEOF.Error()}

// receive reads a message and returns it if it is for the application: then
// c.reading, which the caller holds, is unlocked. It deals with all others.
//
//go:noinline
func (c *Conn) receive(messageType int, r io.Reader) (p []byte, application bool) {
	done := false
	defer func() {
		if application || !done { // not done: an authenticator has panicked
			c.reading.Unlock()
		}
	}()
	p, application = c.handle(messageType, r)
	done = true
	return p, application
}

// handle is receive without its care for panics.
func (c *Conn) handle(messageType int, r io.Reader) (p []byte, application bool) {
	p, err := io.ReadAll(r)
	if err != nil {
		c.lose(err)
		return nil, false
	}
	if c.life.over.Load() {
		return nil, false // only the peer's close frame is awaited now
	}
	if messageType == websocket.TextMessage {
		if !utf8.Valid(p) { // RFC 6455, section 8.1
			_ = c.Close(websocket.CloseInvalidFramePayloadData, "")
			return nil, false
		}
		if c.request != nil && mayBeFrame(p) {
			if kind, m := parseFrame(p); kind != frameApplication {
				if int64(len(p)) > c.life.b.opts.MaxPendingFrame {
					m = nil
				}
				c.control(kind, m)
				return nil, false
			}
		}
	}
	c.life.active()
	return p, true
}

// ReadJSON reads the next message into v.
func (c *Conn) ReadJSON(v any) error {
	_, p, err := c.ReadMessage()
	if err != nil {
		return err
	}
	return json.Unmarshal(p, v)
}

// WriteMessage sends one message of type [websocket.TextMessage] or
// [websocket.BinaryMessage]. It returns once the message is handed to the
// operating system, or fails after Options.WriteTimeout. Once the connection
// has ended nothing is sent and the cause is returned.
func (c *Conn) WriteMessage(messageType int, data []byte) error {
	return c.send(messageType, data, c.life.b.opts.WriteTimeout)
}

func (c *Conn) send(messageType int, data []byte, timeout time.Duration) error {
	if cause := c.life.endedBy(); cause != nil { // need not wait for the last frames
		return cause
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	if cause := c.life.endedBy(); cause != nil {
		return cause
	}
	_ = c.ws.SetWriteDeadline(time.Now().Add(timeout)) // only stores it
	err := c.ws.WriteMessage(messageType, data)
	if err == nil {
		return nil
	}
	// After a close frame it is the reader's to end the connection: it knows
	// why, and must take in what the peer is still sending.
	if !errors.Is(err, websocket.ErrCloseSent) && c.life.release(err) {
		c.closing.Do(c.hangUp)
	}
	if cause := c.life.endedBy(); cause != nil {
		return cause
	}
	return err
}

// WriteJSON sends v as one text message.
func (c *Conn) WriteJSON(v any) error {
	p, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.WriteMessage(websocket.TextMessage, p)
}

// CloseRead starts a goroutine that reads and discards what the client sends,
// for a service that only writes. It returns the connection's context.
// ReadMessage must not be called any more.
func (c *Conn) CloseRead() context.Context {
	go func() {
		defer func() {
			if v := recover(); v != nil { // an authenticator's; nobody else would catch it
				c.panicked(v)
			}
		}()
		for {
			if _, _, err := c.ReadMessage(); err != nil {
				return
			}
		}
	}()
	return c.Context()
}

// Close sends a close frame with a code of RFC 6455, section 7.4, and a reason
// of at most 123 bytes, and lets the connection go. It does not wait for the
// peer. A longer reason is left out and an error returned, but the connection
// is closed all the same. A second call does nothing.
func (c *Conn) Close(code int, reason string) (err error) {
	if len(reason) > closeReasonMaxLength {
		reason, err = "", errors.New("bridge: a close reason has at most 123 bytes (RFC 6455, section 5.5)")
	}
	if !c.life.release(ErrClosed) {
		if e, ok := errors.AsType[*EndError](c.life.endedBy()); ok {
			c.shut(e) // a handler that returns because the identity ended is no faster than the reason
		}
	}
	c.closing.Do(func() { c.shutdown(nil, code, reason) })
	return err
}

// shut tells the client why its connection ends, and closes it. The life is
// over already, so that no other frame can follow.
func (c *Conn) shut(e *EndError) {
	c.closing.Do(func() {
		var event []byte
		if c.life.identity.Load() == nil {
			event = refusalFor(e, nil).event()
		} else if !c.life.b.opts.OmitEvents {
			event = deauthenticatedEvent(e.Code)
		}
		c.shutdown(event, e.Code.CloseCode(), string(e.Code))
	})
}

// shutdown sends a last event, if any, and the close frame. The connection is
// let go when the peer has closed too, or after closeGrace.
func (c *Conn) shutdown(event []byte, code int, reason string) {
	deadline := time.Now().Add(closeGrace)
	time.AfterFunc(closeGrace, c.hangUp)          // whatever blocks below
	_ = c.ws.NetConn().SetWriteDeadline(deadline) // a write that is stuck must give way
	if event != nil {
		c.writing.Lock()
		_ = c.ws.SetWriteDeadline(deadline)
		_ = c.ws.WriteMessage(websocket.TextMessage, event) // the peer may be gone
		c.writing.Unlock()
	}
	_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), deadline)
	_ = c.ws.SetReadDeadline(deadline)
}

// warn tells the client that its token runs out, unless it could not send
// another one, or expects no events.
func (c *Conn) warn(id *Identity) {
	if !c.life.b.traits.Message || c.life.b.opts.OmitEvents {
		return
	}
	// The reader sees it if the peer is gone. One that does not read must not
	// keep the others from being told.
	_ = c.send(websocket.TextMessage, expiringEvent(id), min(c.life.b.opts.WriteTimeout, closeGrace))
}

// leave, deferred, closes the connection after a handler's function returned
// or panicked.
func (c *Conn) leave() {
	v := recover()
	if v == nil {
		c.finish(closeNormal)
		return
	}
	c.panicked(v)
}

// panicked logs a panic and closes the connection.
func (c *Conn) panicked(v any) {
	if v != http.ErrAbortHandler { // net/http's own exception
		c.life.b.opts.logPanic("the connection's handler panicked", v)
	}
	c.finish(closeInternalError)
}

// linger reads what the peer is still sending of a message that was too long,
// for a moment: closing right away would reset the connection, and the peer
// would not see the close code 1009 that has been sent.
func (c *Conn) linger(err error) {
	if errors.Is(err, websocket.ErrReadLimit) {
		_ = c.ws.SetReadDeadline(time.Now().Add(closeGrace))
		_, _ = io.Copy(io.Discard, c.ws.NetConn())
	}
}

// hangUp closes the network connection.
func (c *Conn) hangUp() {
	c.closed.Do(func() {
		_ = c.ws.Close()
		c.life.b.index.remove(c.life)
	})
}

// finish closes the connection with code, if it is not closed yet, and waits
// for the peer's close frame.
func (c *Conn) finish(code int) {
	_ = c.Close(code, "")
	c.reading.Lock() // another reader sees the end within closeGrace
	defer c.reading.Unlock()
	for !c.readFailed {
		_, r, err := c.ws.NextReader()
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if err != nil {
			c.readFailed = true
			c.linger(err)
		}
	}
	c.hangUp()
}

var errLongMessage = Reject(CodeCredentialsBadFormat, "the message is too long", errors.New("an authentication message is longer than MaxPendingFrame"))

// control handles an authentication frame on a live connection; m is nil if it
// is too long. The caller holds c.reading.
func (c *Conn) control(kind frameKind, m *Message) {
	if kind == frameDeauthenticate {
		c.life.end(&EndError{Code: CodeClientRequest})
		return
	}
	ctx, cancel := context.WithTimeout(c.life.context(), c.life.b.opts.AuthTimeout)
	defer cancel()
	err, r := errLongMessage, c.request.restore(c.life.context())
	if m != nil {
		err = c.life.authenticate(ctx, &Handshake{Request: r, Message: m})
	}
	if err == nil {
		c.bad = 0
	} else {
		c.bad++
	}
	switch {
	case c.life.over.Load(): // ended meanwhile
	case errors.Is(err, errOtherUser):
		c.life.end(&EndError{Code: CodeUserChanged, Err: err})
	case err != nil:
		ref := refusalFor(err, m)
		c.life.b.logRefusal(r, ref)
		if int(c.bad) >= c.life.b.opts.MaxAttempts && ref.Code != CodeUnavailable {
			c.life.end(&EndError{Code: ref.Code, Err: errTooManyTries})
			return
		}
		_ = c.WriteMessage(websocket.TextMessage, ref.event()) // the reader sees it if the peer is gone
	case !c.life.b.opts.OmitEvents:
		_ = c.WriteMessage(websocket.TextMessage, authenticatedEvent(c.Identity()))
	}
}
