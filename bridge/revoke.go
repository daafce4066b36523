package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
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
	if !utf8.ValidString(t.User + t.Via + t.Session) {
		return errors.New("bridge: a revocation must be UTF-8, or other nodes would understand it otherwise")
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

// targets are several, as one look at all connections is enough for them.
type targets struct {
	everybody bool
	users     map[[2]string]struct{} // user and via, "" for any
	keys      map[string]struct{}    // of sessions, as in [Identity.Key]
}

// match reports whether an identity is among them.
func (t *targets) match(id *Identity) bool {
	if t.everybody {
		return true
	}
	if _, ok := t.keys[id.Key]; ok {
		return true
	}
	if _, ok := t.users[[2]string{id.User, ""}]; ok {
		return true
	}
	_, ok := t.users[[2]string{id.User, id.Via}]
	return ok
}

// maxTargets bounds what a connection remembers, and what waits.
const maxTargets = 1024

// add adds others; too many are everybody.
func (t *targets) add(other *targets) {
	t.everybody = t.everybody || other.everybody
	for u := range other.users {
		t.users = put(t.users, u)
	}
	for k := range other.keys {
		t.keys = put(t.keys, k)
	}
	if len(t.users)+len(t.keys) > maxTargets {
		*t = targets{everybody: true}
	}
}

func put[K comparable](m map[K]struct{}, k K) map[K]struct{} {
	if m == nil {
		m = map[K]struct{}{}
	}
	m[k] = struct{}{}
	return m
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

// revoke ends the connections of this node, and has those that are being
// authenticated judged anew.
func (b *Bridge) revoke(all ...Target) {
	var t targets
	for _, one := range all {
		switch {
		case one.Everybody:
			t.everybody = true
		case one.User != "":
			t.users = put(t.users, [2]string{one.User, one.Via})
		default:
			for _, key := range b.index.sessionKeys(one.Session) {
				t.keys = put(t.keys, key)
			}
		}
	}
	for _, l := range b.index.all() {
		if l.revoke(&t) {
			l.end(&EndError{Code: CodeRevoked})
		}
	}
}

// revoke reports whether the life is among the targets.
func (l *life) revoke(t *targets) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.judging {
		if l.revoked == nil {
			l.revoked = &targets{}
		}
		l.revoked.add(t)
	}
	id := l.identity.Load()
	return id != nil && t.match(id)
}

// sessionKeys returns the keys in memory that a session may have: it is called
// by its key in its store, and there may be several stores. What was read of it
// is forgotten.
func (x *index) sessionKeys(session string) []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	keys := []string{session}
	take := func(e *entry) {
		keys = append(keys, e.key)
		x.drop(e)
		if e.flight != nil {
			e.flight.void = true
		}
		for m := e.members; m != nil; m = m.next {
			m.dirty = true
		}
		x.tidy(e)
	}
	for feed := range x.sources {
		name := feed + "/" + session
		for _, e := range slices.Clone(x.aliases[name]) {
			take(e)
		}
		if e := x.entries[name]; e != nil {
			take(e)
		}
	}
	// What a store without a feed calls itself is not known.
	for key, e := range x.entries {
		if e.source == nil && strings.HasSuffix(key, "/"+session) {
			take(e)
		}
	}
	return keys
}

// busRetry is how soon a bus that failed is followed again.
const busRetry = time.Second

// followBus acts on what other nodes, or an application, publish.
func (b *Bridge) followBus(ctx context.Context) {
	waiting := &revocations{b: b}
	b.followers.Go(func() { waiting.act(ctx) })
	for ctx.Err() == nil {
		err := b.opts.Bus.Follow(ctx, waiting.receive)
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

// revocations are what the bus has brought and nobody has acted on yet. Many
// that come at once take no longer than one.
type revocations struct {
	b *Bridge

	mu      sync.Mutex
	waiting []Target
	arrived chan struct{} // made by whoever waits
}

// receive takes a message of the bus. If too many wait, it waits itself.
func (w *revocations) receive(message []byte) {
	b := w.b
	t, id, err := parseTarget(message)
	if strings.HasPrefix(id, b.node+"-") {
		return // what is meant here has been ended already
	}
	if err != nil {
		b.opts.Logger.LogAttrs(b.ctx, slog.LevelWarn, "a revocation was not understood", slog.String("reason", err.Error()))
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) >= maxTargets {
		b.revoke(w.waiting...)
		w.waiting = nil
	}
	w.waiting = append(w.waiting, t)
	if w.arrived != nil {
		close(w.arrived)
		w.arrived = nil
	}
}

// act ends the connections that are meant, until ctx ends.
func (w *revocations) act(ctx context.Context) {
	for {
		w.mu.Lock()
		all := w.waiting
		w.waiting = nil
		arrived := make(chan struct{})
		if len(all) == 0 {
			w.arrived = arrived
		} else {
			close(arrived)
		}
		w.mu.Unlock()
		if len(all) > 0 {
			w.b.revoke(all...)
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return
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
		id, began, over := l.identity.Load(), b.began.Add(l.began), l.over.Load()
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
