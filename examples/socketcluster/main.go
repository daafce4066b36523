// Command socketcluster serves unmodified SocketCluster clients:
//
//	go run ./examples/socketcluster
//
// The page logs in to a web application, whose session cookie authenticates
// the socket, or by a procedure on the socket, which gives it a token. It
// brings its own Redis (miniredis, inside the process), or takes a real one:
// -redis redis://localhost:6379.
package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/jwtmode"
	"github.com/sessionbridge/sessionbridge/socketcluster"
	"github.com/sessionbridge/sessionbridge/stores"
)

//go:embed page.html
var page []byte

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address of the page")
	redisURL := flag.String("redis", "", "a Redis to use instead of the built-in one")
	client := flag.String("client", "", "the client's bundle; default: the CDN's")
	flag.Parse()
	handler, _, err := newService(context.Background(), *redisURL, *client)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("\n  http://%s\n\nLog in as alice or bob, password demo; stop with Ctrl-C.\n", *listen)
	srv := &http.Server{Addr: *listen, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(srv.ListenAndServe())
}

func newService(ctx context.Context, redisURL, client string) (http.Handler, *bridge.Bridge, error) {
	rdb, pushes, err := connectRedis(redisURL)
	if err != nil {
		return nil, nil, err
	}
	var store stores.Store
	if store, err = stores.NewRedis(rdb, nil); err != nil {
		return nil, nil, err
	}
	if !pushes { // the built-in Redis reports no changes: they are looked for
		store = struct{ stores.Store }{store}
	}
	sessionAuth, err := cookie.New(store, cookie.Gorilla(sessionCookie))
	if err != nil {
		return nil, nil, err
	}
	issuer, err := jwtmode.NewIssuer(jwtmode.IssuerOptions{Issuer: "example", Audience: []string{"example"}, Algorithm: "HS256", Key: []byte(rand.Text() + rand.Text())})
	if err != nil {
		return nil, nil, err
	}
	tokenAuth, err := jwtmode.New(issuer.Options())
	if err != nil {
		return nil, nil, err
	}
	b, err := bridge.New(bridge.First(sessionAuth, tokenAuth), &bridge.Options{Sweep: 2 * time.Second})
	if err != nil {
		return nil, nil, err
	}
	server, err := socketcluster.New(b, &socketcluster.Options{
		Authorize: func(_ context.Context, r *socketcluster.Request) error {
			if r.Identity == nil {
				return &socketcluster.Error{Name: "AuthError", Message: "log in first"}
			}
			return nil
		},
		Issuer: socketcluster.IssuerFunc(func(_ context.Context, id *bridge.Identity) (string, time.Time, error) {
			token, err := issuer.Issue(id)
			return token.Text, token.Expires, err
		}),
	})
	if err != nil {
		return nil, nil, err
	}
	server.Handle("login", func(ctx context.Context, c *socketcluster.Conn, data json.RawMessage) (any, error) {
		user, ok := checkPassword(data)
		if !ok {
			return nil, &socketcluster.Error{Name: "LoginError", Message: "wrong user or password"}
		}
		return nil, c.SetAuthToken(ctx, &bridge.Identity{User: user})
	})
	server.Handle("logout", socketcluster.Logout)
	handler, err := newWebApp(ctx, rdb, client)
	if err != nil {
		return nil, nil, err
	}
	handler.Handle("/socketcluster/", server)
	return handler, b, nil
}
