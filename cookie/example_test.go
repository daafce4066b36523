package cookie_test

import (
	"log"
	"net/http"
	"os"

	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/stores"
	"github.com/sessionbridge/sessionbridge/stores/php"
)

func newStore() stores.Store {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379", ContextTimeoutEnabled: true})
	store, err := stores.NewRedis(client, nil)
	if err != nil {
		log.Fatal(err)
	}
	return store
}

// PHP's own sessions, by phpredis: what php.ini and the application set
// differently from the defaults is set in the stack.
func ExampleNew_php() {
	stack := cookie.PHP()
	stack.Cookie = "APPSESS"                                // session.name
	stack.Keyspace.Prefix = "app:"                          // ?prefix= of session.save_path
	stack.Keyspace.Codec = stores.PHP(php.HandlerSerialize) // session.serialize_handler
	stack.User = "auth.user.id"                             // $_SESSION["auth"]["user"]["id"]
	auth, err := cookie.New(newStore(), stack)
	if err != nil {
		log.Fatal(err)
	}
	hook, err := bridge.New(auth, nil)
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/socket", hook.Handler(func(c *bridge.Conn) {
		log.Println("user", c.Identity().User)
	}))
}

// express-session with connect-redis and passport. The secrets are those of
// session({secret: […]}), the newest first.
func ExampleNew_express() {
	auth, err := cookie.New(newStore(), cookie.Express(os.Getenv("SESSION_SECRET"), os.Getenv("OLD_SESSION_SECRET")))
	if err != nil {
		log.Fatal(err) // an empty secret is refused
	}
	_ = auth
}

// gorilla/sessions with redisstore. Types of the application's own in a
// session must be registered with gob.Register here too.
func ExampleNew_gorilla() {
	stack := cookie.Gorilla("session-key") // the name given to the store's Get
	stack.User = "user.ID"                 // a field of a struct
	auth, err := cookie.New(newStore(), stack)
	if err != nil {
		log.Fatal(err)
	}
	_ = auth
}

// Browsers present the cookie; other clients send {"rediskey": "<session id>"}
// as their first message.
func ExampleRedisKey() {
	store := newStore()
	phpAuth, err := cookie.New(store, cookie.PHP())
	if err != nil {
		log.Fatal(err)
	}
	expressAuth, err := cookie.New(store, cookie.Express(os.Getenv("SESSION_SECRET")))
	if err != nil {
		log.Fatal(err)
	}
	keys, err := cookie.RedisKey(phpAuth, expressAuth)
	if err != nil {
		log.Fatal(err)
	}
	hook, err := bridge.New(bridge.First(phpAuth, expressAuth, keys), nil)
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/socket", hook.Handler(func(c *bridge.Conn) {}))
}
