package bridge_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
)

var errOutage = errors.New("the store is down: secret-of-the-log")

// stub is an authenticator made of its parts.
type stub struct {
	traits bridge.Traits
	judge  func(ctx context.Context, h *bridge.Handshake) (*bridge.Identity, error)
}

func (s stub) Traits() bridge.Traits { return s.traits }

func (s stub) Authenticate(ctx context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
	return s.judge(ctx, h)
}

// says returns an authenticator with one answer to everything.
func says(id *bridge.Identity, err error) bridge.AuthenticatorFunc {
	return func(context.Context, *bridge.Handshake) (*bridge.Identity, error) { return id, err }
}

func user(name string) *bridge.Identity { return &bridge.Identity{User: name, Via: "test"} }

// store is an authenticator by sessions in memory: the session id comes in a
// rediskey message or in the header field Sid.
type store struct {
	mu       sync.Mutex
	sessions map[string]bridge.Identity
	err      error
	hang     bool // answer only when the context ends
	loads    int
	hook     func()        // runs between a reading and its answer
	gate     chan struct{} // the answer waits for it, or for the context's end
}

func newStore(sessions map[string]bridge.Identity) *store { return &store{sessions: sessions} }

func (s *store) Traits() bridge.Traits { return bridge.Traits{Ambient: true, Message: true} }

func (s *store) Authenticate(ctx context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
	sid := h.Request.Header.Get("Sid")
	switch m := h.Message; {
	case m == nil:
	case m.Kind != bridge.MessageRedisKey:
		return nil, fmt.Errorf("%w: not a rediskey", bridge.ErrNoCredential)
	case m.Malformed:
		return nil, bridge.Reject(bridge.CodeCredentialsBadFormat, "rediskey must be a string", nil)
	default:
		sid = m.SessionID
	}
	if sid == "" {
		return nil, fmt.Errorf("%w: no session id", bridge.ErrNoCredential)
	}
	h.Bind(bridge.Binding{Key: sid, Reload: func(ctx context.Context) (*bridge.Identity, error) { return s.load(ctx, sid) }})
	return s.load(ctx, sid)
}

func (s *store) load(ctx context.Context, sid string) (*bridge.Identity, error) {
	s.mu.Lock()
	s.loads++
	hang, err, id, ok := s.hang, s.err, bridge.Identity{}, false
	id, ok = s.sessions[sid]
	hook, gate := s.hook, s.gate
	s.mu.Unlock()
	if hook != nil {
		hook()
	}
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	switch {
	case hang:
		<-ctx.Done()
		return nil, ctx.Err()
	case err != nil:
		return nil, err
	case !ok || !id.Expires.IsZero() && !time.Now().Before(id.Expires):
		return nil, fmt.Errorf("%w: unknown session", bridge.ErrNoCredential)
	}
	id.Key = sid
	return &id, nil
}

// set changes a session; a user of "" removes it.
func (s *store) set(sid, user string, expires time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if user == "" {
		delete(s.sessions, sid)
		return
	}
	s.sessions[sid] = bridge.Identity{User: user, Via: "test", Expires: expires}
}

func (s *store) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *store) reads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loads
}

// tokens is an authenticator by token messages, and by the header field Token.
// A token is "<user>" or "<user>/<lifetime>".
type tokens struct{}

func (tokens) Traits() bridge.Traits {
	return bridge.Traits{Message: true, Subprotocols: []string{"bearer"}, Challenge: "Bearer"}
}

func (tokens) Authenticate(_ context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
	token := h.Request.Header.Get("Token")
	if m := h.Message; m != nil {
		token = m.Token
		if m.Malformed || m.Kind != bridge.MessageToken {
			return nil, bridge.Reject(bridge.CodeCredentialsBadFormat, "a token is a string", nil)
		}
	}
	switch token {
	case "":
		return nil, fmt.Errorf("%w: no token", bridge.ErrNoCredential)
	case "bad":
		return nil, bridge.Reject(bridge.CodeInvalidToken, "the token does not hold", errors.New("bad signature: secret-of-the-log"))
	case "outage":
		return nil, errOutage
	}
	id := &bridge.Identity{User: token, Via: "jwt", Claims: map[string]any{}}
	for i, r := range token {
		if r == '/' {
			d, err := time.ParseDuration(token[i+1:])
			if err != nil {
				return nil, err
			}
			id.User, id.Expires = token[:i], time.Now().Add(d)
		}
	}
	return id, nil
}

func tokenFrame(token string) string {
	return `{"event":"authenticate","data":{"token":"` + token + `"}}`
}

func keyFrame(sid string) string { return `{"rediskey":"` + sid + `"}` }

// logBook keeps what is logged.
type logBook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBook) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
