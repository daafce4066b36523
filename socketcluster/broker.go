package socketcluster

import (
	"encoding/json"
	"sync"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// subscription is one client's place in a channel.
type subscription struct {
	conn    *Conn
	channel string

	// Guarded by conn.mu.
	data json.RawMessage // what came with it
	link *bridge.Link    // the authentication that it needs; nil for none
	gone bool            // nothing may be delivered for it any more

	place int // in the channel's list, guarded by broker.mu; -1 if not in it
}

// broker knows the subscribers of each channel. Its lock is taken before that
// of a connection, never inside it.
type broker struct {
	mu       sync.RWMutex
	channels map[string][]*subscription
}

func (b *broker) add(s *subscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.channels == nil {
		b.channels = map[string][]*subscription{}
	}
	s.place = len(b.channels[s.channel])
	b.channels[s.channel] = append(b.channels[s.channel], s)
}

// remove takes a subscription out; nothing happens if it is not in.
func (b *broker) remove(s *subscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.place < 0 {
		return
	}
	all := b.channels[s.channel]
	last := len(all) - 1
	all[s.place] = all[last]
	all[s.place].place = s.place
	all[last] = nil
	s.place = -1
	switch {
	case last == 0:
		delete(b.channels, s.channel)
	case cap(all) > 64 && last < cap(all)/4:
		b.channels[s.channel] = append(make([]*subscription, 0, 2*last), all[:last]...)
	default:
		b.channels[s.channel] = all[:last]
	}
}

// publish puts a frame into the queue of each subscriber. It waits for none.
func (b *broker) publish(channel string, frame []byte) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, s := range b.channels[channel] {
		s.conn.deliver(s, frame)
	}
}

// subscribers returns how many subscribers a channel has.
func (b *broker) subscribers(channel string) int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return len(b.channels[channel])
}
