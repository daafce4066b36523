package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Bus carries messages between the nodes of a service. Implementations are
// safe for concurrent use; stores.NewBus is one over Redis.
type Bus interface {
	// Publish sends a message to all nodes.
	Publish(ctx context.Context, message []byte) error

	// Follow calls receive with each message until ctx ends, and then returns
	// nil; or an error if it cannot go on, after which it is called again.
	Follow(ctx context.Context, receive func(message []byte)) error
}

// Target says whose connections [Bridge.Revoke] ends. Exactly one of User,
// Session and Everybody is set.
type Target struct {
	// User is the user's id, and Via, which may be empty for any, who vouched
	// for it.
	User string `json:"user,omitempty"`
	Via  string `json:"via,omitempty"`

	// Session is a session's key as its store has it: "sess:<id>", say.
	Session string `json:"session,omitempty"`

	// Everybody is every authenticated connection.
	Everybody bool `json:"everybody,omitempty"`
}

func (t Target) validate() error {
	set := 0
	for _, is := range []bool{t.User != "", t.Session != "", t.Everybody} {
		if is {
			set++
		}
	}
	if set != 1 || t.Via != "" && t.User == "" {
		return errors.New(`bridge: a revocation names a user (perhaps with the "via"), or a session, or everybody`)
	}
	return nil
}

// maxTarget bounds a message of the bus.
const maxTarget = 4096

// revocation is a message of the bus.
type revocation struct {
	Target
	ID string `json:"id"` // the node's name and a number: no two are equal
}

// parseTarget reads a message of the bus. A user's id may be a number, as a
// PHP or JavaScript application may hold it.
func parseTarget(message []byte) (t Target, id string, err error) {
	var wire struct {
		ID        string          `json:"id"`
		User      json.RawMessage `json:"user"`
		Via       string          `json:"via"`
		Session   string          `json:"session"`
		Everybody bool            `json:"everybody"`
	}
	if len(message) > maxTarget {
		return Target{}, "", errors.New("bridge: the message is longer than 4096 bytes")
	}
	if json.Unmarshal(message, &wire) != nil {
		return Target{}, "", errors.New("bridge: the message is no JSON object of a revocation") // the cause could quote it
	}
	t = Target{Via: wire.Via, Session: wire.Session, Everybody: wire.Everybody}
	if user := string(wire.User); user != "" && user != "null" {
		t.User = user
		if user[0] == '"' {
			t.User, _ = jsonString(wire.User)
		} else if strings.Trim(strings.TrimPrefix(user, "-"), "0123456789") != "" {
			return Target{}, "", errors.New("bridge: the user is neither a string nor an integer")
		}
		if t.User == "" {
			return Target{}, "", errors.New("bridge: the user is empty")
		}
	}
	return t, wire.ID, t.validate()
}

// matches reports whether an identity is the target's.
func (t Target) matches(id *Identity) bool {
	switch {
	case t.Everybody:
		return true
	case t.User != "":
		return id.User == t.User && (t.Via == "" || id.Via == t.Via)
	}
	return false
}

// Revoke ends the connections of a user, of a session, or everybody's, with
// [CodeRevoked]: on this node at once, and through Options.Bus on the others.
// On an error the others may not know. It says nothing about later handshakes:
// whoever is still logged in to the web application may come back, so end the
// session there first.
func (b *Bridge) Revoke(ctx context.Context, t Target) error {
	if err := t.validate(); err != nil {
		return err
	}
	b.revoke(t)
	if b.opts.Bus == nil {
		return nil
	}
	message, err := json.Marshal(revocation{t, fmt.Sprintf("%s-%d", b.node, b.revocations.Add(1))})
	if err != nil {
		return err
	}
	if len(message) > maxTarget {
		return errors.New("bridge: the target is longer than 4096 bytes")
	}
	if err := b.opts.Bus.Publish(ctx, message); err != nil {
		return fmt.Errorf("bridge: this node's connections are ended, but the other nodes were not told: %w", err)
	}
	return nil
}

// revoke ends the connections of this node.
func (b *Bridge) revoke(t Target) {
	for _, l := range b.index.targeted(t) {
		if id := l.identity.Load(); id != nil && (t.Session != "" || t.matches(id)) {
			l.end(&EndError{Code: CodeRevoked})
		}
	}
}

// targeted returns the lives that may be meant: those of the session, or all.
func (x *index) targeted(t Target) []*life {
	x.mu.Lock()
	defer x.mu.Unlock()
	if t.Session == "" {
		return x.allLocked()
	}
	var all []*life
	for feed := range x.sources {
		name := feed + "/" + t.Session
		entries := x.aliases[name]
		if e := x.entries[name]; e != nil {
			entries = append(entries[:len(entries):len(entries)], e)
		}
		for _, e := range entries {
			x.drop(e)
			all = append(all, e.lives()...)
		}
	}
	return all
}

// busRetry is how soon a bus that failed is followed again.
const busRetry = time.Second

// followBus acts on what other nodes, or an application, publish.
func (b *Bridge) followBus(ctx context.Context) {
	for ctx.Err() == nil {
		err := b.opts.Bus.Follow(ctx, func(message []byte) {
			t, id, err := parseTarget(message)
			if strings.HasPrefix(id, b.node+"-") {
				return // what is meant here has been ended already
			}
			if err != nil {
				b.opts.Logger.LogAttrs(ctx, slog.LevelWarn, "a revocation was not understood", slog.String("reason", err.Error()))
				return
			}
			b.revoke(t)
		})
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errFollowedNoMore
		}
		b.opts.Logger.LogAttrs(ctx, slog.LevelWarn, "revocations may be missed", slog.String("reason", err.Error()))
		select {
		case <-ctx.Done():
		case <-time.After(busRetry):
		}
	}
}

// Connected is an identity with connections here.
type Connected struct {
	*Identity

	// Connections is how many connections and requests have it.
	Connections int

	// Since is when the first of them was authenticated.
	Since time.Time
}

// Sessions returns who is connected to this node, in no order: one element for
// each session, and one for each connection that has none.
func (b *Bridge) Sessions() []Connected {
	var all []Connected
	places := map[string]int{}
	for _, l := range b.index.all() {
		l.mu.Lock()
		id, began, over := l.identity.Load(), b.began.Add(l.began), l.over
		l.mu.Unlock()
		if id == nil || over {
			continue
		}
		place, known := places[id.Key]
		if !known || id.Key == "" {
			places[id.Key] = len(all)
			all = append(all, Connected{id, 1, began})
			continue
		}
		c := &all[place]
		c.Connections++
		if began.Before(c.Since) {
			c.Since = began
		}
	}
	return all
}
