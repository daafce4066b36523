package pusher

// subscribe answers a pusher:subscribe.
func (c *conn) subscribe(f frame) {
	all := content(f.data)
	name, _ := jsonString(all["channel"])
	if kindOf(name) == malformed {
		c.fail("", errChannelName)
		return
	}
	proof, _ := jsonString(all["auth"])
	data, ok := optionalString(all["channel_data"])
	if !ok {
		c.fail(name, errMember)
		return
	}
	s, former, p := c.enter(name, proof, data)
	if former != nil {
		c.server.broker.leave(former)
	}
	if p == nil && s != nil && !c.server.broker.join(s) {
		c.mu.Lock()
		c.cancel(s)
		c.mu.Unlock()
		p = errFull
	}
	if p != nil {
		c.fail(name, p)
	}
}

// enter makes a subscription if the client may have it, in the place of one
// that there is. All are nil if the connection is being closed.
func (c *conn) enter(name, proof string, data *string) (s, former *subscription, p *problem) {
	k := kindOf(name)
	if (k == private || k == presence) && !c.server.signed(proof, channelText(c.id, name, data)) {
		return nil, nil, errSignature
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.queue.Sealed() {
		return nil, nil, nil
	}
	former = c.subs[name]
	if former == nil && len(c.subs) >= c.server.opts.MaxChannels {
		return nil, nil, errManyChannels
	}
	s = &subscription{conn: c, channel: name, place: -1}
	switch k {
	case toUser:
		if c.user == nil || name != userPrefix+c.user.id {
			return nil, nil, errNotSignedIn
		}
		if s.holder = c.user.holder; s.holder != nil {
			s.holder.uses++
		}
	case presence:
		if s.member = c.memberOf(data); s.member == nil {
			return nil, nil, errMember
		}
		fallthrough
	case private:
		if s.holder, p = c.redeem(name, proof); p != nil {
			return nil, nil, p
		}
	}
	if former != nil {
		c.cancel(former)
	}
	c.subs[name] = s
	return s, former, nil
}

// memberOf returns who the client is on a presence channel: the member that
// came with the signature, or else who has signed in. It returns nil if there
// is neither. The caller holds c.mu.
func (c *conn) memberOf(data *string) *member {
	if data == nil {
		if c.user == nil {
			return nil
		}
		return &c.user.member
	}
	m, _ := parseMember(*data, "user_id")
	return m
}

// cancel ends a subscription on the connection's side. The caller holds c.mu,
// and has it leave the broker.
func (c *conn) cancel(s *subscription) {
	if s.gone {
		return
	}
	s.gone = true
	delete(c.subs, s.channel)
	c.release(s.holder)
}

// unsubscribe handles a pusher:unsubscribe, which is not answered.
func (c *conn) unsubscribe(f frame) {
	name, _ := jsonString(content(f.data)["channel"])
	c.mu.Lock()
	s := c.subs[name]
	if s != nil {
		c.cancel(s)
	}
	c.mu.Unlock()
	if s != nil {
		c.server.broker.leave(s)
	}
}
