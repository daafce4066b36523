package pusher_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/jwtmode"
	"github.com/sessionbridge/sessionbridge/pusher"
)

const (
	appKey    = "278d425bdf160c739803"
	appSecret = "7ad3773142a6692b25b8"
)

var (
	secret = []byte("0123456789abcdef0123456789abcdef")
	silent = slog.New(slog.NewTextHandler(io.Discard, nil))
)

// sign returns a token that holds for d.
func sign(t testing.TB, user string, d time.Duration) string {
	t.Helper()
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": user, "exp": time.Now().Add(d).Unix()}).SignedString(secret)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// bearer is the header of a token.
func bearer(token string) map[string]string {
	return map[string]string{"Authorization": "Bearer " + token}
}

func tokens(t testing.TB) bridge.Authenticator {
	t.Helper()
	a, err := jwtmode.New(jwtmode.Options{Algorithms: []string{"HS256"}, Key: secret, Leeway: -1})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// sessions lets those in who name a user in the cookie "user", or by rediskey,
// that is logged in here, and tells of logouts at once.
type sessions struct {
	mu       sync.Mutex
	users    map[string]bool
	down     bool
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

func (s *sessions) fail(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// values is an empty session.
type values struct{}

func (values) Lookup(string) (any, bool) { return nil, false }
func (values) Map() map[string]any       { return nil }

// policy lets everybody who is logged in have all channels but those of other
// users, and some that go wrong.
func policy(_ context.Context, id *bridge.Identity, channel string) (*pusher.Member, error) {
	switch {
	case channel == "private-panic":
		panic("a mistake")
	case channel == "private-broken":
		return nil, errors.New("the database is away")
	case channel == "presence-long":
		return &pusher.Member{Info: strings.Repeat("x", 5000)}, nil
	case strings.HasPrefix(channel, "private-user-") && channel != "private-user-"+id.User:
		return nil, pusher.ErrForbidden
	}
	return &pusher.Member{Info: map[string]string{"via": id.Via}}, nil
}

// service is a socket service.
type service struct {
	url     string
	port    int
	bridge  *bridge.Bridge
	server  *pusher.Server
	handler http.Handler
}

func newService(t testing.TB, auth bridge.Authenticator, opts pusher.Options) *service {
	t.Helper()
	b, err := bridge.New(auth, &bridge.Options{Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	opts.AppKey, opts.Secret = appKey, appSecret
	if opts.Logger == nil {
		opts.Logger = silent
	}
	p, err := pusher.New(b, &opts)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/app/", p)
	mux.Handle("/pusher/auth", p.AuthHandler(policy))
	mux.Handle("/pusher/user-auth", p.UserAuthHandler(nil))
	s := &service{bridge: b, server: p, handler: mux}
	srv := httptest.NewServer(mux)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := b.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		srv.Close()
	})
	s.url, s.port = srv.URL, srv.Listener.Addr().(*net.TCPAddr).Port
	return s
}

// jar returns a port of the service on which requests have cookies, as those
// of a browser do; Node has none.
func (s *service) jar(t testing.TB, cookies string) int {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Cookie", cookies)
		s.handler.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().(*net.TCPAddr).Port
}

// socket is a client that speaks the wire by hand.
type socket struct {
	t  testing.TB
	s  *service
	ws *websocket.Conn
	id string
}

func (s *service) dialPath(t testing.TB, path string, header http.Header) *socket {
	t.Helper()
	ws, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(s.url, "http")+path, header)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close() })
	return &socket{t: t, s: s, ws: ws}
}

const path = "/app/" + appKey + "?protocol=7&client=js&version=8.6.0&flash=false"

// dial connects and reads the word of it.
func (s *service) dial(t testing.TB, cookie string) *socket {
	t.Helper()
	header := http.Header{}
	if cookie != "" {
		header.Set("Cookie", cookie)
	}
	c := s.dialPath(t, path, header)
	var hello struct {
		SocketID string `json:"socket_id"`
	}
	if err := json.Unmarshal([]byte(c.event("pusher:connection_established", "")), &hello); err != nil {
		t.Fatal(err)
	}
	c.id = hello.SocketID
	return c
}

func (c *socket) send(text string) {
	c.t.Helper()
	if err := c.ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *socket) next() (string, error) {
	_ = c.ws.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, p, err := c.ws.ReadMessage()
	return string(p), err
}

// event reads a frame, which must be that event, and returns its data: the
// string that the protocol has.
func (c *socket) event(name, channel string) string {
	c.t.Helper()
	text, err := c.next()
	if err != nil {
		c.t.Fatalf("waiting for %s: %v", name, err)
	}
	var f struct {
		Event, Channel string
		Data           any
	}
	if err := json.Unmarshal([]byte(text), &f); err != nil || f.Event != name || f.Channel != channel {
		c.t.Fatalf("got %s, want %s on %q", text, name, channel)
	}
	data, ok := f.Data.(string)
	if !ok {
		c.t.Fatalf("the data is no string: %s", text)
	}
	return data
}

// want reads frames and compares them with what is wanted.
func (c *socket) want(frames ...string) {
	c.t.Helper()
	for _, want := range frames {
		got, err := c.next()
		if err != nil {
			c.t.Fatalf("waiting for %s: %v", want, err)
		}
		if got != want {
			c.t.Fatalf("got  %s\nwant %s", got, want)
		}
	}
}

// wantClose reads until the connection is closed, with a code.
func (c *socket) wantClose(code int) {
	c.t.Helper()
	for {
		_, err := c.next()
		if err == nil {
			continue
		}
		closed := (*websocket.CloseError)(nil)
		if !errors.As(err, &closed) || closed.Code != code {
			c.t.Fatalf("ended with %v, want the close code %d", err, code)
		}
		return
	}
}

// granted is the answer of a handler.
type granted struct {
	Auth        string  `json:"auth"`
	ChannelData *string `json:"channel_data,omitempty"`
	UserData    string  `json:"user_data,omitempty"`
	Channel     string  `json:"channel,omitempty"`
}

// post asks a handler.
func (s *service) post(t testing.TB, path string, form url.Values, header map[string]string) (int, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, value := range header {
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

// grant has the socket granted a channel, or a sign-in.
func (c *socket) grant(channel string, header map[string]string) granted {
	c.t.Helper()
	form, path := url.Values{"socket_id": {c.id}}, "/pusher/user-auth"
	if channel != "" {
		form.Set("channel_name", channel)
		path = "/pusher/auth"
	}
	status, body := c.s.post(c.t, path, form, header)
	var g granted
	if err := json.Unmarshal(body, &g); err != nil || status != http.StatusOK {
		c.t.Fatalf("POST %s: %d %s", path, status, body)
	}
	g.Channel = channel
	return g
}

// sendGranted sends what was granted.
func (c *socket) sendGranted(event string, g granted) {
	c.t.Helper()
	p, err := json.Marshal(struct {
		Event string  `json:"event"`
		Data  granted `json:"data"`
	}{event, g})
	if err != nil {
		c.t.Fatal(err)
	}
	c.send(string(p))
}

// subscribe has a channel granted and subscribes to it.
func (c *socket) subscribe(channel string, header map[string]string) {
	c.t.Helper()
	c.sendGranted("pusher:subscribe", c.grant(channel, header))
	c.event("pusher_internal:subscription_succeeded", channel)
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
