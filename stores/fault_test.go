package stores_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/stores"
)

// An outage says which server was asked, what it said, and what to try; never
// the password.
func TestRedisFaultsTeach(t *testing.T) {
	const password = "hunter2hunter2"
	server := redisOptions(t, partstest.Redis(t).URL)
	locked := redisOptions(t, partstest.Redis(t, "--requirepass", password).URL)
	admin := newClient(t, server)
	do(t, admin, "ACL SETUSER elsewhere on >"+password+" ~other:* +@all", "ACL SETUSER idle on >"+password+" ~* -@all +ping")
	as := func(o *redis.Options, set func(*redis.Options)) redis.Options {
		o2 := *o
		set(&o2)
		return o2
	}
	nobody := nowhere(t)
	for _, c := range []struct {
		name string
		opts redis.Options
		says []string
	}{
		{"nothing listens", as(server, func(o *redis.Options) { o.Addr = nobody }),
			[]string{"Redis at " + nobody + ", database 0: ", "connection refused; nothing listens there: start Redis"}},
		{"no such host", as(server, func(o *redis.Options) { o.Addr = "redis.invalid:6379" }),
			[]string{"Redis at redis.invalid:6379", "lookup redis.invalid", "give a host name that this machine can look up"}},
		{"no password", *locked, []string{"Redis at " + locked.Addr, "NOAUTH", "give the client the server's password"}},
		{"another password", as(locked, func(o *redis.Options) { o.Password = password + "x" }),
			[]string{"WRONGPASS", "the user name or the password is not one of this server's"}},
		{"keys that the user may not read", as(server, func(o *redis.Options) { o.Username, o.Password = "elsewhere", password }),
			[]string{"NOPERM", "give the client's user the right to it"}},
		{"commands that the user may not run", as(server, func(o *redis.Options) { o.Username, o.Password = "idle", password }),
			[]string{"NOPERM", "'getrange'", "give the client's user the right to it"}},
		{"no such database", as(server, func(o *redis.Options) { o.DB = 99 }),
			[]string{"database 99: ERR DB index is out of range; this server has no database of that number"}},
		{"TLS where there is none", as(server, func(o *redis.Options) { o.TLSConfig = &tls.Config{InsecureSkipVerify: true} }),
			[]string{"no answer in time", "only one of the two speaks TLS"}},
	} {
		for _, obeys := range []bool{true, false} {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				opts := c.opts
				opts.ContextTimeoutEnabled = obeys
				_, err := newRedis(t, newClient(t, &opts), nil).Fetch(t.Context(), stores.Key{Prefix: "sess:", ID: "8ATkNW1g3rInD1isL8QhJY42Gy5L2puJ"})
				if err == nil {
					t.Fatal("no error")
				}
				for _, says := range c.says {
					if !strings.Contains(err.Error(), says) {
						t.Errorf("error %q, want one with %q", err, says)
					}
				}
				if text := err.Error(); strings.Contains(text, password) || strings.Contains(text, "8ATk") || strings.Contains(text, "\n") {
					t.Errorf("error %q", text)
				}
			})
		}
	}
}

// A server that takes connections and says nothing is not taken for one that
// refuses them.
func TestRedisSilenceIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	opts := &redis.Options{Addr: l.Addr().String(), ContextTimeoutEnabled: true}
	_, err = newRedis(t, newClient(t, opts), &stores.RedisOptions{Timeout: 100 * time.Millisecond}).Fetch(t.Context(), stores.Key{ID: "x"})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "Redis at "+opts.Addr+", database 0: no answer in time: ") || strings.Contains(err.Error(), "refused") {
		t.Errorf("error %v", err)
	}
}

func TestRedisString(t *testing.T) {
	const password = "hunter2hunter2"
	for _, c := range []struct {
		name   string
		client redis.UniversalClient
		want   string
	}{
		{"one server", redis.NewClient(&redis.Options{Addr: "db:6379", DB: 2, Username: "u", Password: password}), "Redis at db:6379, database 2"},
		{"a Unix socket", redis.NewClient(&redis.Options{Network: "unix", Addr: "/run/redis.sock"}), "Redis at /run/redis.sock, database 0"},
		{"Sentinel", redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "m", SentinelAddrs: []string{"db:26379"}, DB: 1}), "Sentinel's Redis, database 1"},
		{"a cluster", redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"a:1", "b:2"}, Password: password}), "the Redis cluster at a:1, b:2"},
		{"a ring", redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": "a:1"}}), "Redis"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Cleanup(func() { _ = c.client.Close() })
			if got := newRedis(t, c.client, nil).String(); got != c.want {
				t.Errorf("= %q, want %q", got, c.want)
			}
		})
	}
}

// nowhere returns an address at which nothing listens.
func nowhere(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
