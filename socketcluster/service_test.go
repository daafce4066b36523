package socketcluster_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest/wiretest"
	"github.com/sessionbridge/sessionbridge/socketcluster"
)

var silent = slog.New(slog.DiscardHandler)

// issuer signs tokens that hold for a time, with an identity's claims.
func issuer(ttl time.Duration) socketcluster.Issuer {
	return socketcluster.IssuerFunc(func(_ context.Context, id *bridge.Identity) (string, time.Time, error) {
		expires := time.Now().Add(ttl)
		all := jwt.MapClaims{"sub": id.User, "via": id.Via, "exp": float64(expires.UnixMilli()) / 1000, "iat": float64(time.Now().UnixMilli()) / 1000}
		for name, value := range id.Claims {
			all[name] = value
		}
		text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, all).SignedString(wiretest.Secret)
		return text, expires, err
	})
}

// private lets everybody have the channels "public…" and those who are logged
// in all others.
func private(_ context.Context, r *socketcluster.Request) error {
	if r.Identity == nil && !strings.HasPrefix(r.Channel, "public") {
		return &socketcluster.Error{Name: "AuthError", Message: "log in first"}
	}
	return nil
}

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
	srv, port := wiretest.Serve(t, b, mux)
	return &service{srv.URL, port, b, s, srv}
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

func (s *socket) want(frames ...string) {
	s.t.Helper()
	wiretest.Want(s.t, s.next, frames...)
}

func (s *socket) wantClose(code int) {
	s.t.Helper()
	wiretest.WantClose(s.t, s.next, code)
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
