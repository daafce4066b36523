package wiretest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// Sessions lets those in who name a user in the cookie "user", or by rediskey,
// that is logged in here, and tells of logouts at once. The cookie "forged" is
// rejected.
type Sessions struct {
	mu       sync.Mutex
	users    map[string]bool
	down     bool
	follower bridge.Follower
}

// NewSessions returns sessions in which those users are logged in.
func NewSessions(users ...string) *Sessions {
	s := &Sessions{users: map[string]bool{}}
	for _, u := range users {
		s.users[u] = true
	}
	return s
}

// Traits implements bridge.Authenticator's optional interface.
func (s *Sessions) Traits() bridge.Traits { return bridge.Traits{Ambient: true, Message: true} }

// Authenticate implements bridge.Authenticator.
func (s *Sessions) Authenticate(ctx context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
	user := ""
	switch cookie, err := h.Request.Cookie("user"); {
	case h.Message != nil && h.Message.Kind == bridge.MessageRedisKey:
		user = h.Message.SessionID
	case h.Message != nil || err != nil:
		return nil, bridge.ErrNoCredential
	case cookie.Value == "forged":
		return nil, bridge.Reject(bridge.CodeCredentialsRejected, "the cookie is not valid", errors.New("forged"))
	default:
		user = cookie.Value
	}
	key := "sessions/" + user
	return h.Load(ctx, bridge.Binding{Key: key, Feed: "sessions", Reload: func(context.Context) (*bridge.Identity, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.down {
			return nil, errors.New("the store is away")
		}
		if !s.users[user] {
			return nil, bridge.ErrNoCredential
		}
		return &bridge.Identity{User: user, Via: "test", Key: key, Session: values{}}, nil
	}})
}

// Feeds tells the bridge of logouts.
func (s *Sessions) Feeds() []bridge.Feed {
	return []bridge.Feed{{Name: "sessions", Store: "memory", Prefixes: []string{""}, Follow: func(ctx context.Context, _ []string, f bridge.Follower) error {
		s.mu.Lock()
		s.follower = f
		s.mu.Unlock()
		f.Restored("test")
		f.Alive(time.Now().Add(time.Hour))
		<-ctx.Done()
		return nil
	}}}
}

// Login begins a user's session.
func (s *Sessions) Login(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[user] = true
}

// Logout ends a user's session.
func (s *Sessions) Logout(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.users, user)
	s.follower.Changed([]string{user})
}

// Touch tells of a change to a user's session that changes nothing.
func (s *Sessions) Touch(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.follower.Changed([]string{user})
}

// Fail makes the store of the sessions unreachable, or reachable again.
func (s *Sessions) Fail(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// values is an empty session.
type values struct{}

func (values) Lookup(string) (any, bool) { return nil, false }
func (values) Map() map[string]any       { return nil }
