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
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest/wiretest"
	"github.com/sessionbridge/sessionbridge/pusher"
)

const (
	appKey    = "278d425bdf160c739803"
	appSecret = "7ad3773142a6692b25b8"
)

var silent = slog.New(slog.DiscardHandler)

// bearer is the header of a token.
func bearer(token string) map[string]string {
	return map[string]string{"Authorization": "Bearer " + token}
}

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
	srv, port := wiretest.Serve(t, b, mux)
	s.url, s.port = srv.URL, port
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

func (c *socket) want(frames ...string) {
	c.t.Helper()
	wiretest.Want(c.t, c.next, frames...)
}

func (c *socket) wantClose(code int) {
	c.t.Helper()
	wiretest.WantClose(c.t, c.next, code)
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
