package socketio

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strconv"
)

// Types of Socket.IO packets, the first byte of each (socket.io-protocol,
// "Packet encoding"). Only those that carry something are withheld.
const (
	eventPacket       = '2'
	ackPacket         = '3'
	binaryEventPacket = '5'
	binaryAckPacket   = '6'
)

// head is the head of a Socket.IO packet, and what follows it:
//
//	<type>[<attachments>-][<namespace>,][<id>][<JSON>]
type head struct {
	kind        byte
	attachments int
	nsp         string
	payload     []byte // from the JSON on
}

// maxAttachments is more than the library sends or accepts.
const maxAttachments = 1 << 10

// parseHead takes a packet apart, as far as is needed to know whose it is. ok
// is false for what is no packet of the default parser.
func parseHead(p []byte, protocol int) (h head, ok bool) {
	if len(p) == 0 || p[0] < '0' || p[0] > '6' {
		return head{}, false
	}
	h.kind, h.nsp, p = p[0], "/", p[1:]
	if h.kind == binaryEventPacket || h.kind == binaryAckPacket {
		digits, rest, found := bytes.Cut(p, []byte("-"))
		n, err := strconv.ParseUint(string(digits), 10, 16)
		if !found || err != nil || n > maxAttachments {
			return head{}, false
		}
		h.attachments, p = int(n), rest
	}
	if len(p) > 0 && p[0] == '/' {
		nsp, rest, _ := bytes.Cut(p, []byte(","))
		h.nsp, p = string(nsp), rest
		if protocol == 3 { // its query follows; the library reads it so
			u, err := url.Parse(h.nsp)
			if err != nil {
				return head{}, false
			}
			h.nsp = u.Path
		}
	}
	h.payload = bytes.TrimLeft(p, "0123456789")
	return h, true
}

// carries reports whether a packet brings something to the application.
func (h head) carries() bool {
	switch h.kind {
	case eventPacket, ackPacket, binaryEventPacket, binaryAckPacket:
		return true
	}
	return false
}

// event returns the packet's event and its arguments, decoded; nil if it is
// none. Like the library, it takes no notice of what follows the JSON.
func (h head) event() []any {
	if h.kind != eventPacket {
		return nil
	}
	var event []any
	if json.NewDecoder(bytes.NewReader(h.payload)).Decode(&event) != nil {
		return nil
	}
	return event
}

// isEvent reports whether the packet is an event of this server that is called
// so.
func (h head) isEvent(name string) bool {
	return h.kind == eventPacket && bytes.HasPrefix(h.payload, []byte(`["`+name+`"`))
}
