package pusher

import "sync"

// subscription is one client's place on a channel.
type subscription struct {
	conn    *conn
	channel string
	member  *member // on a presence channel; else nil

	// Guarded by conn.mu.
	holder *holder // the identity that it was granted to; nil for none of its own
	gone   bool    // nothing may be delivered for it any more

	place int // in the channel's list, guarded by broker.mu; -1 if not in it
}

// channel is one that has subscribers.
type channel struct {
	subs    []*subscription
	members map[string]*present // on a presence channel
}

// broker knows the subscribers of each channel. Its lock is taken before that
// of a connection, never inside it.
type broker struct {
	mu       sync.RWMutex
	channels map[string]*channel
	max      int // members of a presence channel
}

// join takes a subscription in, and tells the client and the other members. It
// reports false if the channel is full.
func (b *broker) join(s *subscription) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	ch := b.channels[s.channel]
	if ch == nil {
		ch = &channel{}
	}
	data, first := []byte("{}"), false
	if s.member != nil {
		p := ch.members[s.member.id]
		if first = p == nil; first && len(ch.members) >= b.max {
			return false
		}
		if ch.members == nil {
			ch.members = map[string]*present{}
		}
		if first {
			p = &present{member: s.member}
			ch.members[s.member.id] = p
		}
		data = roll(ch.members)
	}
	if !s.conn.joined(s, event("pusher_internal:subscription_succeeded", s.channel, data)) {
		if first {
			delete(ch.members, s.member.id)
		}
		return true // gone meanwhile
	}
	if first {
		ch.deliver(s.member.added(s.channel), nil)
	}
	if s.member != nil {
		ch.members[s.member.id].sockets++
	}
	s.place = len(ch.subs)
	ch.subs = append(ch.subs, s)
	b.channels[s.channel] = ch
	return true
}

// leave takes a subscription out; nothing happens if it is not in.
func (b *broker) leave(s *subscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.place < 0 {
		return
	}
	ch := b.channels[s.channel]
	ch.remove(s)
	if len(ch.subs) == 0 {
		delete(b.channels, s.channel)
		return
	}
	if s.member == nil {
		return
	}
	p := ch.members[s.member.id]
	if p.sockets--; p.sockets == 0 {
		delete(ch.members, s.member.id)
		ch.deliver(s.member.removed(s.channel), nil)
	}
}

// remove takes a subscription out of the list.
func (ch *channel) remove(s *subscription) {
	last := len(ch.subs) - 1
	ch.subs[s.place] = ch.subs[last]
	ch.subs[s.place].place = s.place
	ch.subs[last] = nil
	s.place = -1
	if cap(ch.subs) > 64 && last < cap(ch.subs)/4 {
		ch.subs = append(make([]*subscription, 0, 2*last), ch.subs[:last]...)
	} else {
		ch.subs = ch.subs[:last]
	}
}

// deliver puts a frame into the queue of each subscriber but those of one
// connection. It waits for none.
func (ch *channel) deliver(frame []byte, but *conn) {
	for _, s := range ch.subs {
		if s.conn != but {
			s.conn.deliver(s, frame)
		}
	}
}

// publish delivers a frame to a channel.
func (b *broker) publish(name string, frame []byte, but *conn) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if ch := b.channels[name]; ch != nil {
		ch.deliver(frame, but)
	}
}

// subscribers returns how many subscribers a channel has.
func (b *broker) subscribers(name string) int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if ch := b.channels[name]; ch != nil {
		return len(ch.subs)
	}
	return 0
}
