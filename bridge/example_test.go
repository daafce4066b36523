package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// byName vouches for anybody who says a name; never do that.
var byName = bridge.AuthenticatorFunc(func(_ context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
	name := h.Request.URL.Query().Get("name")
	if name == "" {
		return nil, fmt.Errorf("%w: no name", bridge.ErrNoCredential)
	}
	return &bridge.Identity{User: name, Via: "example"}, nil
})

// The hook is an http.Handler that serves each connection with a function.
func ExampleNew() {
	hook, err := bridge.New(byName, &bridge.Options{
		AllowedOrigins: []string{"https://app.example.com"},
	})
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/socket", hook.Handler(func(c *bridge.Conn) {
		log.Printf("%s is here", c.Identity().User)
		for {
			kind, message, err := c.ReadMessage()
			if err != nil {
				log.Printf("%s has gone: %v", c.Identity().User, err)
				return
			}
			if err := c.WriteMessage(kind, message); err != nil {
				return
			}
		}
	}))
}

// A service that only writes must call CloseRead, so that the client's leaving
// is noticed. The context ends with the session, too.
func ExampleConn_CloseRead() {
	hook, err := bridge.New(byName, nil)
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/clock", hook.Handler(func(c *bridge.Conn) {
		ctx := c.CloseRead()
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				if c.WriteMessage(websocket.TextMessage, []byte(now.Format(time.TimeOnly))) != nil {
					return
				}
			case <-ctx.Done():
				if end := (*bridge.EndError)(nil); errors.As(context.Cause(ctx), &end) {
					log.Printf("%s was logged out: %s", c.Identity().User, end.Code)
				}
				return
			}
		}
	}))
}

// The middleware serves any other handler: another WebSocket library, an event
// stream, or a plain page.
func ExampleBridge_Middleware() {
	hook, err := bridge.New(byName, nil)
	if err != nil {
		log.Fatal(err)
	}
	page := hook.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := bridge.FromContext(r.Context())
		fmt.Fprintf(w, "hello %s", id.User)
	}))

	w := httptest.NewRecorder()
	page.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/?name=ann", nil))
	fmt.Println(w.Code, w.Body)
	// Output: 200 hello ann
}

// Authenticators are asked in order: a session cookie first, say, and then a
// token.
func ExampleFirst() {
	byToken := bridge.AuthenticatorFunc(func(_ context.Context, h *bridge.Handshake) (*bridge.Identity, error) {
		if h.Request.Header.Get("Authorization") != "Bearer s3cret" {
			return nil, bridge.Reject(bridge.CodeInvalidToken, "the token is not valid", nil)
		}
		return &bridge.Identity{User: "robot", Via: "token"}, nil
	})
	both := bridge.First(byName, byToken)

	ask := func(r *http.Request) {
		id, err := both.Authenticate(r.Context(), &bridge.Handshake{Request: r})
		if err != nil {
			fmt.Println("error:", err)
			return
		}
		fmt.Println(id.User, "by", id.Via)
	}
	ask(httptest.NewRequest(http.MethodGet, "/?name=ann", nil))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	ask(r)
	r.Header.Set("Authorization", "Bearer s3cret")
	ask(r)
	// Output:
	// ann by example
	// error: the token is not valid
	// robot by token
}

// dial opens a WebSocket to a handler, as a client would, and prints what the
// service sends.
func dial(handler http.Handler, query, message string) {
	service := httptest.NewServer(handler)
	defer service.Close()
	ws, resp, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(service.URL, "http")+query, nil)
	if err != nil {
		fmt.Println(resp.Status)
		return
	}
	defer ws.Close()
	if err := ws.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
		fmt.Println(err)
	}
	for {
		_, text, err := ws.ReadMessage()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(string(text))
	}
}

// A function serves each connection of whoever is logged in. The others are
// refused before the upgrade.
func ExampleBridge_Handler() {
	hook, err := bridge.New(byName, nil)
	if err != nil {
		log.Fatal(err)
	}
	greet := hook.Handler(func(c *bridge.Conn) {
		_, message, err := c.ReadMessage()
		if err != nil {
			return
		}
		_ = c.WriteMessage(websocket.TextMessage, []byte(c.Identity().User+" says "+string(message)))
	})
	dial(greet, "/?name=ann", "hello")
	dial(greet, "/", "hello")
	// Output:
	// {"event":"authenticated","data":{"user":"ann","via":"example"}}
	// ann says hello
	// websocket: close 1000 (normal)
	// 401 Unauthorized
}

