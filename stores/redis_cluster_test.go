package stores_test

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/stores"
)

// checkSpread sets sessions through a client and reads them all back at once.
func checkSpread(t *testing.T, client redis.UniversalClient) {
	t.Helper()
	var keys []stores.Key
	for i := range 50 {
		k := stores.Key{Prefix: "sess:", ID: strconv.Itoa(i)}
		keys = append(keys, k, stores.Key{Prefix: "none:", ID: k.ID})
		if err := client.Set(t.Context(), k.String(), "value "+k.ID, time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
	}
	do(t, client, "HSET sess:0h a 1")
	keys = append(keys, stores.Key{Prefix: "sess:", ID: "0h"})
	got, err := newRedis(t, client, patient).Fetch(t.Context(), keys...)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range got[:100] {
		switch {
		case i%2 == 1:
			if r.Found {
				t.Errorf("%v is found", keys[i])
			}
		case string(r.Value) != "value "+keys[i].ID || r.TTL <= 0 || r.TTL > time.Minute:
			t.Errorf("%v: value %q, TTL %v", keys[i], r.Value, r.TTL)
		}
	}
	if r := got[100]; r.Err != stores.ErrWrongType {
		t.Errorf("a hash: %+v", r)
	}
}

func TestRedisCluster(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	bus := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	p := partstest.Redis(t, "--cluster-enabled", "yes", "--dir", t.TempDir(), "--cluster-port", strconv.Itoa(bus))
	opts := redisOptions(t, p.URL)
	admin := newClient(t, opts)
	do(t, admin, "CLUSTER ADDSLOTSRANGE 0 16383")
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for info := ""; !strings.Contains(info, "cluster_state:ok"); {
		select {
		case <-tick.C:
		case <-time.After(10 * time.Second):
			t.Fatalf("the cluster is not ready:\n%s", info)
		}
		if info, err = admin.ClusterInfo(t.Context()).Result(); err != nil {
			t.Fatal(err)
		}
	}
	for _, obeys := range []bool{false, true} {
		t.Run(fmt.Sprintf("ContextTimeoutEnabled=%v", obeys), func(t *testing.T) {
			client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{opts.Addr}, ContextTimeoutEnabled: obeys})
			t.Cleanup(func() { _ = client.Close() })
			checkSpread(t, client)
		})
	}
}

// Both commands of a lookup go to the shard that has the key.
func TestRedisRing(t *testing.T) {
	a, b := redisOptions(t, partstest.Redis(t).URL), redisOptions(t, partstest.Redis(t).URL)
	client := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": a.Addr, "b": b.Addr}})
	t.Cleanup(func() { _ = client.Close() })
	checkSpread(t, client)
	for _, shard := range []*redis.Options{a, b} {
		if n, err := newClient(t, shard).DBSize(t.Context()).Result(); n == 0 || err != nil {
			t.Errorf("a shard has %d keys, %v", n, err)
		}
	}
}
