package socketcluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/internal/outbox"
)

// call is a procedure that runs.
type call struct {
	mu       sync.Mutex
	answered bool
	after    []func() // what follows the answer
}

type callKey struct{}

// later has f done after the answer. It reports false if that has been sent.
func (c *call) later(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.answered {
		c.after = append(c.after, f)
	}
	return !c.answered
}

// done returns what follows the answer, which has been sent.
func (c *call) done() []func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answered = true
	return c.after
}

// invoke runs the procedure that a client calls.
func (c *Conn) invoke(p packet) {
	c.server.mu.RLock()
	f := c.server.procedures[p.event]
	c.server.mu.RUnlock()
	if f == nil {
		c.fail(p, errUnknownProcedure)
		return
	}
	if c.calls == nil {
		c.calls = make(chan struct{}, c.server.opts.MaxCalls)
	}
	select {
	case c.calls <- struct{}{}:
	case <-c.ctx.Done():
		return
	}
	link := c.current()
	go func() {
		defer func() { <-c.calls }()
		c.run(p, f, link)
	}()
}

// run runs a procedure that was called under an authentication.
func (c *Conn) run(p packet, f Procedure, link *bridge.Link) {
	running := &call{}
	ctx, cancel := context.WithCancelCause(context.WithValue(c.ctx, callKey{}, running))
	defer cancel(nil)
	defer context.AfterFunc(link.Context(), func() {
		if ended(link) {
			cancel(context.Cause(link.Context()))
		}
	})()
	result, err := protect(func() (any, error) { return f(ctx, c, p.data) })
	var frame []byte
	if err == nil {
		frame, err = answer(p.call, result)
	}
	if err != nil {
		shown := (*Error)(nil)
		if !errors.As(err, &shown) {
			shown = errInternal
			c.log("a procedure failed", p.event, err)
		}
		frame = failure(p.call, shown)
	}
	if link.Identity() == nil { // nobody's answers hold in any case
		link = nil
	}
	c.send(outbox.Item{Frame: frame, Guard: during{link, p.call}})
	for _, f := range running.done() {
		f()
	}
}

// receive hands an event to its receiver.
func (c *Conn) receive(p packet) {
	c.server.mu.RLock()
	f := c.server.receivers[p.event]
	c.server.mu.RUnlock()
	if f == nil {
		return
	}
	c.guard(p.event, func() { f(c.ctx, c, p.data) })
}

// guard runs a function of the application's that returns nothing.
func (c *Conn) guard(name string, f func()) {
	_, err := protect(func() (struct{}, error) { f(); return struct{}{}, nil })
	if err != nil {
		c.log("a function failed", name, err)
	}
}

// protect turns a panic of the application's into an error: nobody else would
// catch it.
func protect[T any](f func() (T, error)) (_ T, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return f()
}

// kickOut writes the event that takes a channel from a client.
func kickOut(channel, message string) []byte {
	p, err := event("#kickOut", map[string]string{"channel": channel, "message": message})
	if err != nil {
		panic(err) // strings
	}
	return p
}

// channelOf returns the channel that a packet names, and what it carries.
func channelOf(raw json.RawMessage) (channel string, data json.RawMessage, ok bool) {
	channel, ok = jsonString(member(raw, "channel"))
	return channel, member(raw, "data"), ok && len(channel) <= maxChannelName
}
