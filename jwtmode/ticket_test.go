package jwtmode_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/internal/parts"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/jwtmode"
	"github.com/sessionbridge/sessionbridge/stores"
)

type (
	rsaPrivate   = rsa.PrivateKey
	ecdsaPrivate = ecdsa.PrivateKey
)

const (
	phpID      = marker + "vpe0dhmclqjbgktaseh"
	phpKey     = "PHPREDIS_SESSION:" + phpID
	phpCookie  = "PHPSESSID=" + phpID
	phpLogin42 = "user_id|i:42;"
	page       = "https://app.example.com"
)

// phpSessions is the authenticator by PHP's cookie; a nil store is an empty one.
func phpSessions(t testing.TB, store stores.Store) *cookie.Authenticator {
	t.Helper()
	if store == nil {
		store = stores.NewMemory()
	}
	return must(cookie.New(store, cookie.PHP()))
}

// ticketNode is one of several like it: a token endpoint, and a socket for its
// tickets.
type ticketNode struct {
	endpoint, socket string
	tickets          *jwtmode.Tickets
}

func newTicketNode(t *testing.T, server *parts.Process, o *jwtmode.TicketHandlerOptions) ticketNode {
	t.Helper()
	store := redisStore(t, server)
	php := must(cookie.New(store, cookie.PHP()))
	express := must(cookie.New(store, cookie.Express("keyboard cat")))
	i := newIssuer(t, jwtmode.IssuerOptions{Sessions: []jwtmode.Sessions{express, php}})
	if o == nil {
		o = &jwtmode.TicketHandlerOptions{}
	}
	o.Logger = slog.New(slog.DiscardHandler)
	s := httptest.NewServer(must(jwtmode.TicketHandler(bridge.First(php, express), i, o)))
	t.Cleanup(s.Close)
	tickets := must(jwtmode.NewTickets(i, store, nil))
	return ticketNode{s.URL, serve(t, tickets, &bridge.Options{}), tickets}
}

