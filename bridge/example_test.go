package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
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
