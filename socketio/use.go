package socketio

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/zishang520/socket.io/servers/socket/v3"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// Use lets only those into a namespace who authenticate by b, and ends them
// with their identity. It must come before the namespace's other middleware,
// and is called for each namespace that is to be guarded, with a bridge and
// options of its own if need be; what is true of one namespace is not of
// another. A dynamic namespace's parent guards all of its children.
//
// The server must be served through [Handler], and cannot have connection
// state recovery: the library delivers what a client has missed before anybody
// asks who it is. Options may be nil.
func Use(nsp socket.Namespace, b *bridge.Bridge, opts *Options) error {
	if nsp == nil || b == nil {
		return errors.New("socketio: the namespace or the bridge is nil; was the error of bridge.New checked?")
	}
	o, err := opts.withDefaults()
	if err != nil {
		return err
	}
	if nsp.Server().Opts().ConnectionStateRecovery() != nil {
		return errors.New("socketio: connection state recovery delivers missed packets before anybody is authenticated; create the server without it")
	}
	if nsp.Server().Opts().Parser() != nil {
		return errors.New("socketio: packets of another parser cannot be told apart here; create the server without SetParser")
	}
	if len(nsp.Fns().All()) > 0 {
		return fmt.Errorf("socketio: the namespace %s has middleware already; call Use once, before it", nsp.Name())
	}
	g := &guard{b, o}
	nsp.Use(g.admit)
	return nsp.On("connect", func(args ...any) {
		if s, ok := args[0].(*socket.Socket); ok {
			g.joined(s)
		}
	})
}

// Identity returns who is at the other end, as last learnt; nil if nobody has
// been authenticated, or if the connection is gone. In a handler of disconnect
// it still stands.
func Identity(s *socket.Socket) *bridge.Identity {
	if m := memberOf(s); m != nil {
		return m.link.Identity()
	}
	return nil
}

// Context ends with the socket's identity, with a [*bridge.EndError] as its
// cause, or with the connection, and carries the identity
// ([bridge.FromContext]). For a socket that is not guarded, or whose connection
// is gone, it has ended.
func Context(s *socket.Socket) context.Context {
	if m := memberOf(s); m != nil {
		return m.link.Context()
	}
	return ended
}

var ended = func() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("socketio: the socket is not guarded, or its connection is gone"))
	return ctx
}()

// guard is what Use puts before a namespace.
type guard struct {
	bridge *bridge.Bridge
	opts   Options
}

// admit is the namespace's middleware. It takes as long as authentication does,
// and nothing else is read from the connection meanwhile, so that one
// connection never has two sockets of a namespace under way.
func (g *guard) admit(s *socket.Socket, next func(*socket.ExtendedError)) {
	w := wireOf(s.Conn())
	m, ref := g.judge(w, s)
	if ref != nil {
		w.refused()
		next(connectError(ref))
		return
	}
	m.watch()
	next(nil)
}

var (
	errNotGated = errors.New("the connection did not come through socketio.Handler; serve io.ServeHandler(nil) by it")
	errJSONP    = errors.New("JSONP is polling that any page may read")
	errCrowded  = errors.New("the connection has as many namespaces as it may, or is closing")
	errNoHeader = errors.New("no Authorization header")
)

// judge authenticates a socket, or lets it wait for its message.
func (g *guard) judge(w *wire, s *socket.Socket) (m *member, ref *bridge.Refusal) {
	defer func() {
		// This may be the library's own goroutine, in which nobody would
		// catch the panic of an authenticator.
		if v := recover(); v != nil {
			g.opts.Logger.Error("authenticator panicked", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			if m != nil {
				m.dismiss()
			}
			m, ref = nil, unavailable(fmt.Errorf("panic: %v", v))
		}
	}()
	r := s.Request().Request()
	switch {
	case !gated(r):
		g.opts.Logger.Error("handshake refused", "reason", errNotGated.Error())
		return nil, unavailable(errNotGated)
	case r.URL.Query().Has("j"):
		g.opts.Logger.Info("handshake refused", "reason", errJSONP.Error())
		return nil, &bridge.Refusal{Code: bridge.CodeOriginNotAllowed, Message: "JSONP is not allowed here", Err: errJSONP}
	}
	link, err := g.bridge.Open(r)
	if err != nil {
		return nil, refusal(err)
	}
	m = &member{guard: g, sock: s, wire: w, link: link, entered: make(chan struct{})}
	if !w.add(m) {
		link.Close(errCrowded)
		return nil, unavailable(errCrowded)
	}
	if ref := g.authenticate(m, r); ref != nil {
		m.dismiss()
		return nil, ref
	}
	return m, nil
}

// authenticate judges what the handshake presents.
func (g *guard) authenticate(m *member, r *http.Request) *bridge.Refusal {
	message := credentialOf(m.sock.Handshake().Auth, m.sock.Conn().Protocol())
	switch {
	case g.opts.RequireHeader && r.Header.Get("Authorization") == "":
		return &bridge.Refusal{Code: CodeMissingHeader, Message: "Server requires Authorization Header", Err: errNoHeader}
	case message == nil && g.opts.InsecureQueryToken:
		message = queryToken(r)
	}
	if message == nil && g.opts.TwoRoundTrips {
		if g.opts.Optional {
			return nil
		}
		return refusal(m.link.Wait(g.opts.Timeout))
	}
	return refusal(m.link.Authenticate(m.wire.ctx, message))
}

// joined is called when a socket is connected, before the application's own
// handlers of "connection" are.
func (g *guard) joined(s *socket.Socket) {
	m := memberOf(s)
	if m == nil {
		g.opts.Logger.Error("a socket was let in that nobody has judged")
		s.Disconnect(true)
		return
	}
	m.join()
}
