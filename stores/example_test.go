package stores_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/stores"
)

// embedded is a Redis inside the process, in the place of a real one.
func embedded() *miniredis.Miniredis {
	m, err := miniredis.Run()
	if err != nil {
		panic(err)
	}
	return m
}

func ExampleNewRedis() {
	server := embedded()
	defer server.Close()
	_ = server.Set("PHPREDIS_SESSION:ie12vpe0dhmclqjbgktaseh6og", "user_id|i:42;")

	client := redis.NewClient(&redis.Options{
		Addr:                  server.Addr(),
		ContextTimeoutEnabled: true, // the store's timeout is then the client's
	})
	defer client.Close()
	store, err := stores.NewRedis(client, &stores.RedisOptions{Timeout: 500 * time.Millisecond})
	if err != nil {
		panic(err)
	}
	ks := stores.PHPKeyspace()
	session, err := ks.Load(context.Background(), store, "ie12vpe0dhmclqjbgktaseh6og")
	if err != nil {
		return // errors.Is(err, stores.ErrNotFound), or an outage
	}
	fmt.Println(stores.UserID(session, "user_id"))
	// Output: 42 <nil>
}

// The servers of session.save_path, as it stands in php.ini.
func ExampleNewSavePath() {
	one, two := embedded(), embedded()
	defer one.Close()
	defer two.Close()
	for _, s := range []*miniredis.Miniredis{one, two} { // on one of them PHP has written it
		_ = s.DB(2).Set("app:ie12vpe0dhmclqjbgktaseh6og", "user_id|i:42;")
	}

	store, err := stores.NewSavePath("tcp://"+one.Addr()+"?database=2&prefix=app:, tcp://"+two.Addr()+"?database=2&prefix=app:&weight=2", nil)
	if err != nil {
		panic(err)
	}
	defer store.Close()
	ks := stores.PHPKeyspace() // whose prefix the save_path's own takes the place of
	session, err := ks.Load(context.Background(), store, "ie12vpe0dhmclqjbgktaseh6og")
	if err != nil {
		panic(err)
	}
	fmt.Println(stores.UserID(session, "user_id"))
	// Output: 42 <nil>
}

// Servers with clients of one's own, which phpredis spreads sessions over.
func ExampleNewSharded() {
	memory := []*stores.Memory{stores.NewMemory(), stores.NewMemory()}
	for _, m := range memory {
		m.Set("PHPREDIS_SESSION:ie12vpe0dhmclqjbgktaseh6og", []byte("user_id|i:42;"), time.Hour)
	}
	store, err := stores.NewSharded(
		stores.Shard{Store: memory[0]},
		stores.Shard{Store: memory[1], Weight: 2}, // has two thirds of them
	)
	if err != nil {
		panic(err)
	}
	ks := stores.PHPKeyspace()
	session, err := ks.Load(context.Background(), store, "ie12vpe0dhmclqjbgktaseh6og")
	if err != nil {
		panic(err)
	}
	fmt.Println(stores.UserID(session, "user_id"))
	// Output: 42 <nil>
}

// A bus carries revocations to all nodes of a service.
func ExampleNewBus() {
	server := embedded()
	defer server.Close()
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()
	bus, err := stores.NewBus(client, nil)
	if err != nil {
		panic(err)
	}
	// The service gives the bus to bridge.New, in Options.Bus. Any other Go
	// program may publish what Bridge.Revoke would:
	fmt.Println(bus.Publish(context.Background(), []byte(`{"user":"42"}`)))
	// Output: <nil>
}

// A store for tests: what is set is there until its time is over.
func ExampleNewMemory() {
	store := stores.NewMemory()
	store.Set("PHPREDIS_SESSION:ie12vpe0dhmclqjbgktaseh6og", []byte("user_id|i:42;"), 24*time.Minute)
	ks := stores.PHPKeyspace()
	session, err := ks.Load(context.Background(), store, "ie12vpe0dhmclqjbgktaseh6og")
	if err != nil {
		panic(err)
	}
	fmt.Println(stores.UserID(session, "user_id"))

	store.Delete("PHPREDIS_SESSION:ie12vpe0dhmclqjbgktaseh6og")
	_, err = ks.Load(context.Background(), store, "ie12vpe0dhmclqjbgktaseh6og")
	fmt.Println(errors.Is(err, stores.ErrNotFound), err)
	// Output:
	// 42 <nil>
	// true no such session
}

// Where the user may be, when it is not where it was looked for.
func ExampleUserPaths() {
	v, _, err := stores.Express().Decode([]byte(`{"cookie":{"path":"/"},"auth":{"user":{"id":42,"email":"ann@example.com"}}}`))
	if err != nil {
		panic(err)
	}
	_, err = stores.UserID(v, "passport.user")
	fmt.Println(err)
	fmt.Println(stores.UserPaths(v))
	// Output:
	// nobody is logged in to the session: nothing at "passport.user"
	// [auth.user.id auth.user.email]
}

func ExampleKeyspace_Load() {
	store := stores.NewMemory()
	store.Set("sess:8ATkNW1g3rInD1isL8QhJY42Gy5L2puJ", []byte(`{"cookie":{},"passport":{"user":42}}`), time.Hour)

	ks := stores.ExpressKeyspace()
	session, err := ks.Load(context.Background(), store, "8ATkNW1g3rInD1isL8QhJY42Gy5L2puJ")
	if err != nil {
		panic(err)
	}
	user, err := stores.UserID(session, "passport.user")
	fmt.Println(user, err)
	// Output: 42 <nil>
}
