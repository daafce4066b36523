package socketio

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/zishang520/socket.io/parsers/socket/v3/parser"
	"github.com/zishang520/socket.io/servers/engine/v3/transports"
	"github.com/zishang520/socket.io/servers/socket/v3"

	"github.com/sessionbridge/sessionbridge/bridge"
)

const (
	eventAuthenticated   = "authenticated"
	eventUnauthorized    = "unauthorized"
	eventDeauthenticated = "deauthenticated"
	eventExpiring        = "expiring"

	// maxFailures is how many failed attempts in all a socket may make, whose
	// acknowledgements the library waits for.
	maxFailures = 32
)

// member is one socket of a guarded namespace.
type member struct {
	guard *guard
	sock  *socket.Socket
	wire  *wire
	link  *bridge.Link

	entered chan struct{} // closed once the library has connected the socket

	frames int // received while pending; guarded by wire.mu

	failed, failures int // attempts, in a row and in all; used by the socket's queue only

	mu     sync.Mutex
	joined bool             // is connected, as far as the library goes
	ended  *bridge.EndError // from this side
	timer  *time.Timer      // of Options.CloseAfter
	left   bool
}

// watch follows the socket and its identity from here on.
func (m *member) watch() {
	m.sock.Use(m.receive)
	_ = m.sock.On("disconnect", func(...any) { m.leave() })
	m.link.OnEnd(m.end)
	m.link.OnExpiring(func(id *bridge.Identity) {
		_ = m.sock.Emit(eventExpiring, map[string]any{"expires": id.Expires.UTC().Format(time.RFC3339)})
	})
}

// dismiss forgets a socket that was refused.
func (m *member) dismiss() {
	m.wire.remove(m)
	m.link.Close(nil)
}

// over reports whether the identity was ended from this side, or the waiting
// for it. What an application sends before it disconnects a socket by itself
// still goes out.
func (m *member) over() bool {
	ctx := m.link.Context()
	return ctx.Err() != nil && errors.As(context.Cause(ctx), new(*bridge.EndError))
}

// pending reports whether it must be known first who this is.
func (m *member) pending() bool {
	return !m.guard.opts.Optional && m.link.Identity() == nil
}

// entering reports whether the library is about to connect the socket.
func (m *member) entering() bool {
	select {
	case <-m.entered:
		return false
	default:
		return m.sock.Connected()
	}
}

// join is called once the socket is connected.
func (m *member) join() {
	close(m.entered)
	m.mu.Lock()
	m.joined = true
	e := m.ended
	m.mu.Unlock()
	switch {
	case e != nil:
		m.farewell(e)
	case m.link.Identity() != nil && m.link.Context().Err() == nil:
		m.known()
	}
}

// known tells the application that the identity stands.
func (m *member) known() {
	if f := m.guard.opts.Authenticated; f != nil {
		f(m.sock)
	}
}

// leave is called when the socket is disconnected, whoever did it. Its
// identity stays to be seen by the application's handlers of that.
func (m *member) leave() {
	m.mu.Lock()
	m.left = true
	if m.timer != nil {
		m.timer.Stop()
	}
	m.mu.Unlock()
	m.link.Close(nil)
}

// end is called when the identity ends, or the time to show one. A socket that
// is not connected yet must be first, or the library would connect it later.
func (m *member) end(e *bridge.EndError) {
	m.mu.Lock()
	m.ended = e
	joined := m.joined
	m.mu.Unlock()
	if joined {
		m.farewell(e)
	}
}

// farewell tells the client that it is over, and why if it was somebody.
func (m *member) farewell(e *bridge.EndError) {
	data := map[string]any{"code": string(e.Code)}
	told := m.link.Identity() != nil
	switch e.Code {
	case bridge.CodeDraining, bridge.CodeUnavailable:
		// The client is to come back: it does so if the transport is closed.
		if told {
			m.sendLast(data)
		} else {
			m.wire.conn.Close(true)
		}
	default:
		if told {
			_ = m.sock.Emit(eventDeauthenticated, data)
		}
		m.disconnect()
	}
}

// sendLast sends the event deauthenticated, and closes the transport when that
// is written. The library's own way to do so closes it before.
func (m *member) sendLast(data map[string]any) {
	nsp := m.sock.Nsp()
	frames := nsp.Server().Encoder().Encode(&parser.Packet{
		Type: parser.EVENT, Nsp: nsp.Name(), Data: []any{eventDeauthenticated, data},
	})
	hangUp := sync.OnceFunc(func() {
		// The library's orderly close waits 30 s for a client that polls and
		// then tells it nothing.
		m.wire.conn.Close(true)
	})
	m.wire.conn.Write(frames[0], nil, func(transports.Transport) { go hangUp() })
	time.AfterFunc(closeGrace, hangUp)
}

// disconnect takes the socket out of its namespace.
func (m *member) disconnect() {
	m.sock.Disconnect(false)
	m.wire.closeSoon()
}

// receive sees each event before the application's handlers do.
func (m *member) receive(event []any, next func(error)) {
	if m.link.Context().Err() != nil {
		return
	}
	if credential := eventCredential(event); credential != nil {
		m.authenticate(credential)
		return
	}
	if !m.pending() {
		next(nil)
	}
}

// authenticate judges a credential from a message, and answers it.
func (m *member) authenticate(credential *bridge.Message) {
	known := m.link.Identity() != nil
	ref := m.ask(credential)
	if ref == nil {
		m.failed = 0
		if !known {
			m.known()
		}
		_ = m.sock.Emit(eventAuthenticated)
		return
	}
	if m.link.Context().Err() != nil {
		return // ended by it: another user's
	}
	m.failed++
	m.failures++
	_ = m.sock.Emit(eventUnauthorized, unauthorized(ref), socket.Ack(func([]any, error) { m.disconnect() }))
	o := m.guard.opts
	switch {
	case m.failed >= o.MaxAttempts, m.failures >= maxFailures, !known && o.CloseAfter < 0:
		m.disconnect()
	case !known && o.CloseAfter > 0:
		m.closeAfter(o.CloseAfter)
	}
}

func (m *member) ask(credential *bridge.Message) (ref *bridge.Refusal) {
	defer func() {
		if v := recover(); v != nil {
			m.guard.opts.Logger.Error("authenticator panicked")
			ref = unavailable(errors.New("the authenticator panicked"))
		}
	}()
	return refusal(m.link.Authenticate(m.wire.ctx, credential))
}

func (m *member) closeAfter(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left || m.timer != nil {
		return
	}
	m.timer = time.AfterFunc(d, func() {
		if m.link.Identity() == nil {
			m.disconnect()
		}
	})
}
