package bridge

import (
	"bufio"
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

	// sharedBuffer is the least size of a buffer that gorilla shares with whom
	// it hijacks, rather than to make one of its own (bufioReaderSize in its
	// server.go).
	sharedBuffer = 257
)

// upgrading has the readers that gorilla is shown while it upgrades a
// connection, and nothing is read.
var upgrading = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, sharedBuffer) }}

// hijacker is the response to a handshake. What reads from the connection once
// it is hijacked is the given reader.
type hijacker struct {
	http.ResponseWriter
	reader *bufio.Reader
}

// upgrade has gorilla upgrade the connection, which reads with c.reader from
// then on. The frames from here to what net/http does to let go of a connection
// are the deepest of a handshake that need not wait. They are to fit in the 4 KB
// that net/http's own take: what has large ones is called before, or after.
func (c *Conn) upgrade(w http.ResponseWriter, r *http.Request) (err error) {
	large := upgrading.Get().(*bufio.Reader)
	c.borrow(large)
	c.ws, err = c.life.b.upgrader.Upgrade(&hijacker{w, &c.reader}, r, nil)
	upgrading.Put(large)
	if err == nil {
		c.ownReader()
	}
	return err
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
	if rw.Reader.Buffered() == 0 { // else gorilla refuses it
		h.share(conn, rw)
	}
	return conn, rw, nil
}

//go:noinline
func (h *hijacker) share(conn net.Conn, rw *bufio.ReadWriter) {
	h.reader.Reset(conn)
	rw.Reader = h.reader
}

//go:noinline
func (h *hijacker) failed(err error) error {
	return fmt.Errorf("bridge: the ResponseWriter, a %T, is to have the method Hijack or Unwrap: %w", h.ResponseWriter, err)
}
