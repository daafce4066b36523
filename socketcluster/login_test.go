package socketcluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest/wiretest"
	"github.com/sessionbridge/sessionbridge/socketcluster"
)

// journal notes what Options.OnAuthState and OnBadToken tell the application.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) options() *socketcluster.Options {
	user := func(id *bridge.Identity) string {
		if id == nil {
			return "nobody"
		}
		return id.User
	}
	o := newOptions()
	o.OnAuthState = func(_ *socketcluster.Conn, former, present *bridge.Identity) {
		j.note(user(former) + " → " + user(present))
	}
	o.OnBadToken = func(_ *socketcluster.Conn, err *bridge.Refusal) { j.note("bad token: " + err.Message) }
	return o
}

func (j *journal) note(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journal) want(t *testing.T, lines ...string) {
	t.Helper()
	wiretest.Eventually(t, fmt.Sprintf("the application is told %q", lines), func() bool {
		j.mu.Lock()
		defer j.mu.Unlock()
		return slices.Equal(j.lines, lines)
	})
}

// Login and logout by procedures, as the client and as the application see it.
func TestLoginProcedure(t *testing.T) {
	var j journal
	s := newService(t, wiretest.Tokens(t), j.options())
	c := s.node(t, with{})
	c.start()

	failed := c.Do(map[string]any{"do": "invoke", "name": "login", "data": map[string]string{"user": "42", "password": "wrong"}})
	if want := map[string]any{"name": "LoginError", "message": "wrong user or password"}; !sameError(want, failed.Error) {
		t.Errorf("a failed login: %v, want %v", failed.Error, want)
	}
	wiretest.Equal(t, "authState", any("unauthenticated"), c.State()["authState"])

	c.Must(map[string]any{"do": "invoke", "name": "login", "data": map[string]string{"user": "42", "password": "demo"}})
	change := c.Wait("authStateChange")
	wiretest.Equal(t, "newAuthState", any("authenticated"), change["newAuthState"])
	wiretest.Equal(t, "sub", any("42"), change["authToken"].(map[string]any)["sub"])
	wiretest.Equal(t, "whoami", any("42"), c.Must(map[string]any{"do": "invoke", "name": "whoami"}))
	names := slices.Collect(maps.Keys(c.State()["stored"].(map[string]any)))
	wiretest.Equal(t, "where the client stores its token", []string{fmt.Sprintf("socketcluster.authToken.127.0.0.1:%d", s.port)}, names)

	c.Must(map[string]any{"do": "invoke", "name": "logout"})
	if old := c.Wait("deauthenticate")["oldAuthToken"].(map[string]any); old["sub"] != "42" {
		t.Errorf("deauthenticate: %v", old)
	}
	c.Wait("removeAuthToken")
	wiretest.Equal(t, "whoami", nil, c.Must(map[string]any{"do": "invoke", "name": "whoami"}))
	wiretest.Equal(t, "stored", any(map[string]any{}), c.State()["stored"])

	c.Do(map[string]any{"do": "authenticate", "token": "nonsense"})
	j.want(t, "nobody → 42", "42 → nobody", "bad token: jwt malformed")
}

// A procedure may take longer to answer than it takes to issue the token of the
// session that it has opened.
func TestTokenIssuedBeforeTheAnswer(t *testing.T) {
	o := newOptions()
	issued := make(chan struct{}, 1)
	o.Issuer = socketcluster.IssuerFunc(func(ctx context.Context, id *bridge.Identity) (string, time.Time, error) {
		defer func() { issued <- struct{}{} }()
		return issuer(time.Hour).Issue(ctx, id)
	})
	s := newService(t, wiretest.NewSessions("42"), o)
	s.server.Handle("slow", func(ctx context.Context, c *socketcluster.Conn, _ json.RawMessage) (any, error) {
		err := c.Authenticate(ctx, &bridge.Message{Kind: bridge.MessageRedisKey, SessionID: "42"})
		<-issued
		_ = c.Authenticate(ctx, &bridge.Message{Kind: bridge.MessageRedisKey, SessionID: "nobody"}) // comes after the token
		return nil, err
	})
	c := s.dial(t, nil)
	c.shake("")
	c.send("") // settled
	c.send(`{"event":"slow","cid":2}`)
	last := ""
	for {
		frame, err := c.next()
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(frame, `{"event":"#setAuthToken"`) {
			last = frame
		}
		if frame == `{"rid":2}` {
			c.send(`{"event":"whoami","cid":3}`) // what is told after the answer comes before this one's
		}
		if strings.HasPrefix(frame, `{"rid":3`) {
			break
		}
	}
	if !strings.HasPrefix(last, `{"event":"#setAuthToken","data":{"token":"ey`) {
		t.Errorf("the client was last told %s, want its token", last)
	}
}

