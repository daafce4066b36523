// Command pusher serves unmodified Pusher clients, pusher-js and Laravel Echo:
//
//	go run ./examples/pusher
//
// The page logs in to a web application, whose session cookie authorizes its
// private and presence channels for as long as the login lasts. It brings its
// own Redis (miniredis, inside the process), or takes a real one:
// -redis redis://localhost:6379.
package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"flag"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/pusher"
	"github.com/sessionbridge/sessionbridge/stores"
)

//go:embed page.html
var page []byte

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address of the page")
	redisURL := flag.String("redis", "", "a Redis to use instead of the built-in one")
	clients := flag.String("clients", "", "a node_modules with the clients' bundles; default: the CDN's")
	flag.Parse()
	handler, _, err := newService(context.Background(), *redisURL, *clients)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("\n  http://%s\n\nLog in as alice or bob, password demo; stop with Ctrl-C.\n", *listen)
	srv := &http.Server{Addr: *listen, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(srv.ListenAndServe())
}

func newService(ctx context.Context, redisURL, clients string) (http.Handler, *bridge.Bridge, error) {
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
	auth, err := cookie.New(store, cookie.Gorilla(sessionCookie))
	if err != nil {
		return nil, nil, err
	}
	b, err := bridge.New(auth, &bridge.Options{Sweep: 2 * time.Second})
	if err != nil {
		return nil, nil, err
	}
	server, err := pusher.New(b, &pusher.Options{AppKey: "example", Secret: rand.Text(), ClientEvents: true})
	if err != nil {
		return nil, nil, err
	}
	handler, err := newWebApp(ctx, rdb, clients)
	if err != nil {
		return nil, nil, err
	}
	handler.Handle("/app/", server)
	handler.Handle("POST /broadcasting/auth", server.AuthHandler(mayJoin))
	handler.Handle("POST /broadcasting/user-auth", server.UserAuthHandler(nil))
	handler.Handle("POST /ship", b.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := bridge.FromContext(r.Context())
		order := map[string]any{"id": 7, "at": time.Now()}
		if err := server.Trigger("private-orders."+id.User, "OrderShipped", order); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})))
	return handler, b, nil
}

// mayJoin lets each user have the channel of its own orders, and everybody who
// is logged in the room.
func mayJoin(_ context.Context, id *bridge.Identity, channel string) (*pusher.Member, error) {
	switch channel {
	case "private-orders." + id.User:
		return nil, nil
	case "presence-room":
		return &pusher.Member{Info: map[string]string{"name": nameOf(id.User)}}, nil
	}
	return nil, pusher.ErrForbidden
}
