package stores_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/internal/parts"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/stores"
)

// eventually waits for a notice, whatever else comes before it.
func (c changes) eventually(t *testing.T, want string) {
	t.Helper()
	deadline := time.After(15 * time.Second)
	for {
		select {
		case got := <-c:
			if got == want {
				return
			}
		case <-deadline:
			t.Fatalf("%q did not come", want)
		}
	}
}

// What Redis tells nobody is noticed all the same, and from then on changes are
// reported again.
func TestWatchUnreported(t *testing.T) {
	both := []stores.WatchMode{stores.WatchTracking, stores.WatchKeyEvents}
	for _, tc := range []struct {
		name  string
		modes []stores.WatchMode
		do    string
	}{
		{"the databases are swapped", both, "SWAPDB 0 1"},
		{"by a script", both, "EVAL return(redis.call('SWAPDB',0,1)) 0"},
		{"a flush", []stores.WatchMode{stores.WatchKeyEvents}, "FLUSHALL"},
		{"a flush of the database", []stores.WatchMode{stores.WatchKeyEvents}, "FLUSHDB"},
		{"a reload of the data", []stores.WatchMode{stores.WatchKeyEvents}, "DEBUG RELOAD"},
	} {
		for _, mode := range tc.modes {
			t.Run(tc.name+"/"+string(mode), func(t *testing.T) {
				rdb := client(t, partstest.Redis(t, "--notify-keyspace-events", "KA", "--enable-debug-command", "yes", "--dir", t.TempDir()))
				c := watching(t, rdb, mode, "sess:")
				do(t, rdb, tc.do)
				c.expect(t, "lost", "restored")
				do(t, rdb, "SET sess:1 x")
				c.expect(t, "changed sess:1")
			})
		}
	}
}

// A master that is demoted goes on answering, and so does a replica that is
// promoted: what they hold may have changed without a word.
func TestWatchRoles(t *testing.T) {
	for _, mode := range []stores.WatchMode{stores.WatchTracking, stores.WatchKeyEvents} {
		t.Run(string(mode), func(t *testing.T) {
			start := func() *parts.Process {
				return partstest.Redis(t, "--notify-keyspace-events", "KA", "--repl-diskless-sync-delay", "0", "--dir", t.TempDir())
			}
			other := start()
			rdb, master := client(t, start()), client(t, other)
			c := watching(t, rdb, mode, "sess:")
			do(t, rdb, "REPLICAOF "+strings.Replace(redisOptions(t, other.URL).Addr, ":", " ", 1))
			c.eventually(t, "lost")
			c.eventually(t, "restored")
			do(t, master, "SET sess:1 x")
			c.eventually(t, "changed sess:1")
			other.Kill() // nothing is heard from the master any more
			c.eventually(t, "lost")
			do(t, rdb, "REPLICAOF NO ONE")
			c.eventually(t, "restored")
			do(t, rdb, "SET sess:2 x")
			c.eventually(t, "changed sess:2")
		})
	}
}

// The client reads from another server while the old one, whose changes are
// watched, is as well as ever: so it is when Sentinel alone has lost the master.
func TestWatchOtherServer(t *testing.T) {
	before, after := partstest.Redis(t), partstest.Redis(t)
	opts := redisOptions(t, before.URL)
	var addr atomic.Value
	addr.Store(opts.Addr)
	opts.Dialer = func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, addr.Load().(string))
	}
	c := watching(t, newClient(t, opts), stores.WatchTracking, "sess:")
	addr.Store(redisOptions(t, after.URL).Addr)
	do(t, client(t, before), "CLIENT KILL TYPE normal") // and not that which is watched with
	c.expect(t, "lost", "restored")
	do(t, client(t, after), "SET sess:1 x")
	c.expect(t, "changed sess:1")
	// Reads that were under way may still have gone to the old one.
	for range 4 {
		c.expect(t, "lost", "restored")
	}
	do(t, client(t, after), "SET sess:2 x")
	c.expect(t, "changed sess:2")
}

func TestWatchWithoutInfo(t *testing.T) {
	rdb := client(t, partstest.Redis(t, "--rename-command", "INFO", ""))
	c := watching(t, rdb, stores.WatchAuto, "sess:")
	do(t, rdb, "SET sess:1 x")
	c.expect(t, "changed sess:1")
	do(t, rdb, "CLIENT KILL TYPE pubsub")
	c.expect(t, "lost", "restored")
}

// A server that allows a mode no longer is watched in another, or not at all.
func TestWatchModeChanges(t *testing.T) {
	for _, tc := range []struct {
		name string
		acl  string
		push bool
	}{
		{"CLIENT TRACKING", "-client|tracking", true},
		{"the channel of tracking", "resetchannels &__keyspace@0__:sess:*", true},
		{"all channels", "resetchannels", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rdb := client(t, partstest.Redis(t, "--notify-keyspace-events", "KA"))
			s := newRedis(t, rdb, &stores.RedisOptions{Watch: stores.WatchOptions{
				Heartbeat: 50 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)}})
			c := make(changes, 100)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- s.Watch(ctx, []string{"sess:"}, c) }()
			c.expect(t, "restored")
			do(t, rdb, "ACL SETUSER default "+tc.acl)
			do(t, rdb, "CLIENT KILL TYPE pubsub")
			c.expect(t, "lost")
			if tc.push {
				c.eventually(t, "restored")
				do(t, rdb, "SET sess:1 x")
				c.expect(t, "changed sess:1")
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
				return
			}
			select {
			case err := <-done:
				if !errors.Is(err, stores.ErrNotWatchable) {
					t.Errorf("Watch = %v, want ErrNotWatchable", err)
				}
			case <-time.After(15 * time.Second):
				t.Error("it goes on")
			}
		})
	}
}

func TestWatchReplicasOfCluster(t *testing.T) {
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}, RouteRandomly: true})
	t.Cleanup(func() { cluster.Close() })
	err := newRedis(t, cluster, nil).Watch(t.Context(), []string{"sess:"}, make(changes, 10))
	if !errors.Is(err, stores.ErrNotWatchable) {
		t.Errorf("Watch = %v, want ErrNotWatchable", err)
	}
}

// lease records until when everything is said to have been reported.
type lease struct {
	changes
	until chan time.Duration
}

func (l lease) Alive(until time.Time) {
	select {
	case l.until <- time.Until(until):
	default:
	}
}

// A lease is no longer than three heartbeats, counted from the question and not
// from the answer.
func TestWatchLease(t *testing.T) {
	const heartbeat = 100 * time.Millisecond
	rdb := client(t, partstest.Redis(t, "--enable-debug-command", "yes"))
	s := newRedis(t, rdb, &stores.RedisOptions{Watch: stores.WatchOptions{Heartbeat: heartbeat, Logger: slog.New(slog.DiscardHandler)}})
	l := lease{make(changes, 100), make(chan time.Duration, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Watch(ctx, []string{"sess:"}, l) }()
	l.expect(t, "restored")
	const late = 3*heartbeat - heartbeat/4
	shortest := time.Hour
	for began := time.Now(); shortest > late && time.Since(began) < 10*time.Second; {
		do(t, rdb, "DEBUG SLEEP 0.08") // whatever comes meanwhile is answered late
		select {
		case rest := <-l.until:
			shortest = min(shortest, rest)
			if rest >= 3*heartbeat {
				t.Errorf("it holds for %v, want less than three heartbeats", rest)
			}
		default:
		}
	}
	if shortest > late {
		t.Errorf("it holds for %v at the least, although answers were late", shortest)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
