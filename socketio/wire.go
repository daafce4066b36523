package socketio

import (
	"context"
	"sync"
	"time"

	"github.com/zishang520/socket.io/parsers/engine/v3/packet"
	"github.com/zishang520/socket.io/servers/engine/v3"
	"github.com/zishang520/socket.io/servers/socket/v3"
	"github.com/zishang520/socket.io/v3/pkg/types"
)

const (
	// maxMembers is how many guarded namespaces a connection may use; the
	// client chooses the names of dynamic ones.
	maxMembers = 32
	// maxRefusals is how many refused handshakes end a connection.
	maxRefusals = 8
	// maxPendingFrame and maxPendingFrames bound what a client may send to a
	// namespace until it has said who it is.
	maxPendingFrame  = 8 << 10
	maxPendingFrames = 16
	// closeGrace is how long a client that was disconnected from its last
	// namespace may take to close the connection, as socket.io-client does.
	closeGrace = 5 * time.Second
)

// wires are the connections that have guarded sockets, by their engine.Socket.
// The library's sockets have no room for more than the application's data.
var wires sync.Map

// wire is one connection. Its sockets, one for each namespace, share it, and
// here is the only place where all that goes in and out can be withheld: the
// library's rooms and broadcasts bypass the socket.
type wire struct {
	conn   engine.Socket
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc

	mu         sync.Mutex
	members    map[string]*member // by namespace
	closed     bool
	refusals   int
	timer      *time.Timer
	skipIn     int // binary frames to withhold, of a packet that was
	skipOut    int
	registered sync.Once
}

func wireOf(conn engine.Socket) *wire {
	if w, ok := wires.Load(conn); ok {
		return w.(*wire)
	}
	ctx, cancel := context.WithCancel(context.Background())
	v, _ := wires.LoadOrStore(conn, &wire{conn: conn, ctx: ctx, cancel: cancel, members: make(map[string]*member, 1)})
	w := v.(*wire)
	w.registered.Do(func() {
		_ = conn.On("packet", func(args ...any) {
			if p, ok := args[0].(*packet.Packet); ok {
				w.receive(p)
			}
		})
		_ = conn.On("flush", func(args ...any) {
			if packets, ok := args[0].([]*packet.Packet); ok {
				w.send(packets)
			}
		})
		_ = conn.Once("close", func(...any) { w.close() })
		if conn.ReadyState() == "closed" { // before anybody listened
			w.close()
		}
	})
	return w
}

func memberOf(s *socket.Socket) *member {
	v, ok := wires.Load(s.Conn())
	if !ok {
		return nil
	}
	w := v.(*wire)
	w.mu.Lock()
	defer w.mu.Unlock()
	if m := w.members[s.Nsp().Name()]; m != nil && m.sock == s {
		return m
	}
	return nil
}

// add makes m the socket of its namespace. It reports false if the connection
// is closed, or has too many.
func (w *wire) add(m *member) bool {
	name := m.sock.Nsp().Name()
	w.mu.Lock()
	defer w.mu.Unlock()
	old := w.members[name]
	if w.closed || old == nil && len(w.members) >= maxMembers {
		return false
	}
	w.members[name] = m
	if old != nil {
		// A socket that the application's own middleware refused, or one that
		// was disconnected and has come back.
		old.link.Close(nil)
	}
	return true
}

func (w *wire) remove(m *member) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if name := m.sock.Nsp().Name(); w.members[name] == m {
		delete(w.members, name)
	}
}

// refused counts the handshakes that were.
func (w *wire) refused() {
	w.mu.Lock()
	w.refusals++
	full := w.refusals >= maxRefusals
	w.mu.Unlock()
	if full {
		w.closeSoon()
	}
}

// closeSoon closes the connection after a while, unless a guarded namespace is
// in use then. The client has been told to by a packet that must go out first.
func (w *wire) closeSoon() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.timer != nil {
		return
	}
	w.timer = time.AfterFunc(closeGrace, func() {
		w.mu.Lock()
		w.timer = nil
		idle := true
		for _, m := range w.members {
			idle = idle && !m.sock.Connected()
		}
		w.mu.Unlock()
		if idle {
			w.conn.Close(true)
		}
	})
}