// The order on the wire: the answer, then #setAuthToken; and a client that
// removes its token gets no answer.
func TestWireOrder(t *testing.T) {
	var j journal
	s := newService(t, wiretest.Tokens(t), j.options())
	c := s.dial(t, nil)
	if status := c.shake(""); status.IsAuthenticated || status.PingTimeout != 20000 || len(status.ID) < 20 {
		t.Errorf("status = %+v", status)
	}
	c.send("") // settled
	c.send(`{"event":"login","data":{"user":"42","password":"demo"},"cid":2}`)
	c.want(`{"rid":2}`)
	if frame, err := c.next(); err != nil || !strings.HasPrefix(frame, `{"event":"#setAuthToken","data":{"token":"`) {
		t.Errorf("after the answer: %s, %v", frame, err)
	}
	c.send(`{"event":"#removeAuthToken"}`)
	c.send(`{"event":"whoami","cid":3}`)
	c.want(`{"rid":3}`)
	c.send(`[{"event":"whoami","cid":4}]`)
	c.want(`{"rid":4}`)
	c.send(`[5,{"rid":1},{"event":"absent","cid":6},{"event":"#else","cid":7},{"event":"#handshake","cid":8}]`)
	c.want(
		`{"rid":6,"error":{"name":"InvalidActionError","message":"there is no such procedure"}}`,
		`{"rid":7,"error":{"name":"InvalidActionError","message":"there is no such procedure"}}`,
		`{"rid":8,"error":{"name":"InvalidActionError","message":"the handshake is over"}}`)
	j.want(t, "nobody → 42", "42 → nobody")

	bad := s.dial(t, nil)
	bad.send(`{"event":"#handshake","data":{"authToken":"x"},"cid":1}`)
	if frame, err := bad.next(); err != nil || !strings.Contains(frame, `"isAuthenticated":false,"authError":{"name":"AuthTokenInvalidError","message":"jwt malformed","isBadToken":true}}}`) {
		t.Errorf("%s, %v", frame, err)
	}
	bad.want(`{"event":"#removeAuthToken"}`)
	bad.send(`{"event":"#authenticate","data":"y","cid":2}`)
	bad.want(`{"rid":2,"error":{"name":"AuthTokenInvalidError","message":"jwt malformed","isBadToken":true}}`, `{"event":"#removeAuthToken"}`)
	bad.send(`{"event":"#authenticate","data":"z","cid":3}`)
	bad.want(`{"rid":3,"error":{"name":"AuthTokenInvalidError","message":"jwt malformed","isBadToken":true}}`, `{"event":"#removeAuthToken"}`)
	bad.wantClose(socketcluster.CloseUnauthorized)
}

// The client removes its own token: its channels end, the socket stays.
func TestClientDeauthenticates(t *testing.T) {
	var j journal
	s := newService(t, wiretest.Tokens(t), j.options())
	c := s.node(t, with{Token: new(wiretest.Sign(t, "42", time.Hour))})
	c.start()
	c.subscribe("news")
	c.subscribe("public/news")
	c.Must(map[string]any{"do": "deauthenticate"})
	c.Wait("deauthenticate")
	wiretest.Equal(t, "kickOut", map[string]any{"channel": "news", "message": "client_request"}, c.Wait("kickOut"))
	wiretest.Equal(t, "whoami", nil, c.Must(map[string]any{"do": "invoke", "name": "whoami"}))
	wiretest.Equal(t, "subscriptions", any([]any{"public/news"}), c.State()["subscriptions"])
	j.want(t, "nobody → 42", "42 → nobody")
}

// A token is renewed before it runs out, as long as the application says so,
// and the channels go on meanwhile.
func TestRenewal(t *testing.T) {
	var mu sync.Mutex
	renewals := 0
	o := newOptions()
	o.Issuer = issuer(4 * time.Second)
	o.Renew = func(_ context.Context, id *bridge.Identity) (*bridge.Identity, error) {
		mu.Lock()
		defer mu.Unlock()
		if renewals++; renewals > 2 {
			return nil, errors.New("this account is closed")
		}
		return &bridge.Identity{User: id.User, Via: id.Via, Claims: map[string]any{"renewal": renewals}}, nil
	}
	s := newService(t, wiretest.Tokens(t), o)
	c := s.node(t, with{})
	c.start()
	c.Must(map[string]any{"do": "invoke", "name": "login", "data": map[string]string{"user": "42", "password": "demo"}})
	c.subscribe("news")
	began := time.Now()
	for _, want := range []any{nil, 1.0, 2.0} {
		got := c.Wait("authenticate")["authToken"].(map[string]any)
		wiretest.Equal(t, "renewal", want, got["renewal"])
	}
	c.Must(map[string]any{"do": "publish", "channel": "news", "data": 1})
	c.Wait("message")
	if n := c.Count("deauthenticate", nil) + c.Count("kickOut", nil); n > 0 {
		t.Errorf("%d interruptions", n)
	}
	c.Wait("deauthenticate") // not renewed any more: it runs out
	if d := time.Since(began); d < 8*time.Second {
		t.Errorf("the token ended after %v, before it ran out", d)
	}
	wiretest.Equal(t, "kickOut", map[string]any{"channel": "news", "message": "token_expired"}, c.Wait("kickOut"))
}

// A procedure's answer is not sent to somebody whose login has ended.
func TestAnswerAfterEnd(t *testing.T) {
	s := newService(t, wiretest.Tokens(t), newOptions())
	release := make(chan struct{})
	s.server.Handle("slow", func(ctx context.Context, _ *socketcluster.Conn, _ json.RawMessage) (any, error) {
		<-ctx.Done() // the identity's end
		<-release
		return "secret", nil
	})
	s.server.Handle("panic", func(context.Context, *socketcluster.Conn, json.RawMessage) (any, error) { panic("here") })
	s.server.Handle("unencodable", func(context.Context, *socketcluster.Conn, json.RawMessage) (any, error) { return func() {}, nil })
	c := s.node(t, with{Token: new(wiretest.Sign(t, "42", 3*time.Second))})
	c.start()
	for _, name := range []string{"panic", "unencodable"} {
		r := c.Do(map[string]any{"do": "invoke", "name": name})
		if want := map[string]any{"name": "Error", "message": "internal error"}; !cmp.Equal(want, map[string]any{"name": r.Error["name"], "message": r.Error["message"]}) {
			t.Errorf("%s: %v", name, r.Error)
		}
	}
	go func() {
		c.Wait("deauthenticate")
		close(release)
	}()
	r := c.Do(map[string]any{"do": "invoke", "name": "slow"})
	if r.Value != nil || r.Error["name"] != "AuthError" {
		t.Errorf("the answer is %v, %v", r.Value, r.Error)
	}
}
