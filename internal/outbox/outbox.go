// Package outbox holds the messages to a WebSocket's peer until they are
// written. Who sends does not wait for the peer; a peer that lets too much wait
// is cut off. A connection has a goroutine that writes only while there is
// something to write.
package outbox

import (
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	// itemCost is what a message that waits is taken to need beyond its bytes.
	itemCost = 128

	// CloseGrace is how long a close frame may take, there and back.
	CloseGrace = 2 * time.Second
)

// Item is one message that waits to be written.
type Item struct {
	Frame []byte // not changed once it has been pushed
	Guard Guard  // has the last word on it; nil: nobody has
	Code  int    // closes the connection, with Frame as the reason; 0: does not
}

// Guard has the last word on a message when it is about to be written, which
// may be long after it was pushed.
type Guard interface {
	// Pass returns the frame to be written in the place of frame. It reports
	// false if there is to be none. The caller holds Queue.Lock.
	Pass(frame []byte) ([]byte, bool)
}

// Queue is what waits for one peer. Its exported fields must not change once it
// is in use. The caller of each method but HangUp must hold Lock.
type Queue struct {
	Lock         sync.Locker // guards the queue, and what its guards look at
	WS           *websocket.Conn
	MaxBytes     int // of what waits, with 128 for each message; a peer that lets more wait is cut off
	WriteTimeout time.Duration
	TooSlow      func() // is told that the peer is cut off, without Lock

	items   []Item
	bytes   int
	writing bool // a goroutine writes
	sealed  bool
}

// Push queues a message. It does nothing once the queue is sealed, which a
// message with a Code also does to it.
func (q *Queue) Push(i Item) {
	if q.sealed {
		return
	}
	q.items = append(q.items, i)
	q.bytes += len(i.Frame) + itemCost
	switch {
	case i.Code != 0:
		q.sealed = true
		time.AfterFunc(CloseGrace, q.HangUp) // whatever blocks the writer
	case q.bytes > q.MaxBytes:
		q.cutOff()
		return
	}
	if !q.writing {
		q.writing = true
		go q.write()
	}
}

// Empty reports whether nothing waits.
func (q *Queue) Empty() bool { return len(q.items) == 0 }

// Sealed reports whether nothing is taken any more.
func (q *Queue) Sealed() bool { return q.sealed }

// Seal lets nothing follow what waits.
func (q *Queue) Seal() { q.sealed = true }

// Clear forgets what waits.
func (q *Queue) Clear() { q.items, q.bytes = nil, 0 }

// HangUp closes the network connection, upon which its reader ends.
func (q *Queue) HangUp() { _ = q.WS.Close() }

// cutOff gives up a peer that does not read.
func (q *Queue) cutOff() {
	q.Seal()
	q.Clear()
	go func() {
		q.TooSlow()
		_ = q.WS.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseTryAgainLater, "too slow"), time.Now().Add(CloseGrace))
		q.HangUp()
	}()
}

// next takes what is to be written now out of the queue.
func (q *Queue) next() (Item, bool) {
	q.Lock.Lock()
	defer q.Lock.Unlock()
	for len(q.items) > 0 {
		i := q.items[0]
		q.items[0] = Item{}
		q.items = q.items[1:]
		q.bytes -= len(i.Frame) + itemCost
		if i.Guard == nil {
			return i, true
		}
		var ok bool
		if i.Frame, ok = i.Guard.Pass(i.Frame); ok {
			return i, true
		}
	}
	q.items, q.writing = nil, false
	return Item{}, false
}

// write writes until the queue is empty.
func (q *Queue) write() {
	for {
		i, ok := q.next()
		if !ok {
			return
		}
		deadline := time.Now().Add(q.WriteTimeout)
		if i.Code != 0 {
			deadline = time.Now().Add(CloseGrace)
			_ = q.WS.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(i.Code, string(i.Frame)), deadline)
			_ = q.WS.SetReadDeadline(deadline) // for the peer's close frame
			continue
		}
		_ = q.WS.SetWriteDeadline(deadline) // only stores it
		if err := q.WS.WriteMessage(websocket.TextMessage, i.Frame); err != nil {
			q.Lock.Lock()
			q.Seal()
			q.Clear()
			q.Lock.Unlock()
			q.HangUp()
		}
	}
}
