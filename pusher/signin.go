package pusher

// user is who has signed in on a socket.
type user struct {
	member
	holder *holder // nil if it is the socket's own identity, or nothing limits it
}

// signin answers a pusher:signin. One that fails closes the socket, as Pusher
// does.
func (c *conn) signin(f frame) {
	all := content(f.data)
	proof, _ := jsonString(all["auth"])
	data, _ := jsonString(all["user_data"])
	if p := c.signIn(proof, data); p != nil {
		c.close(p.code, p.message)
	}
}

func (c *conn) signIn(proof, data string) *problem {
	if !c.server.signed(proof, userText(c.id, data)) {
		return errSignature
	}
	m, ok := parseMember(data, "id")
	if !ok {
		return errUser
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.queue.Sealed() {
		return nil
	}
	if c.user != nil && c.user.id != m.id {
		return errOtherUser
	}
	h, p := c.redeem(signin, proof)
	if p != nil {
		return p
	}
	if former := c.user; former != nil {
		c.transfer(former.holder, h)
		c.release(former.holder)
	}
	c.user = &user{*m, h}
	c.push(signinSuccess(data))
	return nil
}

// transfer has the user's channel depend on a new sign-in. The caller holds
// c.mu.
func (c *conn) transfer(from, to *holder) {
	s := c.subs[userPrefix+c.user.id]
	if s == nil {
		return
	}
	if to != nil {
		to.uses++
	}
	s.holder = to
	c.release(from)
}