// A handler of one's own decides before it upgrades, and closes the connection
// itself.
func ExampleBridge_Upgrade() {
	hook, err := bridge.New(byName, &bridge.Options{OmitEvents: true})
	if err != nil {
		log.Fatal(err)
	}
	room := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := hook.Upgrade(w, r)
		if err != nil {
			return // answered and logged
		}
		_, _, _ = c.ReadMessage()
		_ = c.Close(websocket.CloseNormalClosure, "the room of "+c.Identity().User+" is full")
	})
	dial(room, "/?name=ann", "hello")
	// Output: websocket: close 1000 (normal): the room of ann is full
}

// An event stream, or another WebSocket library's connection, has its life by a
// Link: who it is, and that it ends.
func ExampleBridge_Open() {
	hook, err := bridge.New(byName, nil)
	if err != nil {
		log.Fatal(err)
	}
	events := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l, err := hook.Open(r)
		if err == nil {
			defer l.Close(nil)
			err = l.Authenticate(r.Context(), nil)
		}
		if refused := (*bridge.Refusal)(nil); errors.As(err, &refused) {
			http.Error(w, refused.Message, refused.Code.Status())
			return
		}
		fmt.Fprintf(w, "data: hello %s\n\n", l.Identity().User)
		go func() { // an operator
			if err := hook.Revoke(context.Background(), bridge.Target{User: "ann"}); err != nil {
				log.Print(err)
			}
		}()
		<-l.Context().Done()
		if end := (*bridge.EndError)(nil); errors.As(context.Cause(l.Context()), &end) {
			fmt.Fprintf(w, "event: end\ndata: %s\n\n", end.Code)
		}
	})
	for _, path := range []string{"/?name=ann", "/"} {
		w := httptest.NewRecorder()
		events.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		fmt.Print(w.Code, " ", w.Body)
	}
	// Output:
	// 200 data: hello ann
	//
	// event: end
	// data: revoked
	//
	// 401 log in first
}

// An operator ends the connections of a user, on every node if there is a Bus.
func ExampleBridge_Revoke() {
	hook, err := bridge.New(byName, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := hook.Revoke(context.Background(), bridge.Target{User: "ann", Via: "example"}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(hook.Revoke(context.Background(), bridge.Target{}))
	// Output: bridge: a revocation names a user (perhaps with the "via"), or a session, or everybody
}

// Who is connected to this node.
func ExampleBridge_Sessions() {
	hook, err := bridge.New(byName, nil)
	if err != nil {
		log.Fatal(err)
	}
	page := hook.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		for _, s := range hook.Sessions() {
			fmt.Println(s.User, "by", s.Via, "on", s.Connections)
		}
	}))
	page.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/?name=ann", nil))
	// Output: ann by example on 1
}

// A proxy asks whether a request is logged in: nginx' auth_request, say.
func ExampleBridge_ForwardAuth() {
	hook, err := bridge.New(byName, nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, path := range []string{"/auth?name=ann", "/auth"} {
		w := httptest.NewRecorder()
		hook.ForwardAuth().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		fmt.Println(w.Code, w.Header().Get("X-User-Id"))
	}
	// Output:
	// 200 ann
	// 401
}

// Centrifugo asks who a client is, with the client's own headers.
func ExampleBridge_CentrifugoConnect() {
	hook, err := bridge.New(byName, nil)
	if err != nil {
		log.Fatal(err)
	}
	w := httptest.NewRecorder()
	hook.CentrifugoConnect().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/centrifugo/connect", strings.NewReader(`{}`)))
	fmt.Println(w.Code, w.Body)
	// Output: 200 {"disconnect":{"code":4501,"reason":"credentials_required"}}
}

// Metrics and a log of one's own, say, from the same events.
func ExampleObservers() {
	refused := 0
	count := func(ctx context.Context, e bridge.Event) context.Context {
		if e.Kind == bridge.EventHandshakeEnd && e.Code != "" {
			refused++
		}
		return ctx
	}
	tell := func(ctx context.Context, e bridge.Event) context.Context {
		if e.Kind == bridge.EventHandshakeEnd {
			fmt.Printf("via %q, code %q\n", e.Via, e.Code)
		}
		return ctx
	}
	hook, err := bridge.New(byName, &bridge.Options{Observe: bridge.Observers(count, tell)})
	if err != nil {
		log.Fatal(err)
	}
	page := hook.Middleware(http.NotFoundHandler())
	for _, path := range []string{"/?name=ann", "/"} {
		page.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
	}
	fmt.Println(refused, "refused")
	// Output:
	// via "example", code ""
	// via "", code "credentials_required"
	// 1 refused
}

// A service that stops tells its clients, over as long as it has.
func ExampleBridge_Shutdown() {
	hook, err := bridge.New(byName, nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(hook.Shutdown(ctx), hook.Len())
	// Output: <nil> 0
}
