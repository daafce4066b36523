package socketcluster

import (
	"context"
	"errors"
	"log/slog"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// maxAsking is how often an authorization is asked for anew because the
// identity changed meanwhile.
const maxAsking = 3

// maxSubscribeData is how many bytes may come with a subscription, for which
// they are kept.
const maxSubscribeData = 4 << 10

// subscribe answers a #subscribe.
func (c *Conn) subscribe(p packet) {
	channel, data, ok := channelOf(p.data)
	if !ok {
		c.fail(p, errChannelName)
		return
	}
	if len(data) > maxSubscribeData {
		c.fail(p, errLongData)
		return
	}
	ctx, cancel := c.asking()
	defer cancel()
	for range maxAsking {
		link := c.current()
		id := identityOf(link)
		if err := c.authorize(ctx, &Request{Conn: c, Action: Subscribe, Channel: channel, Data: data, Identity: id}); err != nil {
			c.fail(p, err)
			return
		}
		s := &subscription{conn: c, channel: channel, data: data, place: -1}
		if id != nil {
			s.link = link
		}
		again, err := c.enter(s, link, id, p)
		switch {
		case again:
			continue
		case err != nil:
			c.fail(p, err)
		}
		return
	}
	c.fail(p, errNotAllowed)
}

// enter makes a subscription that was authorized for an identity. It reports
// again if that is not the client's any more.
func (c *Conn) enter(s *subscription, link *bridge.Link, id *bridge.Identity, p packet) (again bool, err *Error) {
	c.mu.Lock()
	switch {
	case c.over:
		c.mu.Unlock()
		return false, nil
	case c.link != link || (identityOf(link) == nil) != (id == nil):
		c.mu.Unlock()
		return true, nil
	}
	if former := c.subs[s.channel]; former != nil {
		former.link, former.data = s.link, s.data // asked again, and allowed again
		c.pushOK(p)
		c.mu.Unlock()
		return false, nil
	}
	if len(c.subs) >= c.server.opts.MaxChannels {
		c.mu.Unlock()
		return false, errManyChannels
	}
	if c.subs == nil {
		c.subs = map[string]*subscription{}
	}
	c.subs[s.channel] = s
	c.pushOK(p) // before the channel's first message
	c.mu.Unlock()
	c.server.broker.add(s)
	c.mu.Lock()
	gone := s.gone
	c.mu.Unlock()
	if gone { // kicked out, or the connection ended, before it was added
		c.server.broker.remove(s)
	}
	return false, nil
}

// unsubscribe handles an #unsubscribe.
func (c *Conn) unsubscribe(p packet) {
	channel, ok := jsonString(p.data)
	if !ok {
		c.fail(p, errChannelName)
		return
	}
	c.mu.Lock()
	s := c.subs[channel]
	if s != nil {
		s.gone = true
		delete(c.subs, channel)
	}
	c.mu.Unlock()
	if s == nil {
		c.fail(p, errNotSubscribed)
		return
	}
	c.server.broker.remove(s)
	c.answer(p)
}

// publish handles a #publish.
func (c *Conn) publish(p packet) {
	channel, data, ok := channelOf(p.data)
	if !ok {
		c.fail(p, errChannelName)
		return
	}
	ctx, cancel := c.asking()
	defer cancel()
	err := c.authorize(ctx, &Request{Conn: c, Action: Publish, Channel: channel, Data: data, Identity: c.Identity()})
	if err != nil {
		c.fail(p, err)
		return
	}
	if err := c.server.publish(channel, data); err != nil {
		c.fail(p, errInternal)
		return
	}
	c.answer(p)
}

// asking returns the context in which the application is asked.
func (c *Conn) asking() (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.ctx, c.server.opts.AuthorizeTimeout)
}

// authorize asks the application, and returns what the client is told if the
// answer is no.
func (c *Conn) authorize(ctx context.Context, r *Request) *Error {
	f := c.server.opts.Authorize
	if f == nil {
		return errNotAllowed
	}
	_, err := protect(func() (struct{}, error) { return struct{}{}, f(ctx, r) })
	if err == nil {
		return nil
	}
	if shown := (*Error)(nil); errors.As(err, &shown) {
		return shown
	}
	c.server.opts.Logger.LogAttrs(c.ctx, slog.LevelInfo, "socketcluster: not authorized",
		slog.String("action", string(r.Action)), slog.String("channel", r.Channel), slog.String("reason", err.Error()), c.remote())
	return errNotAllowed
}

// bound returns the subscriptions that need an authentication. The caller
// holds c.mu.
func (c *Conn) bound() []*subscription {
	var all []*subscription
	for _, s := range c.subs {
		if s.link != nil {
			all = append(all, s)
		}
	}
	return all
}

// reauthorize asks again about subscriptions that were authorized for another
// identity, and kicks the client out of those that are refused.
func (c *Conn) reauthorize(link *bridge.Link, id *bridge.Identity, bound []*subscription, reason bridge.Code) {
	if len(bound) == 0 {
		return
	}
	ctx, cancel := c.asking()
	defer cancel()
	for _, s := range bound {
		err := errNotAllowed
		if ctx.Err() == nil { // else the time for all of them is over
			err = c.authorize(ctx, &Request{Conn: c, Action: Subscribe, Channel: s.channel, Data: s.data, Identity: id})
		}
		c.mu.Lock()
		switch {
		case s.gone:
		case c.link != link:
			c.mu.Unlock()
			return // whoever has replaced it asks about all of them
		case err != nil:
			c.kick(s, string(reason))
			c.mu.Unlock()
			c.server.broker.remove(s)
			continue
		case id == nil:
			s.link = nil
		default:
			s.link = link
		}
		c.mu.Unlock()
	}
}

// kick ends a subscription from this side. The caller holds c.mu, and removes
// it from the broker.
func (c *Conn) kick(s *subscription, message string) {
	s.gone = true
	delete(c.subs, s.channel)
	c.push(kickOut(s.channel, message))
}

// KickOut ends the client's subscription to a channel; the message is for the
// client. It reports whether there was one.
func (c *Conn) KickOut(channel, message string) bool {
	c.mu.Lock()
	s := c.subs[channel]
	if s != nil {
		c.kick(s, message)
	}
	c.mu.Unlock()
	if s != nil {
		c.server.broker.remove(s)
	}
	return s != nil
}
