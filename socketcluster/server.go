package socketcluster

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// Server serves SocketCluster clients; it is the [http.Handler] of their path,
// /socketcluster/ unless they are told otherwise. It is safe for concurrent
// use. [bridge.Bridge.Shutdown] ends all of its sockets, authenticated or not.
type Server struct {
	bridge   *bridge.Bridge
	opts     Options
	upgrader websocket.Upgrader
	broker   broker
	pending  atomic.Int64

	mu         sync.RWMutex
	procedures map[string]Procedure
	receivers  map[string]Receiver
}

// Procedure answers a client's call (socket.invoke). What it returns is sent
// as JSON. The client is told what an [*Error] says; any other error is
// logged, and the client learns only that there was one.
//
// Procedures of one client may run at once. The context ends with the
// connection, and when the identity that the call began with ends from this
// side; then the answer is not sent either. It has the values of the upgrade
// request's context; who calls is Conn.Identity. A nil data is an absent one.
type Procedure func(ctx context.Context, c *Conn, data json.RawMessage) (any, error)

// Receiver takes what a client sends without waiting for an answer
// (socket.transmit). Those of one client are called one after the other, in
// the order sent, and nothing more is read from it meanwhile.
type Receiver func(ctx context.Context, c *Conn, data json.RawMessage)

// New returns a server over a bridge. Options may be nil. It refuses options
// that make no sense, and says what to write instead.
func New(b *bridge.Bridge, opts *Options) (*Server, error) {
	if b == nil {
		return nil, errors.New("socketcluster: the bridge is nil; was the error of bridge.New checked?")
	}
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Server{
		bridge: b,
		opts:   o,
		upgrader: websocket.Upgrader{
			// The bridge has judged the origin. Small buffers, and write
			// buffers only while something is written: an idle connection is
			// cheap.
			CheckOrigin:      func(*http.Request) bool { return true },
			HandshakeTimeout: o.WriteTimeout,
			ReadBufferSize:   256,
			WriteBufferSize:  1024,
			WriteBufferPool:  &sync.Pool{},
		},
		procedures: map[string]Procedure{},
		receivers:  map[string]Receiver{},
	}, nil
}

// Handle registers the procedure that answers calls of that name. It panics if
// the name is empty or begins with # (the protocol's own), if it is taken, or
// if f is nil, as [http.Handle] does.
func (s *Server) Handle(name string, f Procedure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.procedures[name] != nil || f == nil {
		panic("socketcluster: two procedures are named " + strconv.Quote(name) + ", or it is nil")
	}
	s.procedures[ownName(name)] = f
}

// Receive registers what takes transmitted events of that name. It panics as
// Handle does.
func (s *Server) Receive(name string, f Receiver) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.receivers[name] != nil || f == nil {
		panic("socketcluster: two receivers are named " + strconv.Quote(name) + ", or it is nil")
	}
	s.receivers[ownName(name)] = f
}

func ownName(name string) string {
	if name == "" || strings.HasPrefix(name, "#") {
		panic("socketcluster: " + strconv.Quote(name) + " is not a name for events of an application; names with # are the protocol's")
	}
	return name
}

// Publish sends data, as JSON, to the clients that are subscribed to a channel
// on this process. It returns once each has it in its queue; see
// Options.MaxQueue. The error is that of the encoding.
func (s *Server) Publish(channel string, data any) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return err
	}
	return s.publish(channel, raw)
}

func (s *Server) publish(channel string, data json.RawMessage) error {
	frame, err := publication(channel, data)
	if err == nil {
		s.broker.publish(channel, frame)
	}
	return err
}

// Subscribers returns how many clients are subscribed to a channel.
func (s *Server) Subscribers(channel string) int { return s.broker.subscribers(channel) }

// ServeHTTP upgrades the connection and returns; the socket lives on.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !websocket.IsWebSocketUpgrade(r) {
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		http.Error(w, "this is a WebSocket: connect with a SocketCluster client", http.StatusUpgradeRequired)
		return
	}
	if s.pending.Add(1) > int64(s.opts.MaxPending) {
		s.pending.Add(-1)
		s.opts.Logger.LogAttrs(r.Context(), slog.LevelWarn, "socketcluster: as many sockets as MaxPending allows wait for their handshake", slog.String("remote", r.RemoteAddr))
		refuse(w, &bridge.Refusal{Code: bridge.CodeUnavailable, Message: "try again later"})
		return
	}
	link, err := s.bridge.Open(r)
	if err != nil {
		s.pending.Add(-1)
		refuse(w, refusal(err)) // logged by the bridge
		return
	}
	ws, err := s.upgrader.Upgrade(w, r, nil)
	if err != nil {
		s.pending.Add(-1)
		link.Close(err)
		return
	}
	newConn(s, ws, link).start()
}

// retryAfter is how many seconds a client that is told to come back waits.
const retryAfter = "5"

// refuse answers a request that is not upgraded.
func refuse(w http.ResponseWriter, ref *bridge.Refusal) {
	status := ref.Code.Status()
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, ref.Message, status)
}
