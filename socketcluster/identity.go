package socketcluster

import (
	"net"

	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// become authenticates the client by a message, beside its present
// authentication, and puts the new one in that one's place. It returns the
// link that stands for the client then. The caller holds c.changing.
func (c *Conn) become(m *bridge.Message) (*bridge.Link, *bridge.Refusal) {
	old := c.current()
	link, former := old, identityOf(old)
	if former != nil || old.Context().Err() != nil {
		fresh, err := c.server.bridge.Open(old.Request())
		if err != nil {
			return nil, refusal(err)
		}
		link = fresh
	}
	if ref := c.ask(link, m); ref != nil {
		if link != old {
			link.Close(nil)
		}
		return nil, ref
	}
	present := link.Identity()
	expires := present.Expires
	if link != old && c.server.opts.Issuer != nil && isSession(former) && !isSession(present) && former.User == present.User && identityOf(old) != nil {
		// A token of one's own must not loosen the tie to one's session.
		link.Close(nil)
		link, present = old, former
	}
	for link != old && !c.replace(old, link, present, bridge.CodeUserChanged) {
		over := false
		c.mu.Lock()
		old, over = c.link, c.over // the former one has ended meanwhile
		c.mu.Unlock()
		if over {
			link.Close(nil)
			return nil, refusal(net.ErrClosed)
		}
	}
	c.mu.Lock()
	if c.standing(link) != nil {
		c.token.stop()
		c.token = token{text: m.Token}
	}
	c.mu.Unlock()
	c.report()
	c.renewLater(link, expires)
	return link, nil
}

func isSession(id *bridge.Identity) bool { return id != nil && id.Claims == nil && id.Session != nil }

// replace puts a link in another's place and has the channels judged anew. It
// reports false if the other is not the present one any more, or if the
// connection is over.
func (c *Conn) replace(old, fresh *bridge.Link, present *bridge.Identity, reason bridge.Code) bool {
	former := old.Identity()
	same := former != nil && present != nil && former.User == present.User && former.Via == present.Via
	c.mu.Lock()
	if c.link != old || c.over {
		c.mu.Unlock()
		return false
	}
	c.link = fresh
	var bound []*subscription
	for _, s := range c.subs {
		if s.link == nil {
			continue
		}
		if same {
			s.link = fresh // it goes on meanwhile
		}
		bound = append(bound, s)
	}
	c.mu.Unlock()
	old.Close(nil)
	fresh.OnEnd(func(e *bridge.EndError) { c.ended(fresh, e) })
	c.reauthorize(fresh, present, bound, reason)
	return true
}

// drop makes the client nobody, if link is its authentication still. A silent
// one is not told: it knows.
func (c *Conn) drop(link *bridge.Link, reason bridge.Code, silent bool) {
	former := link.Identity()
	if former == nil {
		return
	}
	fresh, err := c.server.bridge.Open(link.Request())
	if err != nil {
		c.Close(websocket.CloseGoingAway, string(refusal(err).Code))
		link.Close(err)
		return
	}
	c.mu.Lock()
	mine := c.link == link && !c.over
	if mine {
		c.token.stop()
		c.token = token{}
		if !silent {
			c.pushAuth(removeAuthToken)
		} else {
			c.told.held = nil
		}
	}
	c.mu.Unlock()
	if !mine || !c.replace(link, fresh, nil, reason) {
		fresh.Close(nil)
		return
	}
	c.report()
}

// ended is called when an authentication ended from this side.
func (c *Conn) ended(link *bridge.Link, e *bridge.EndError) {
	switch e.Code {
	case bridge.CodeDraining:
		c.Close(websocket.CloseGoingAway, string(e.Code))
	case bridge.CodeUnavailable:
		// Whether it holds could not be found out: the client keeps its token
		// and comes back.
		c.Close(websocket.CloseTryAgainLater, string(e.Code))
	default:
		if c.current() != link {
			return
		}
		c.drop(link, e.Code, false)
		if c.server.opts.CloseOnEnd {
			c.Close(CloseUnauthorized, string(e.Code))
		}
	}
}

// report tells the application who is at the other end, if that is somebody
// else than it was told last.
func (c *Conn) report() {
	f := c.server.opts.OnAuthState
	if f == nil {
		return
	}
	c.reporting.Lock()
	defer c.reporting.Unlock()
	if present := c.Identity(); present != c.reported {
		former := c.reported
		c.reported = present
		c.guard("OnAuthState", func() { f(c, former, present) })
	}
}
