package jwtmode

import (
	"sync"
	"time"
	"weak"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// usedTickets remembers by which handshake a ticket was used, as the hook asks
// again about the same handshake if the session changed meanwhile. The ticket
// is spent by then.
type usedTickets struct {
	mu    sync.Mutex
	m     map[string]use
	queue []string // in the order of their times
}

type use struct {
	handshake weak.Pointer[bridge.Handshake]
	until     time.Time
}

// usedTTL is longer than a handshake takes.
const usedTTL = time.Minute

func (u *usedTickets) add(key string, h *bridge.Handshake) {
	now := time.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.m == nil {
		u.m = map[string]use{}
	}
	for len(u.queue) > 0 && !now.Before(u.m[u.queue[0]].until) {
		delete(u.m, u.queue[0])
		u.queue = u.queue[1:]
	}
	u.m[key] = use{weak.Make(h), now.Add(usedTTL)}
	u.queue = append(u.queue, key)
}

// by reports whether it is this handshake that used the ticket.
func (u *usedTickets) by(key string, h *bridge.Handshake) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	used, ok := u.m[key]
	return ok && used.handshake == weak.Make(h)
}
