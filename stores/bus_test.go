package stores_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/stores"
)

// startBus returns two busses on one server, what the second receives, and a
// client for everything else.
func startBus(t *testing.T) (from *stores.Bus, received <-chan string, rdb *redis.Client) {
	t.Helper()
	opts, err := redis.ParseURL(partstest.Redis(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	newBus := func(name string) *stores.Bus {
		opts := *opts
		opts.ClientName = name
		client := redis.NewClient(&opts)
		t.Cleanup(func() { client.Close() })
		bus, err := stores.NewBus(client, &stores.BusOptions{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return bus
	}
	rdb = redis.NewClient(opts)
	t.Cleanup(func() { rdb.Close() })
	from, to := newBus("from"), newBus("to")
	ctx, stop := context.WithCancel(context.Background())
	messages := make(chan string, 100)
	done := make(chan error, 1)
	if err := from.Publish(ctx, []byte("before anybody followed")); err != nil {
		t.Fatal(err)
	}
	go func() { done <- to.Follow(ctx, func(m []byte) { messages <- string(m) }) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Follow returned %v", err)
		}
	})
	eventually(t, "the second follows", func() bool { return followers(t, rdb) == 1 })
	return from, messages, rdb
}

func followers(t *testing.T, rdb *redis.Client) int64 {
	t.Helper()
	n, err := rdb.PubSubNumSub(context.Background(), "sessionbridge:revoke").Result()
	if err != nil {
		t.Fatal(err)
	}
	return n["sessionbridge:revoke"]
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("it did not happen that %s", what)
		}
		<-tick.C
	}
}

func expectMessage(t *testing.T, received <-chan string, want string) {
	t.Helper()
	select {
	case got := <-received:
		if got != want {
			t.Fatalf("received %q, want %q", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("%q was not received", want)
	}
}

func TestBus(t *testing.T) {
	from, received, rdb := startBus(t)
	ctx := t.Context()
	publish := func(message string) {
		t.Helper()
		if err := from.Publish(ctx, []byte(message)); err != nil {
			t.Fatal(err)
		}
	}
	publish("first")
	expectMessage(t, received, "first") // and not what was published before it followed
	// Another program's messages may be equal.
	for range 2 {
		if err := rdb.Publish(ctx, "sessionbridge:revoke", "again").Err(); err != nil {
			t.Fatal(err)
		}
		expectMessage(t, received, "again")
	}
	ttl, err := rdb.TTL(ctx, "sessionbridge:revoke:log").Result()
	if err != nil || ttl <= 0 || ttl > 10*time.Minute {
		t.Errorf("the log lives for %v, %v", ttl, err)
	}

	// What is published while the follower is cut off comes later, and once.
	for i := range 5 {
		if err := rdb.Do(ctx, "CLIENT", "KILL", "TYPE", "pubsub").Err(); err != nil {
			t.Fatal(err)
		}
		publish(fmt.Sprintf("while it is away %d", i))
		expectMessage(t, received, fmt.Sprintf("while it is away %d", i))
		eventually(t, "the second follows again", func() bool { return followers(t, rdb) == 1 })
	}
	publish("last")
	expectMessage(t, received, "last")
	select {
	case m := <-received:
		t.Errorf("received %q, too", m)
	default:
	}
}

func TestBusLogIsBounded(t *testing.T) {
	from, received, rdb := startBus(t)
	for i := range 3000 {
		if err := from.Publish(t.Context(), fmt.Appendf(nil, "%d", i)); err != nil {
			t.Fatal(err)
		}
		expectMessage(t, received, fmt.Sprint(i))
	}
	if n := rdb.XLen(t.Context(), "sessionbridge:revoke:log").Val(); n < 1000 || n > 1200 {
		t.Errorf("the log holds %d messages", n)
	}
}

func TestBusFails(t *testing.T) {
	server := partstest.Redis(t)
	opts, err := redis.ParseURL(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(opts)
	t.Cleanup(func() { client.Close() })
	bus, err := stores.NewBus(client, &stores.BusOptions{Channel: "own", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stores.NewBus(nil, nil); err == nil {
		t.Error("a nil client was accepted")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := bus.Publish(ctx, []byte("x")); err == nil {
		t.Error("publishing with a context that has ended gave no error")
	}
	if err := bus.Follow(ctx, func([]byte) {}); err != nil {
		t.Errorf("Follow with a context that has ended: %v", err)
	}
	server.Kill()
	if err := bus.Publish(t.Context(), []byte("x")); err == nil {
		t.Error("publishing to a server that is gone gave no error")
	}
}
