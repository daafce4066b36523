package sessionbridge_test

import (
	"log"
	"net/http"
	"os"

	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/stores"
)

// The lines that the README adds to a service.
func Example() {
	rdb := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
	store, err := stores.NewRedis(rdb, nil)
	if err != nil {
		log.Fatal(err)
	}
	phpAuth, err := cookie.New(store, cookie.PHP())
	if err != nil {
		log.Fatal(err)
	}
	expressAuth, err := cookie.New(store, cookie.Express(os.Getenv("SESSION_SECRET")))
	if err != nil {
		log.Fatal(err)
	}
	b, err := bridge.New(bridge.First(phpAuth, expressAuth), nil)
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/ws", b.Handler(func(c *bridge.Conn) {
		for {
			kind, message, err := c.ReadMessage()
			if err != nil {
				return
			}
			log.Printf("user %s: %s", c.Identity().User, message)
			_ = c.WriteMessage(kind, message)
		}
	}))
}
