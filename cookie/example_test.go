package cookie_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

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

// Several stacks in one service: whoever is logged in to one of them may come.
func ExampleNew_severalStacks() {
	store := stores.NewMemory() // stores.NewRedis in a service
	store.Set("PHPREDIS_SESSION:ie12vpe0dhmclqjbgktaseh6og", []byte("user_id|i:42;"), time.Hour)

	var chain []bridge.Authenticator
	for _, stack := range []cookie.Stack{cookie.PHP(), cookie.Express("keyboard cat"), cookie.Gorilla("session-key")} {
		auth, err := cookie.New(store, stack)
		if err != nil {
			log.Fatal(err)
		}
		chain = append(chain, auth)
	}
	auth := bridge.First(chain...)

	r := httptest.NewRequest(http.MethodGet, "/socket", nil)
	r.Header.Set("Cookie", "lang=en; PHPSESSID=ie12vpe0dhmclqjbgktaseh6og")
	id, err := auth.Authenticate(context.Background(), &bridge.Handshake{Request: r})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(id.User, "by", id.Via)
	// Output: 42 by php
}

// The log says why a login was not recognised, and what to try.
func ExampleAuthenticator_Authenticate() {
	store := stores.NewMemory()
	store.Set("PHPREDIS_SESSION:ie12vpe0dhmclqjbgktaseh6og", []byte(`auth|a:1:{s:7:"user_id";i:42;}`), time.Hour)
	auth, err := cookie.New(store, cookie.PHP())
	if err != nil {
		log.Fatal(err)
	}
	for _, header := range []string{"lang=en", "PHPSESSID=ie12vpe0dhmclqjbgktaseh6og"} {
		r := httptest.NewRequest(http.MethodGet, "/socket", nil)
		r.Header.Set("Cookie", header)
		_, err = auth.Authenticate(context.Background(), &bridge.Handshake{Request: r})
		fmt.Println(err)
	}
	// Output:
	// no credential: php: no cookie "PHPSESSID"; the request has "lang": if none is the session's, check its Domain, Path, Secure and SameSite
	// no credential: php: nobody is logged in to the session: nothing at "user_id"; if the user is logged in, set User to "auth.user_id"
}
