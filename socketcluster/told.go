package socketcluster

// told is what the client has been told of its authentication, and has
// confirmed. It is guarded by Conn.mu.
//
// A client handles the answer to #handshake or #authenticate in a later turn
// of its event loop than an event that came in the same segment: an event sent
// right behind the answer would be undone by it. So what is to follow the
// answer waits for a pong to a ping that followed it.
type told struct {
	pings, pongs uint64
	answered     uint64 // pings that had been sent when the last answer was
	waiting      bool   // an answer has been sent that no pong has confirmed
	held         []byte // the last event that waits for that
}

var (
	removeAuthToken = mustEvent("#removeAuthToken", nil)
	noToken         = mustEvent("#setAuthToken", map[string]string{"token": ""})
)

func mustEvent(name string, data any) []byte {
	p, err := event(name, data)
	if err != nil {
		panic(err) // constants
	}
	return p
}

// setAuthToken writes the event that gives a client a token. One without a
// token makes it authenticated all the same, and its store hold nothing.
func setAuthToken(text string) []byte {
	if text == "" {
		return noToken
	}
	return mustEvent("#setAuthToken", map[string]string{"token": text})
}

// answerAuth answers a #handshake or an #authenticate. The caller holds c.mu.
func (c *Conn) answerAuth(p packet, data any) {
	frame, err := answer(p.call, data)
	if err != nil {
		frame = failure(p.call, errInternal)
	}
	c.pushUnsettling(frame)
}

// pushUnsettling sends an answer that changes what the client takes itself
// for. The caller holds c.mu.
func (c *Conn) pushUnsettling(frame []byte) {
	c.told.answered, c.told.waiting, c.told.held = c.told.pings, true, nil
	c.push(frame)
}

// pushAuth sends an event about the client's authentication, once the client
// has settled. The caller holds c.mu.
func (c *Conn) pushAuth(frame []byte) {
	if c.told.waiting {
		if c.told.pings == c.told.answered {
			c.pushPing()
		}
		c.told.held = frame
		return
	}
	c.push(frame)
}

// pushPing pings the client. The caller holds c.mu.
func (c *Conn) pushPing() {
	if c.queue.Sealed() {
		return
	}
	c.told.pings++
	c.push([]byte{})
}

// ponged takes a pong.
func (c *Conn) ponged() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.told.pongs == c.told.pings {
		return // nobody asked for it
	}
	c.told.pongs++
	if !c.told.waiting || c.told.pongs <= c.told.answered {
		return
	}
	c.told.waiting = false
	if held := c.told.held; held != nil {
		c.told.held = nil
		c.push(held)
	}
}