// tokenAnswer is the answer of a token endpoint.
type tokenAnswer struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`

	status int
	header http.Header
	code   string
}

// ask asks an endpoint for a token, with headers given as name, value, ….
func ask(t *testing.T, h http.Handler, lines ...string) tokenAnswer {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, page+"/ticket", strings.NewReader("ignored"))
	for i := 0; i < len(lines); i += 2 {
		r.Header.Add(lines[i], lines[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var body struct {
		tokenAnswer
		Data struct{ Code string }
	}
	if w.Code != http.StatusInternalServerError {
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatalf("the answer %q: %v", w.Body, err)
		}
	}
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control is %q", got)
	}
	body.tokenAnswer.status, body.tokenAnswer.header, body.tokenAnswer.code = w.Code, w.Header(), body.Data.Code
	return body.tokenAnswer
}

// askNode asks a node for a ticket over the network.
func askNode(t *testing.T, n ticketNode, cookies string) string {
	t.Helper()
	r := must(http.NewRequestWithContext(t.Context(), http.MethodPost, n.endpoint, nil))
	r.Header.Set("Cookie", cookies)
	r.Header.Set("Origin", n.endpoint)
	var body tokenAnswer
	if err := json.Unmarshal(answer(t, r), &body); err != nil || body.Token == "" {
		t.Fatalf("no ticket: %v", err)
	}
	return body.Token
}

func setSession(t *testing.T, c *redis.Client, key, value string) {
	t.Helper()
	if err := c.Set(t.Context(), key, value, time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestTicket(t *testing.T) {
	server := partstest.Redis(t)
	c := redisClient(t, server)
	here, there := newTicketNode(t, server, nil), newTicketNode(t, server, nil)
	const expressID = marker + "W1g3rInD1isL8QhJY42Gy5L2p"
	sessions := []struct{ via, user, cookies, key, value string }{
		{"php", "42", phpCookie, phpKey, phpLogin42},
		{"express", "9", "connect.sid=" + expressCookie(expressID, "keyboard cat"), "sess:" + expressID, `{"cookie":{"path":"/"},"passport":{"user":9}}`},
	}
	open := []struct {
		name string
		open func(url, ticket string) *websocket.Conn
	}{
		{"header", func(url, ticket string) *websocket.Conn {
			return connect(t, url, http.Header{"Authorization": {"Bearer " + ticket}})
		}},
		{"subprotocol", func(url, ticket string) *websocket.Conn { return connect(t, url, nil, "bearer", ticket) }},
		{"message", func(url, ticket string) *websocket.Conn {
			ws, res := dial(t, url, nil)
			if ws == nil {
				t.Fatalf("refused with %s", res.Status)
			}
			send(t, ws, authenticateFrame(ticket))
			if _, p, err := ws.ReadMessage(); err != nil || !strings.Contains(string(p), `"authenticated"`) {
				t.Fatalf("got %s, %v", p, err)
			}
			return ws
		}},
	}
	for _, s := range sessions {
		for _, o := range open {
			t.Run(s.via+" by "+o.name, func(t *testing.T) {
				setSession(t, c, s.key, s.value)
				ticket := askNode(t, here, s.cookies)
				checkSilent(t, "", unb64(strings.Split(ticket, ".")[1])) // the client cannot read the session's id
				ws := o.open(there.socket, ticket)
				expectAlive(t, ws, s.user)
				for _, n := range []ticketNode{here, there} {
					checkRefused(t, feedless{n.tickets}, withBearer(ticket), ticket, "invalid_token", "ticket already used", nil)
				}
				if err := c.Del(t.Context(), s.key).Err(); err != nil { // the web application's logout
					t.Fatal(err)
				}
				expectEnded(t, ws, bridge.CodeSessionEnded)
			})
		}
	}
}

// expressCookie makes express-session's cookie of a session id.
func expressCookie(id, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(id))
	return url.QueryEscape("s:" + id + "." + base64.RawStdEncoding.EncodeToString(mac.Sum(nil)))
}

func TestTicketIsUsedOnce(t *testing.T) {
	server := partstest.Redis(t)
	c := redisClient(t, server)
	setSession(t, c, phpKey, phpLogin42)
	here, there := newTicketNode(t, server, nil), newTicketNode(t, server, nil)
	for range 5 {
		ticket := askNode(t, here, phpCookie)
		var in atomic.Int64
		var all sync.WaitGroup
		for n := range 100 {
			all.Go(func() {
				node := []ticketNode{here, there}[n%2]
				id, err := authenticate(node.tickets, withBearer(ticket))
				switch {
				case err == nil && id.User == "42":
					in.Add(1)
				case !errors.Is(err, bridge.ErrRejected):
					t.Errorf("got %v, %v", id, err)
				}
			})
		}
		all.Wait()
		if in.Load() != 1 {
			t.Fatalf("%d of 100 got in", in.Load())
		}
	}
}

// reporting is a store in memory that reports changes when it is told to.
type reporting struct {
	*stores.Memory
	ready   chan struct{}
	handler stores.WatchHandler
}

func (s *reporting) Watch(ctx context.Context, _ []string, h stores.WatchHandler) error {
	h.Restored("test")
	h.Alive(time.Now().Add(time.Hour))
	s.handler = h
	close(s.ready)
	<-ctx.Done()
	return nil
}

// spenderFunc is a function as a Spender.
type spenderFunc func(ctx context.Context, key string, ttl time.Duration) (bool, error)

func (f spenderFunc) Spend(ctx context.Context, key string, ttl time.Duration) (bool, error) {
	return f(ctx, key, ttl)
}

// once is a Spender in memory.
func once() spenderFunc {
	var spent sync.Map
	return func(_ context.Context, key string, _ time.Duration) (bool, error) {
		_, again := spent.LoadOrStore(key, true)
		return !again, nil
	}
}

// The hook asks again about a handshake during which the session was written,
// as a page that loads does all the time. That is no second use.
func TestTicketWhileTheSessionIsWritten(t *testing.T) {
	store := &reporting{Memory: stores.NewMemory(), ready: make(chan struct{})}
	store.Set(phpKey, []byte(phpLogin42), time.Hour)
	php := phpSessions(t, store)
	i := newIssuer(t, jwtmode.IssuerOptions{Sessions: []jwtmode.Sessions{php}})
	ticket := ask(t, must(jwtmode.TicketHandler(php, i, nil)), "Cookie", phpCookie).Token
	spend, asked := once(), 0
	tickets := must(jwtmode.NewTickets(i, spenderFunc(func(ctx context.Context, key string, ttl time.Duration) (bool, error) {
		asked++
		<-store.ready
		store.handler.Changed([]string{phpKey})
		return spend(ctx, key, ttl)
	}), nil))
	url := serve(t, tickets, &bridge.Options{})
	ws := connect(t, url, http.Header{"Authorization": {"Bearer " + ticket}})
	expectAlive(t, ws, "42")
	if asked != 1 {
		t.Errorf("the ticket was spent %d times", asked)
	}
	if ws, res := dial(t, url, http.Header{"Authorization": {"Bearer " + ticket}}); ws != nil || res.StatusCode != http.StatusUnauthorized {
		t.Error("the ticket opens another socket")
	}
}

// What could not be found out leaves the ticket good for another try.
func TestTicketOutage(t *testing.T) {
	server := partstest.Redis(t)
	store := stores.NewMemory()
	store.Set(phpKey, []byte(phpLogin42), time.Hour)
	php := phpSessions(t, store)
	i := newIssuer(t, jwtmode.IssuerOptions{Sessions: []jwtmode.Sessions{php}})
	ticket := ask(t, must(jwtmode.TicketHandler(php, i, nil)), "Cookie", phpCookie).Token

	away := redisStore(t, server)
	server.Kill()
	tickets := must(jwtmode.NewTickets(i, away, nil))
	if got := status(t, feedless{tickets}, withBearer(ticket)); got != http.StatusServiceUnavailable {
		t.Errorf("without Redis: %d, want 503", got)
	}

	unread := must(jwtmode.NewTickets(newIssuer(t, jwtmode.IssuerOptions{Sessions: []jwtmode.Sessions{phpSessions(t, away)}}),
		spenderFunc(func(context.Context, string, time.Duration) (bool, error) {
			t.Error("the ticket is spent although the session could not be read")
			return true, nil
		}), nil))
	if got := status(t, feedless{unread}, withBearer(ticket)); got != http.StatusServiceUnavailable {
		t.Errorf("without the session's store: %d, want 503", got)
	}

	good := must(jwtmode.NewTickets(i, once(), nil))
	if id, err := authenticate(good, withBearer(ticket)); err != nil || id.User != "42" || id.Via != "php" {
		t.Errorf("then: %v, %v", id, err)
	}
}

func TestTicketRefused(t *testing.T) {
	store := stores.NewMemory()
	php := phpSessions(t, store)
	sessions := []jwtmode.Sessions{php}
	i := newIssuer(t, jwtmode.IssuerOptions{Sessions: sessions})
	endpoint := must(jwtmode.TicketHandler(php, i, nil))
	login := func(user string) { store.Set(phpKey, []byte("user_id|i:"+user+";"), time.Hour) }
	ticket := func() string { return ask(t, endpoint, "Cookie", phpCookie).Token }
	bound := must(jwtmode.TicketHandler(php, i, &jwtmode.TicketHandlerOptions{BindOrigin: true}))
	for _, tt := range []struct {
		name, code, message string
		ticket              func() *http.Request
	}{
		{"the session is over", "session_ended", "the session is over", func() *http.Request {
			r := withBearer(ticket())
			store.Delete(phpKey)
			return r
		}},
		{"the session is another user's", "user_changed", "the session is another user's", func() *http.Request {
			r := withBearer(ticket())
			login("7")
			return r
		}},
		{"of another page", "origin_not_allowed", "the ticket is for another page", func() *http.Request {
			r := withBearer(ask(t, bound, "Cookie", phpCookie, "Origin", page).Token)
			r.Header.Set("Origin", "https://evil.example")
			return r
		}},
		{"of a page, and no origin", "origin_not_allowed", "the ticket is for another page", func() *http.Request {
			return withBearer(ask(t, bound, "Cookie", phpCookie, "Origin", page).Token)
		}},
		{"of no page, and an origin", "origin_not_allowed", "the ticket is for another page", func() *http.Request {
			r := withBearer(ask(t, bound, "Cookie", phpCookie).Token)
			r.Header.Set("Origin", page)
			return r
		}},
		{"another issuer's", "invalid_token", "jwt issuer invalid", func() *http.Request {
			other := newIssuer(t, jwtmode.IssuerOptions{Issuer: "them", Sessions: sessions})
			return withBearer(ask(t, must(jwtmode.TicketHandler(php, other, nil)), "Cookie", phpCookie).Token)
		}},
		{"for another audience", "invalid_token", "jwt audience invalid", func() *http.Request {
			other := newIssuer(t, jwtmode.IssuerOptions{Audience: []string{"mail"}, Sessions: sessions})
			return withBearer(ask(t, must(jwtmode.TicketHandler(php, other, nil)), "Cookie", phpCookie).Token)
		}},
		{"with another reference key", "invalid_token", "jwt of an unknown session", func() *http.Request {
			other := newIssuer(t, jwtmode.IssuerOptions{ReferenceKey: []byte(strings.Repeat("r", 32)), Sessions: sessions})
			return withBearer(ask(t, must(jwtmode.TicketHandler(php, other, nil)), "Cookie", phpCookie).Token)
		}},
		{"of a stack that is not here", "invalid_token", "jwt of an unknown session", func() *http.Request {
			stack := cookie.PHP()
			stack.Name = "legacy"
			legacy := must(cookie.New(store, stack))
			other := newIssuer(t, jwtmode.IssuerOptions{Sessions: []jwtmode.Sessions{legacy}})
			return withBearer(ask(t, must(jwtmode.TicketHandler(legacy, other, nil)), "Cookie", phpCookie).Token)
		}},
		{"with another ticket's reference", "invalid_token", "jwt of an unknown session", func() *http.Request {
			return withBearer(forgeTicket(t, ticket(), jwt.MapClaims{"jti": "another"}))
		}},
		{"with a reference that is no text", "invalid_token", "jwt of an unknown session", func() *http.Request {
			return withBearer(forgeTicket(t, ticket(), jwt.MapClaims{"session": 1}))
		}},
		{"with a reference that is empty", "invalid_token", "jwt of an unknown session", func() *http.Request {
			return withBearer(forgeTicket(t, ticket(), jwt.MapClaims{"session": ""}))
		}},
		{"without reference and end", "invalid_token", "jwt malformed", func() *http.Request {
			return withBearer(forgeTicket(t, ticket(), jwt.MapClaims{"session": nil}))
		}},
		{"without jti", "invalid_token", "invalid jti value", func() *http.Request {
			return withBearer(forgeTicket(t, ticket(), jwt.MapClaims{"jti": nil}))
		}},
		{"of an identity that is over", "invalid_token", "jwt expired", func() *http.Request {
			return withBearer(forgeTicket(t, ticket(), jwt.MapClaims{"session": nil, "until": 1}))
		}},
		{"tampered with", "invalid_token", "invalid signature", func() *http.Request {
			parts := strings.Split(ticket(), ".")
			return withBearer(parts[0] + "." + b64(strings.Replace(unb64(parts[1]), `"42"`, `"43"`, 1)) + "." + parts[2])
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			login("42")
			tickets := must(jwtmode.NewTickets(i, spenderFunc(func(context.Context, string, time.Duration) (bool, error) {
				t.Error("it is spent")
				return true, nil
			}), nil))
			r := tt.ticket()
			if tt.code == "origin_not_allowed" {
				if got := refused(t, tickets, r); got.status != http.StatusForbidden || got.code != tt.code || got.message != tt.message {
					t.Errorf("got %d %q %q", got.status, got.code, got.message)
				}
				return
			}
			checkRefused(t, tickets, r, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), tt.code, tt.message, bridge.ErrRejected)
		})
	}
	login("42")
	r := withBearer(ask(t, bound, "Cookie", phpCookie, "Origin", page).Token)
	r.Header.Set("Origin", page)
	if _, err := authenticate(must(jwtmode.NewTickets(i, once(), nil)), r); err != nil {
		t.Errorf("by its own page: %v", err)
	}
}

// forgeTicket signs a ticket anew, with some claims set otherwise.
func forgeTicket(t *testing.T, ticket string, with jwt.MapClaims) string {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(unb64(strings.Split(ticket, ".")[1])))
	d.UseNumber()
	c := jwt.MapClaims{}
	if err := d.Decode(&c); err != nil {
		t.Fatal(err)
	}
	for name, v := range with {
		if c[name] = v; v == nil {
			delete(c, name)
		}
	}
	return hs256(c, map[string]any{"typ": "ticket+jwt"})
}

// A ticket and an access token of one issuer are never taken for each other.
func TestTicketAndAccessToken(t *testing.T) {
	i := newIssuer(t, jwtmode.IssuerOptions{})
	auth := bridge.AuthenticatorFunc(func(context.Context, *bridge.Handshake) (*bridge.Identity, error) {
		return &bridge.Identity{User: "42", Via: "test", Expires: time.Now().Add(time.Hour)}, nil
	})
	ticket := ask(t, must(jwtmode.TicketHandler(auth, i, nil))).Token
	access := ask(t, must(jwtmode.TicketHandler(auth, i, &jwtmode.TicketHandlerOptions{AccessTokens: true}))).Token
	tickets := must(jwtmode.NewTickets(i, once(), nil))
	tokens := newAuth(t, i.Options())

	checkRefused(t, tokens, withBearer(ticket), ticket, "invalid_token", "invalid token type", nil)
	if id, err := authenticate(tickets, withBearer(access)); id != nil || !errors.Is(err, bridge.ErrNoCredential) {
		t.Errorf("an access token among tickets: %v, %v", id, err)
	}
	both := bridge.First(tickets, tokens)
	for name, token := range map[string]string{"test": ticket, "jwt": access} {
		if id, err := authenticate(both, withBearer(token)); err != nil || id.User != "42" || id.Via != name {
			t.Errorf("%s: %v, %v", name, id, err)
		}
	}
	for _, other := range []string{"opaque", "a.b.c", hs256(claims(nil))} {
		if id, err := authenticate(tickets, withBearer(other)); id != nil || !errors.Is(err, bridge.ErrNoCredential) {
			t.Errorf("%q among tickets: %v, %v", other, id, err)
		}
	}
}

// A ticket holds for 30 s; the identity of one that refers to no session, for
// as long as that of whom it was given to.
func TestTicketTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until := time.Now().Add(time.Hour)
		auth := bridge.AuthenticatorFunc(func(context.Context, *bridge.Handshake) (*bridge.Identity, error) {
			return &bridge.Identity{User: "42", Via: "test", Expires: until}, nil
		})
		i := newIssuer(t, jwtmode.IssuerOptions{})
		endpoint := must(jwtmode.TicketHandler(auth, i, nil))
		tickets := must(jwtmode.NewTickets(i, once(), nil))
		got := ask(t, endpoint)
		if !got.Expires.Equal(time.Now().Add(30 * time.Second)) {
			t.Errorf("it expires %v", got.Expires)
		}
		late := ask(t, endpoint).Token
		time.Sleep(34 * time.Second) // and 5 s of leeway
		id, err := authenticate(tickets, withBearer(got.Token))
		if err != nil || !id.Expires.Equal(until) || id.Claims["sub"] != "42" {
			t.Fatalf("got %v, %v", id, err)
		}
		time.Sleep(time.Second)
		checkRefused(t, tickets, withBearer(late), late, "invalid_token", "jwt expired", jwt.ErrTokenExpired)
	})
}

// A revocation of the user ends what tickets opened, with a session and
// without, and a logout still does.
func TestTicketsAndRevocations(t *testing.T) {
	server := partstest.Redis(t)
	c := redisClient(t, server)
	elsewhere := stores.NewMemory()
	elsewhere.Set(phpKey, []byte(phpLogin42), time.Hour)
	for _, tt := range []struct {
		name  string
		store func() stores.Store
	}{
		{"one store", func() stores.Store { return redisStore(t, server) }},
		{"two stores", func() stores.Store { return elsewhere }},
		{"no session", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			setSession(t, c, phpKey, phpLogin42)
			var auth bridge.Authenticator = bridge.AuthenticatorFunc(func(context.Context, *bridge.Handshake) (*bridge.Identity, error) {
				return &bridge.Identity{User: "42", Via: "test", Expires: time.Now().Add(time.Hour)}, nil
			})
			o := jwtmode.IssuerOptions{}
			entries := redisStore(t, server)
			if tt.store != nil {
				store := tt.store()
				if s, ok := store.(*stores.Redis); ok {
					entries = s
				}
				php := phpSessions(t, store)
				auth, o.Sessions = php, []jwtmode.Sessions{php}
			}
			i := newIssuer(t, o)
			endpoint := must(jwtmode.TicketHandler(feedless{auth}, i, nil))
			r := must(jwtmode.NewRevocations(entries, nil))
			url := serve(t, must(jwtmode.NewTickets(i, entries, &jwtmode.TicketOptions{Revocations: r})), &bridge.Options{})
			open := func() *websocket.Conn {
				return connect(t, url, http.Header{"Authorization": {"Bearer " + ask(t, endpoint, "Cookie", phpCookie).Token}})
			}
			early := ask(t, endpoint, "Cookie", phpCookie).Token
			ws := open()
			if err := r.RevokeUser(t.Context(), "42"); err != nil {
				t.Fatal(err)
			}
			expectEnded(t, ws, bridge.CodeRevoked)
			if ws, res := dial(t, url, http.Header{"Authorization": {"Bearer " + early}}); ws != nil || res.StatusCode != http.StatusUnauthorized {
				t.Error("a ticket from before the revocation opens a socket")
			}
			ws = open()
			expectAlive(t, ws, "42")
			if tt.name == "one store" {
				if err := c.Del(t.Context(), phpKey).Err(); err != nil {
					t.Fatal(err)
				}
				expectEnded(t, ws, bridge.CodeSessionEnded)
			}
		})
	}
}

func TestNewTicketsRefuses(t *testing.T) {
	i := newIssuer(t, jwtmode.IssuerOptions{})
	for _, tt := range []struct {
		name    string
		issuer  *jwtmode.Issuer
		spender jwtmode.Spender
		opts    *jwtmode.TicketOptions
	}{
		{"no issuer", nil, once(), nil},
		{"no spender", i, nil, nil},
		{"a constructor's nil", i, (*stores.Redis)(nil), nil},
		{"tickets in a cookie", i, once(), &jwtmode.TicketOptions{Sources: []jwtmode.Source{jwtmode.SourceCookie}}},
		{"an unknown source", i, once(), &jwtmode.TicketOptions{Sources: []jwtmode.Source{"body"}}},
		{"a leeway of an hour", i, once(), &jwtmode.TicketOptions{Leeway: time.Hour}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := jwtmode.NewTickets(tt.issuer, tt.spender, tt.opts); got != nil || err == nil {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

// FuzzReference signs whatever is given as the reference to a session: who can
// do that gets no further than a rejection.
func FuzzReference(f *testing.F) {
	store := stores.NewMemory()
	store.Set(phpKey, []byte(phpLogin42), time.Hour)
	php := must(cookie.New(store, cookie.PHP()))
	i := newIssuer(f, jwtmode.IssuerOptions{Sessions: []jwtmode.Sessions{php}})
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, page, nil)
	r.Header.Set("Cookie", phpCookie)
	must(jwtmode.TicketHandler(php, i, nil)).ServeHTTP(w, r)
	var got struct{ Token string }
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		f.Fatal(err)
	}
	var c jwt.MapClaims
	if err := json.Unmarshal([]byte(unb64(strings.Split(got.Token, ".")[1])), &c); err != nil {
		f.Fatal(err)
	}
	good, _ := c["session"].(string)
	if len(good) < 40 {
		f.Fatalf("the ticket has the reference %q", good)
	}
	for _, s := range []string{good, good[:len(good)-1], good + "A", good[1:], "", "=", "\n" + good, strings.ToUpper(good), b64("php\x00" + phpID)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, reference string) {
		tickets := must(jwtmode.NewTickets(i, once(), nil))
		with := jwt.MapClaims{}
		for name, v := range c {
			with[name] = v
		}
		with["session"], with["exp"], with["iat"] = reference, far, 1
		ticket := hs256(with, map[string]any{"typ": "ticket+jwt"})
		refused := bridge.ErrRejected
		if len(ticket) > 8<<10 {
			refused = bridge.ErrNoCredential // too long to be read, and so nobody's ticket
		}
		id, err := authenticate(tickets, withBearer(ticket))
		switch {
		case reference == good && (err != nil || id.User != "42"):
			t.Fatalf("the good one: %v, %v", id, err)
		case reference != good && (id != nil || !errors.Is(err, refused)):
			t.Fatalf("%q: %v, %v", reference, id, err)
		case err != nil:
			checkSilent(t, "", fmt.Sprint(err))
		}
	})
}
