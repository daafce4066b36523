package socketcluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/jwtmode"
	"github.com/sessionbridge/sessionbridge/socketcluster"
)

var (
	secret = []byte("0123456789abcdef0123456789abcdef")
	silent = slog.New(slog.NewTextHandler(io.Discard, nil))
)

// sign returns a token that holds for d, with further claims.
func sign(t testing.TB, user string, d time.Duration, more jwt.MapClaims) string {
	t.Helper()
	claims := jwt.MapClaims{"sub": user, "exp": time.Now().Add(d).Unix()}
	for name, value := range more {
		claims[name] = value
	}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(secret)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// issuer signs tokens that hold for a time, with an identity's claims.
func issuer(ttl time.Duration) socketcluster.Issuer {
	return socketcluster.IssuerFunc(func(_ context.Context, id *bridge.Identity) (string, time.Time, error) {
		expires := time.Now().Add(ttl)
		all := jwt.MapClaims{"sub": id.User, "via": id.Via, "exp": float64(expires.UnixMilli()) / 1000, "iat": float64(time.Now().UnixMilli()) / 1000}
		for name, value := range id.Claims {
			all[name] = value
		}
		text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, all).SignedString(secret)
		return text, expires, err
	})
}

func tokens(t testing.TB) bridge.Authenticator {
	t.Helper()
	a, err := jwtmode.New(jwtmode.Options{Algorithms: []string{"HS256"}, Key: secret, Leeway: -1})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// private lets everybody have the channels "public…" and those who are logged
// in all others.
func private(_ context.Context, r *socketcluster.Request) error {
	if r.Identity == nil && !strings.HasPrefix(r.Channel, "public") {
		return &socketcluster.Error{Name: "AuthError", Message: "log in first"}
	}
	return nil
}

// sessions lets those in who name a user in the cookie "user" that is logged
// in here, and tells of logouts at once.
type sessions struct {
	mu       sync.Mutex
	users    map[string]bool
	follower bridge.Follower
}

func newSessions(users ...string) *sessions {
	s := &sessions{users: map[string]bool{}}
	for _, u := range users {
		s.users[u] = true
	}
	return s
}

func (s *sessions) Traits() bridge.Traits { return bridge.Traits{Ambient: true, Message: true} }

func (s *sessions) Authenticate(ctx context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
	user := ""
	switch cookie, err := h.Request.Cookie("user"); {
	case h.Message != nil && h.Message.Kind == bridge.MessageRedisKey:
		user = h.Message.SessionID
	case h.Message != nil || err != nil:
		return nil, bridge.ErrNoCredential
	default:
		user = cookie.Value
	}
	key := "sessions/" + user
	return h.Load(ctx, bridge.Binding{Key: key, Feed: "sessions", Reload: func(context.Context) (*bridge.Identity, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.users[user] {
			return nil, bridge.ErrNoCredential
		}
		return &bridge.Identity{User: user, Via: "test", Key: key, Session: values{}}, nil
	}})
}

func (s *sessions) Feeds() []bridge.Feed {
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

func (s *sessions) logout(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.users, user)
	s.follower.Changed([]string{user})
}

// values is an empty session.
type values struct{}

func (values) Lookup(string) (any, bool) { return nil, false }
func (values) Map() map[string]any       { return nil }

// service is a socket service.
type service struct {
	url    string
	port   int
	bridge *bridge.Bridge
	server *socketcluster.Server
	http   *httptest.Server
}

func newService(t testing.TB, auth bridge.Authenticator, opts *socketcluster.Options) *service {
	t.Helper()
	b, err := bridge.New(auth, &bridge.Options{Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	if opts.Logger == nil {
		opts.Logger = silent
	}
	s, err := socketcluster.New(b, opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Handle("login", login)
	s.Handle("logout", socketcluster.Logout)
	s.Handle("rediskey", socketcluster.RedisKey)
	s.Handle("whoami", func(_ context.Context, c *socketcluster.Conn, _ json.RawMessage) (any, error) {
		if id := c.Identity(); id != nil {
			return id.User, nil
		}
		return nil, nil
	})
	mux := http.NewServeMux()
	mux.Handle("/socketcluster/", s)
	srv := httptest.NewServer(mux)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := b.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		srv.Close()
	})
	return &service{srv.URL, srv.Listener.Addr().(*net.TCPAddr).Port, b, s, srv}
}

func login(ctx context.Context, c *socketcluster.Conn, data json.RawMessage) (any, error) {
	var form struct{ User, Password string }
	if err := json.Unmarshal(data, &form); err != nil || form.Password != "demo" {
		return nil, &socketcluster.Error{Name: "LoginError", Message: "wrong user or password"}
	}
	return nil, c.SetAuthToken(ctx, &bridge.Identity{User: form.User})
}

// socket is a client that speaks the wire by hand.
type socket struct {
	t    testing.TB
	ws   *websocket.Conn
	mu   sync.Mutex
	pong bool // answer pings
}

func (s *service) dial(t testing.TB, header http.Header) *socket {
	t.Helper()
	ws, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(s.url, "http")+"/socketcluster/", header)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close() })
	return &socket{t: t, ws: ws, pong: true}
}

func (s *socket) send(text string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		s.t.Fatal(err)
	}
}

// next returns the next frame that is no ping.
func (s *socket) next() (string, error) {
	for {
		_ = s.ws.SetReadDeadline(time.Now().Add(10 * time.Second))
		_, p, err := s.ws.ReadMessage()
		if err != nil {
			return "", err
		}
		if len(p) > 0 {
			return string(p), nil
		}
		if s.pong {
			s.send("")
		}
	}
}

// want reads frames and compares them with what is wanted.
func (s *socket) want(frames ...string) {
	s.t.Helper()
	for _, want := range frames {
		got, err := s.next()
		if err != nil {
			s.t.Fatalf("waiting for %s: %v", want, err)
		}
		if got != want {
			s.t.Fatalf("got  %s\nwant %s", got, want)
		}
	}
}

// wantClose reads until the connection is closed, with a code.
func (s *socket) wantClose(code int) {
	s.t.Helper()
	for {
		_, err := s.next()
		if err == nil {
			continue
		}
		closed := (*websocket.CloseError)(nil)
		if !errors.As(err, &closed) || closed.Code != code {
			s.t.Fatalf("ended with %v, want the close code %d", err, code)
		}
		return
	}
}

// shake makes the handshake and returns its answer.
func (s *socket) shake(token string) (status struct {
	ID              string
	PingTimeout     int
	IsAuthenticated bool
}) {
	s.t.Helper()
	frame := `{"event":"#handshake","data":{"authToken":null},"cid":1}`
	if token != "" {
		frame = `{"event":"#handshake","data":{"authToken":"` + token + `"},"cid":1}`
	}
	s.send(frame)
	text, err := s.next()
	if err != nil {
		s.t.Fatal(err)
	}
	answer := struct {
		RID  int
		Data any
	}{Data: &status}
	if err := json.Unmarshal([]byte(text), &answer); err != nil || answer.RID != 1 {
		s.t.Fatalf("the answer is %s", text)
	}
	return status
}

// eventually polls until ok or the deadline.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
		<-tick.C
	}
}