// close is called when the connection is closed, after the library has told
// its sockets.
func (w *wire) close() {
	w.mu.Lock()
	w.closed = true
	members := w.members
	w.members = nil
	if w.timer != nil {
		w.timer.Stop()
	}
	w.mu.Unlock()
	w.cancel()
	wires.Delete(w.conn)
	for _, m := range members {
		m.leave()
		// The library forgets a socket that was being connected meanwhile.
		m.sock.Enqueue(func() { m.sock.Disconnect(false) })
	}
}

// muted reports whether something is to be withheld from a namespace. The
// caller holds w.mu.
func (w *wire) muted() bool {
	for _, m := range w.members {
		if m.pending() || m.over() {
			return true
		}
	}
	return false
}

// receive sees each packet before the library does.
func (w *wire) receive(p *packet.Packet) {
	if p.Type != packet.MESSAGE {
		return
	}
	if m := w.entering(p); m != nil {
		select {
		case <-m.entered:
		case <-w.ctx.Done():
		}
	}
	w.mu.Lock()
	withheld, flooded := w.inbound(p)
	w.mu.Unlock()
	if withheld {
		withhold(p)
	}
	if flooded {
		w.conn.Close(true)
	}
}

// entering returns the socket that a packet is for if its client has been told
// that it is connected, and the library does not know it yet: it tells first,
// and closes the connection of a client that is as fast as to answer meanwhile.
func (w *wire) entering(p *packet.Packet) *member {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.members {
		if !m.entering() {
			continue
		}
		data, text := bytesOf(p)
		if !text {
			return nil // the packet that it belongs to has waited
		}
		if h, ok := parseHead(data, w.conn.Protocol()); ok {
			if m := w.members[h.nsp]; m != nil && m.entering() {
				return m
			}
		}
		return nil
	}
	return nil
}

// inbound judges a packet from the client. The caller holds w.mu.
func (w *wire) inbound(p *packet.Packet) (withheld, flooded bool) {
	if w.skipIn == 0 && !w.muted() {
		for _, m := range w.members {
			m.link.Active()
		}
		return false, false
	}
	data, text := bytesOf(p)
	if !text {
		if w.skipIn > 0 {
			w.skipIn--
			return true, false
		}
		return false, false
	}
	h, ok := parseHead(data, w.conn.Protocol())
	if !ok {
		return false, false // the library closes the connection
	}
	m := w.members[h.nsp]
	if m == nil {
		return false, false
	}
	switch {
	case m.over():
		withheld = h.carries()
	case m.pending():
		m.frames++
		if len(data) > maxPendingFrame || m.frames > maxPendingFrames {
			return true, true
		}
		withheld = h.carries() && h.kind != ackPacket && eventCredential(h.event()) == nil
	default:
		m.link.Active()
	}
	if withheld {
		w.skipIn = h.attachments
	}
	return withheld, false
}

// send sees what is about to be handed to the transport.
func (w *wire) send(packets []*packet.Packet) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.skipOut == 0 && !w.muted() {
		return
	}
	for _, p := range packets {
		if p.Type == packet.MESSAGE && w.outbound(p) {
			withhold(p)
		}
	}
}

// outbound judges a packet to the client. The caller holds w.mu.
func (w *wire) outbound(p *packet.Packet) (withheld bool) {
	data, text := bytesOf(p)
	if !text {
		if w.skipOut > 0 {
			w.skipOut--
			return true
		}
		return false
	}
	h, ok := parseHead(data, 4) // the server's own names, in either protocol
	if !ok {
		return true
	}
	m := w.members[h.nsp]
	if m == nil || !h.carries() {
		return false
	}
	switch {
	case m.over():
		withheld = !h.isEvent(eventDeauthenticated)
	case m.pending():
		withheld = !h.isEvent(eventUnauthorized)
	}
	if withheld {
		w.skipOut = h.attachments
	}
	return withheld
}

// bytesOf returns a message without consuming it, and whether it is text.
func bytesOf(p *packet.Packet) (data []byte, text bool) {
	b, ok := p.Data.(*types.StringBuffer)
	if !ok {
		return nil, false
	}
	return b.Bytes(), true
}

// withhold makes a packet one that says nothing. Its options are shared with
// other receivers of a broadcast.
func withhold(p *packet.Packet) {
	p.Type, p.Data, p.Options = packet.NOOP, nil, &packet.Options{}
}
