package stores_test

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/stores"
)

func ExampleNewRedis() {
	client := redis.NewClient(&redis.Options{
		Addr:                  "127.0.0.1:6379",
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
	user, err := stores.UserID(session, "user_id")
	fmt.Println(user, err)
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
