package stores_test

import (
	"context"
	"errors"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/internal/parts"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/stores"
)

// changes records what a watcher says.
type changes chan string

func (c changes) Changed(keys []string) {
	for _, k := range keys {
		c <- "changed " + k
	}
}
func (c changes) Alive(time.Time) {}
func (c changes) Lost(error)      { c <- "lost" }
func (c changes) Restored(string) { c <- "restored" }

// expect waits for what must come next; notices of a loss that repeat
// themselves while a server is away count once.
func (c changes) expect(t *testing.T, want ...string) {
	t.Helper()
	deadline := time.After(15 * time.Second)
	last := ""
	for len(want) > 0 {
		select {
		case got := <-c:
			if got == "lost" && last == "lost" {
				continue
			}
			if got != want[0] {
				t.Fatalf("got %q, want %q", got, want[0])
			}
			last, want = got, want[1:]
		case <-deadline:
			t.Fatalf("nothing came, want %q", want[0])
		}
	}
}

// watching follows a server's changes until the test ends.
func watching(t *testing.T, client redis.UniversalClient, mode stores.WatchMode, prefixes ...string) changes {
	t.Helper()
	s, err := stores.NewRedis(client, &stores.RedisOptions{Watch: stores.WatchOptions{
		Mode: mode, Heartbeat: 50 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	}})
	if err != nil {
		t.Fatal(err)
	}
	c := make(changes, 10_000)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Watch(ctx, prefixes, c) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Watch: %v", err)
		}
	})
	c.expect(t, "restored")
	return c
}

func client(t *testing.T, server *parts.Process) *redis.Client {
	t.Helper()
	opts, err := redis.ParseURL(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(opts)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestWatch(t *testing.T) {
	for _, mode := range []stores.WatchMode{stores.WatchTracking, stores.WatchKeyEvents} {
		t.Run(string(mode), func(t *testing.T) {
			server := partstest.Redis(t, "--notify-keyspace-events", "KA")
			rdb := client(t, server)
			c := watching(t, rdb, mode, "sess:", "sess:nested:", "PHP*[x]:")
			do := func(args ...any) {
				t.Helper()
				if err := rdb.Do(t.Context(), args...).Err(); err != nil {
					t.Fatal(err)
				}
			}
			do("SET", "other", "x")
			do("SET", "PHPxx:1", "x")
			do("SET", "sess:1", "x")
			c.expect(t, "changed sess:1")
			do("SET", "sess:nested:1", "x")
			c.expect(t, "changed sess:nested:1")
			do("SET", "PHP*[x]:1", "x")
			c.expect(t, "changed PHP*[x]:1")
			do("DEL", "sess:1")
			c.expect(t, "changed sess:1")
			do("UNLINK", "sess:nested:1")
			c.expect(t, "changed sess:nested:1")
			do("SET", "sess:2", "x", "PX", "1")
			if mode == stores.WatchKeyEvents {
				c.expect(t, "changed sess:2") // set, then expire
			}
			c.expect(t, "changed sess:2")
			for rdb.Exists(t.Context(), "sess:2").Val() != 0 { // looking at it makes Redis notice
			}
			c.expect(t, "changed sess:2")
			if mode == stores.WatchTracking {
				do("FLUSHALL")
				c.expect(t, "lost", "restored")
			}
			do("CLIENT", "KILL", "TYPE", "pubsub")
			c.expect(t, "lost", "restored")
			do("SET", "sess:3", "x")
			c.expect(t, "changed sess:3")
		})
	}
}

func TestWatchServerAway(t *testing.T) {
	server := partstest.Redis(t)
	c := watching(t, client(t, server), stores.WatchAuto, "sess:")
	if err := server.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	c.expect(t, "lost") // silence is noticed by the heartbeat
	if err := server.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	c.expect(t, "restored")
}

func TestWatchAuto(t *testing.T) {
	for _, tc := range []struct {
		name   string
		server []string
		push   bool
	}{
		{"tracking", nil, true},
		{"key events where tracking is forbidden", []string{"--notify-keyspace-events", "KA", "--rename-command", "CLIENT", ""}, true},
		{"neither", []string{"--rename-command", "CLIENT", ""}, false},
		{"key events that leave out deletions", []string{"--notify-keyspace-events", "K$", "--rename-command", "CLIENT", ""}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := partstest.Redis(t, tc.server...)
			rdb := client(t, server)
			if tc.push {
				c := watching(t, rdb, stores.WatchAuto, "sess:")
				if err := rdb.Set(t.Context(), "sess:1", "x", 0).Err(); err != nil {
					t.Fatal(err)
				}
				c.expect(t, "changed sess:1")
				return
			}
			s, err := stores.NewRedis(rdb, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Watch(t.Context(), []string{"sess:"}, make(changes, 10)); !errors.Is(err, stores.ErrNotWatchable) {
				t.Errorf("Watch = %v, want ErrNotWatchable", err)
			}
		})
	}
}

func TestWatchSharded(t *testing.T) {
	one, two := partstest.Redis(t), partstest.Redis(t)
	path := func(p *parts.Process) string { return "tcp" + p.URL[len("redis"):] }
	s, err := stores.NewSavePath(path(one)+","+path(two)+"?prefix=app:", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	c := make(changes, 100)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Watch(ctx, []string{"PHPREDIS_SESSION:"}, c) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Watch: %v", err)
		}
	})
	c.expect(t, "restored")
	for server, key := range map[*parts.Process]string{one: "PHPREDIS_SESSION:1", two: "app:1"} {
		if err := client(t, server).Set(t.Context(), key, "x", 0).Err(); err != nil {
			t.Fatal(err)
		}
		c.expect(t, "changed PHPREDIS_SESSION:1") // as the keyspace calls it
	}
	two.Kill()
	c.expect(t, "lost")
}
