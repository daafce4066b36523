package stores_test

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/stores"
)

// A server that is stopped keeps its connections and accepts new ones, and
// says nothing: the store answers in time all the same, by any kind of client.
func TestRedisHung(t *testing.T) {
	const (
		timeout = 100 * time.Millisecond
		late    = 10 * time.Second // on a busy machine; far from the clients' own timeouts
		own     = time.Minute
	)
	p := partstest.Redis(t)
	opts := redisOptions(t, p.URL)
	clients := map[string]func(obeys bool) redis.UniversalClient{
		"client": func(obeys bool) redis.UniversalClient {
			o := *opts
			o.ContextTimeoutEnabled, o.ReadTimeout, o.DialTimeout = obeys, own, own
			return redis.NewClient(&o)
		},
		"ring": func(obeys bool) redis.UniversalClient {
			return redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": opts.Addr},
				ContextTimeoutEnabled: obeys, ReadTimeout: own, DialTimeout: own})
		},
		"cluster": func(obeys bool) redis.UniversalClient {
			return redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{opts.Addr},
				ContextTimeoutEnabled: obeys, ReadTimeout: own, DialTimeout: own,
				ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
					return []redis.ClusterSlot{{Start: 0, End: 16383, Nodes: []redis.ClusterNode{{Addr: opts.Addr}}}}, nil
				}})
		},
	}
	stop := func(t *testing.T) {
		if err := p.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	proceed := func() { _ = p.Signal(syscall.SIGCONT) }
	t.Cleanup(proceed)
	for name, newClient := range clients {
		for _, obeys := range []bool{false, true} {
			for _, connected := range []bool{false, true} {
				t.Run(strings.Join([]string{name, "obeys=" + strconv.FormatBool(obeys), "connected=" + strconv.FormatBool(connected)}, "/"), func(t *testing.T) {
					leak := goleak.IgnoreCurrent()
					client := newClient(obeys)
					store := newRedis(t, client, &stores.RedisOptions{Timeout: timeout})
					if connected {
						// The first connection may take longer than the timeout
						// on a machine that is busy.
						if err := client.Ping(t.Context()).Err(); err != nil {
							t.Fatal(err)
						}
					}
					stop(t)
					began := time.Now()
					got, err := store.Fetch(t.Context(), stores.Key{ID: "x"})
					took := time.Since(began)
					proceed()
					checkOutage(t, got, err)
					var timedOut net.Error
					if !errors.Is(err, context.DeadlineExceeded) && !(errors.As(err, &timedOut) && timedOut.Timeout()) {
						t.Errorf("error %v, want a timeout", err)
					}
					if took > late {
						t.Errorf("it took %v", took)
					}
					if err := client.Close(); err != nil {
						t.Fatal(err)
					}
					goleak.VerifyNone(t, leak)
				})
			}
		}
	}
}

// Without ContextTimeoutEnabled a lookup that nobody waits for any more is left
// to the client, which ends it by its own timeouts, although the server goes on
// saying nothing.
func TestRedisHungLeavesNothingBehind(t *testing.T) {
	p := partstest.Redis(t)
	opts := redisOptions(t, p.URL)
	opts.ReadTimeout = 200 * time.Millisecond
	client := newClient(t, opts)
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	leak := goleak.IgnoreCurrent()
	store := newRedis(t, client, &stores.RedisOptions{Timeout: 10 * time.Millisecond})
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Signal(syscall.SIGCONT) })
	for range 20 {
		got, err := store.Fetch(t.Context(), stores.Key{ID: "x"})
		checkOutage(t, got, err)
	}
	for began := time.Now(); goleak.Find(leak) != nil && time.Since(began) < 10*time.Second; {
		// Find itself waits for half a second
	}
	goleak.VerifyNone(t, leak)
}
