package pusher

import (
	"crypto/subtle"
	"errors"
	"slices"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// holder is an identity that channels of a socket were granted to. One stands
// for all grants under the same session. It is guarded by conn.mu.
type holder struct {
	link *bridge.Link
	uses int // grants, subscriptions and sign-ins that need it
}

func (h *holder) alive() bool { return h.link.Context().Err() == nil }

// grant is what a socket may do once, with the proof that its client was given.
type grant struct {
	proof  string
	holder *holder // nil if it is granted to the socket's own identity
	timer  *time.Timer
}

// signin is the name that a grant to sign in has; no channel has it.
const signin = ""

var (
	errSocketGone = errors.New("the socket is gone")
	errManyGrants = errors.New("as many grants as MaxChannels allows wait for the socket's subscriptions")
)

// grant lets the client subscribe to a channel, or sign in, with a proof, as
// long as the identity of a link lasts. On success the link is the
// connection's.
func (c *conn) grant(name, proof string, l *bridge.Link) error {
	c.mu.Lock()
	former := c.grants[name]
	switch {
	case c.queue.Sealed():
		c.mu.Unlock()
		return errSocketGone
	case former != nil:
		c.drop(name, former)
	case len(c.grants) >= c.server.opts.MaxChannels:
		c.mu.Unlock()
		return errManyGrants
	}
	h, adopted := c.hold(l)
	g := &grant{proof: proof, holder: h}
	g.timer = time.AfterFunc(c.server.opts.GrantTimeout, func() { c.expire(name, g) })
	if c.grants == nil {
		c.grants = map[string]*grant{}
	}
	c.grants[name] = g
	c.mu.Unlock()
	if adopted {
		l.OnEnd(func(e *bridge.EndError) { c.holderEnded(h, e) })
	} else {
		l.Close(nil)
	}
	return nil
}

// hold returns what stands for a link's identity: a new holder, which has
// adopted the link, one that is there, or nil if the identity is the socket's
// own, whose end is the socket's. The caller holds c.mu.
func (c *conn) hold(l *bridge.Link) (h *holder, adopted bool) {
	id := l.Identity()
	if own := c.own.Identity(); own != nil && sameSession(own, id) {
		return nil, false
	}
	for _, h := range c.holders {
		if h.alive() && sameSession(h.link.Identity(), id) {
			h.uses++
			return h, false
		}
	}
	h = &holder{link: l, uses: 1}
	c.holders = append(c.holders, h)
	return h, true
}

// sameSession reports whether two identities end together: those of tokens,
// which have an end of their own, do not.
func sameSession(a, b *bridge.Identity) bool {
	return a.Key != "" && a.Key == b.Key && a.User == b.User && a.Via == b.Via && a.Claims == nil && b.Claims == nil
}

// release gives a use of a holder back. The caller holds c.mu.
func (c *conn) release(h *holder) {
	if h == nil {
		return
	}
	if h.uses--; h.uses == 0 {
		c.holders = slices.DeleteFunc(c.holders, func(other *holder) bool { return other == h })
		h.link.Close(nil)
	}
}

// drop takes a grant back. The caller holds c.mu.
func (c *conn) drop(name string, g *grant) {
	delete(c.grants, name)
	g.timer.Stop()
	c.release(g.holder)
}

func (c *conn) expire(name string, g *grant) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.grants[name] == g {
		c.drop(name, g)
	}
}

// redeem returns what a proof, whose signature holds, is good for: the holder
// of what was granted, a use of which is the caller's, or nil if nothing but
// the socket's own life limits it. The caller holds c.mu.
func (c *conn) redeem(name, proof string) (*holder, *problem) {
	g := c.grants[name]
	if g != nil && subtle.ConstantTimeCompare([]byte(g.proof), []byte(proof)) == 1 {
		if g.holder != nil && !g.holder.alive() {
			c.drop(name, g)
			return nil, errNotGranted
		}
		delete(c.grants, name)
		g.timer.Stop()
		return g.holder, nil
	}
	o := &c.server.opts
	if o.InsecureUnlinkedSignatures || o.AcceptSignatures && c.own.Identity() != nil {
		return nil, nil
	}
	return nil, errNotGranted
}

// holderEnded takes from the client what was granted to an identity that has
// ended from this side.
func (c *conn) holderEnded(h *holder, e *bridge.EndError) {
	c.mu.Lock()
	if e.Code == bridge.CodeDraining || c.user != nil && c.user.holder == h {
		c.mu.Unlock()
		c.close(closeCode(e.Code), string(e.Code))
		return
	}
	for name, g := range c.grants {
		if g.holder == h {
			c.drop(name, g)
		}
	}
	var lost []*subscription
	for name, s := range c.subs {
		if s.holder == h {
			lost = append(lost, s)
			s.gone = true
			delete(c.subs, name)
			c.release(h)
		}
	}
	if len(lost) > 0 {
		p := &problem{closeCode(e.Code), "AuthError", string(e.Code)}
		c.push(errorEvent(p.code, p.message))
		for _, s := range lost {
			c.push(subscriptionError(s.channel, p))
		}
	}
	c.mu.Unlock()
	for _, s := range lost {
		c.server.broker.leave(s)
	}
}
