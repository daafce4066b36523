package pusher

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/internal/outbox"
)

const (
	// protocol is the version that is spoken here.
	protocol = 7
	// maxRefusing bounds the sockets that are open only to be told why they
	// are closed; one more is refused without a word.
	maxRefusing = 256
)

// Server serves Pusher clients; it is the [http.Handler] of their path,
// /app/{key}, with whatever their option wsPath puts before it. It is safe for
// concurrent use. [bridge.Bridge.Shutdown] ends all of its sockets,
// authenticated or not.
type Server struct {
	bridge   *bridge.Bridge
	opts     Options
	upgrader websocket.Upgrader
	broker   broker
	open     atomic.Int64
	refusing atomic.Int64

	mu    sync.RWMutex
	conns map[string]*conn
}

// New returns a server over a bridge. It refuses options that are unsafe or
// make no sense, and says what to write instead.
func New(b *bridge.Bridge, opts *Options) (*Server, error) {
	if b == nil {
		return nil, errors.New("pusher: the bridge is nil; was the error of bridge.New checked?")
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
		broker: broker{channels: map[string]*channel{}, max: o.MaxMembers},
		conns:  map[string]*conn{},
	}, nil
}

// ServeHTTP upgrades the connection and returns; the socket lives on. A client
// that is refused is upgraded too, as it is only told by a message why.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !websocket.IsWebSocketUpgrade(r) {
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		http.Error(w, "this is a WebSocket: connect with a Pusher client", http.StatusUpgradeRequired)
		return
	}
	if p := s.checkAddress(r); p != nil {
		s.turnAway(w, r, p)
		return
	}
	if n := s.open.Add(1); s.opts.MaxConnections > 0 && n > int64(s.opts.MaxConnections) {
		s.open.Add(-1)
		s.opts.Logger.LogAttrs(r.Context(), slog.LevelWarn, "pusher: as many sockets as MaxConnections allows are open", slog.String("remote", r.RemoteAddr))
		s.turnAway(w, r, &problem{code: CodeTryLater, message: "over capacity"})
		return
	}
	link, err := s.identify(r)
	if err != nil { // logged by the bridge
		s.open.Add(-1)
		s.turnAway(w, r, refused(refusal(err)))
		return
	}
	ws, err := s.upgrader.Upgrade(w, r, nil)
	if err != nil {
		s.open.Add(-1)
		link.Close(err)
		return
	}
	c := newConn(s, ws, link)
	s.mu.Lock()
	s.conns[c.id] = c
	s.mu.Unlock()
	c.start()
}

// identify opens the life of a socket and authenticates it if the request
// carries a credential.
func (s *Server) identify(r *http.Request) (*bridge.Link, error) {
	link, err := s.bridge.Open(r)
	if err != nil {
		return nil, err
	}
	err = link.Authenticate(r.Context(), nil)
	if err != nil && !errors.Is(err, bridge.ErrNoCredential) {
		link.Close(err)
		return nil, err
	}
	return link, nil
}

// checkAddress checks the path and the protocol's version.
func (s *Server) checkAddress(r *http.Request) *problem {
	_, key, found := cutLast(r.URL.Path, "/app/")
	versions := r.URL.Query()["protocol"]
	switch {
	case !found || strings.Contains(key, "/"):
		return &problem{code: CodeNoPath, message: "the path is not /app/{key}"}
	case key != s.opts.AppKey:
		return &problem{code: CodeNoApplication, message: "there is no application of this key"}
	case len(versions) == 0:
		return &problem{code: CodeNoVersion, message: "the parameter protocol is missing"}
	}
	version, err := strconv.Atoi(versions[0])
	switch {
	case err != nil:
		return &problem{code: CodeBadVersion, message: "the parameter protocol is no number"}
	case version != protocol:
		return &problem{code: CodeUnknownVersion, message: "the protocol must be " + strconv.Itoa(protocol)}
	}
	return nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// refused says what a client is closed with before it was let in. One that is
// told to reconnect at once would find a service that stops.
func refused(ref *bridge.Refusal) *problem {
	p := &problem{code: closeCode(ref.Code), message: string(ref.Code)}
	if ref.Code == bridge.CodeDraining {
		p.code = CodeTryLater
	}
	return p
}

// turnAway upgrades a connection to say why it is closed.
func (s *Server) turnAway(w http.ResponseWriter, r *http.Request, p *problem) {
	defer s.refusing.Add(-1)
	if s.refusing.Add(1) > maxRefusing {
		refuse(w, http.StatusServiceUnavailable, "try again later")
		return
	}
	ws, err := s.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer ws.Close()
	deadline := time.Now().Add(outbox.CloseGrace)
	_ = ws.SetWriteDeadline(deadline)
	_ = ws.SetReadDeadline(deadline)
	ws.SetReadLimit(s.opts.ReadLimit)
	if ws.WriteMessage(websocket.TextMessage, errorEvent(p.code, p.message)) != nil ||
		ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(p.code, p.message), deadline) != nil {
		return
	}
	for { // until the peer's close frame
		if _, next, err := ws.NextReader(); err != nil {
			return
		} else if _, err := io.Copy(io.Discard, next); err != nil {
			return
		}
	}
}

// find returns the socket of an id, or nil.
func (s *Server) find(id string) *conn {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.conns[id]
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	delete(s.conns, c.id)
	s.mu.Unlock()
	s.open.Add(-1)
}

// newSocketID returns two random numbers with a dot between them.
func newSocketID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return strconv.FormatUint(binary.BigEndian.Uint64(b[:8]), 10) + "." + strconv.FormatUint(binary.BigEndian.Uint64(b[8:]), 10)
}

// isSocketID reports whether an id has the form of one.
func isSocketID(id string) bool {
	a, b, found := strings.Cut(id, ".")
	return found && isDigits(a) && isDigits(b)
}

func isDigits(s string) bool {
	return s != "" && len(s) <= 20 && !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}
