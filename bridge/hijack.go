package bridge

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
)

const (
	// readBuffer is the size of a connection's read buffer in bytes: room for a
	// control frame (RFC 6455, section 5.5), which gorilla reads at once. What
	// does not fit is read into the message itself, as large as it is.
	readBuffer = 128

	// sharedBuffer is the least size of a hijacked reader's buffer with which
	// gorilla reads with that reader, rather than with one of its own (Upgrade
	// in its server.go).
	sharedBuffer = 257
)

// upgrading has readers whose buffers are large enough for gorilla to read with
// them. A connection's has the buffer of one while it is upgraded, when nothing
// is read, and a small one of its own afterwards.
var upgrading = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, sharedBuffer) }}

// hijacker is the response to a handshake. What reads from the connection once
// it is hijacked is the given reader.
type hijacker struct {
	http.ResponseWriter
	reader *bufio.Reader
	shared bool // gorilla has been given the reader
}

// upgrade has gorilla upgrade the connection, which reads with c.reader from
// then on. The frames from here to what net/http does to let go of a connection
// are the deepest of a handshake that need not wait. They are to fit in the 4 KB
// that net/http's own take: what has large ones is called before, or after.
func (c *Conn) upgrade(w http.ResponseWriter, r *http.Request) (err error) {
	large := upgrading.Get().(*bufio.Reader)
	c.borrow(large)
	h := hijacker{ResponseWriter: w, reader: &c.reader}
	c.ws, err = c.life.b.upgrader.Upgrade(&h, r, nil)
	upgrading.Put(large)
	if err != nil {
		return err
	}
	if !h.shared {
		return c.refuseEarly()
	}
	c.ownReader()
	return nil
}

var errEarly = errors.New("bridge: the client sent data before the handshake was complete")

// refuseEarly is for a gorilla that lets in who has sent frames with the
// request: they may be of another request, which is an attack's way.
//
//go:noinline
func (c *Conn) refuseEarly() error {
	_ = c.ws.Close()
	return errEarly
}

//go:noinline
func (c *Conn) borrow(large *bufio.Reader) { c.reader = *large }

//go:noinline
func (c *Conn) ownReader() { c.reader = *bufio.NewReaderSize(c.ws.NetConn(), readBuffer) }

// Hijack finds what can be hijacked behind middleware that can be unwrapped.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, h.failed(err)
	}
	if rw.Reader.Buffered() == 0 { // else gorilla, or upgrade, refuses it
		h.share(conn, rw)
	}
	return conn, rw, nil
}

//go:noinline
func (h *hijacker) share(conn net.Conn, rw *bufio.ReadWriter) {
	h.reader.Reset(conn)
	rw.Reader, h.shared = h.reader, true
}

//go:noinline
func (h *hijacker) failed(err error) error {
	return fmt.Errorf("bridge: the ResponseWriter, a %T, is to have the method Hijack or Unwrap: %w", h.ResponseWriter, err)
}
