package pusher

import (
	"strings"
	"time"
)

// rate counts what happens in a second.
type rate struct {
	began time.Time
	count int
}

// more reports whether one more is within the limit.
func (r *rate) more(limit int) bool {
	if now := time.Now(); now.Sub(r.began) >= time.Second {
		r.began, r.count = now, 0
	}
	r.count++
	return r.count <= limit
}

// clientEvent hands a client's event to the others on its channel.
func (c *conn) clientEvent(f frame) {
	name, p := c.mayTrigger(f)
	if p != nil {
		c.fail("", p)
		return
	}
	c.server.broker.publish(f.channel, clientEvent(f, name), c)
}

// mayTrigger returns what others are told of who sends an event: the member's
// id on a presence channel, else "".
func (c *conn) mayTrigger(f frame) (from string, p *problem) {
	o := &c.server.opts
	switch {
	case !strings.HasPrefix(f.event, clientPrefix):
		return "", errUnknownAction
	case !o.ClientEvents:
		return "", errEventsOff
	case len(f.event) > maxEventName:
		return "", errEventTooLong
	case !c.rate.more(o.ClientEventRate):
		return "", errEventTooMany
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.subs[f.channel]
	switch k := kindOf(f.channel); {
	case s == nil, !s.alive(), k != private && k != presence:
		return "", errEventChannel
	case s.member != nil:
		return s.member.id, nil
	}
	return "", nil
}
