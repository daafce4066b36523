package stores_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/stores"
)

// While a server cannot be watched from the start, the log says so once, why,
// and what to try; never the password.
func TestWatchLogsWhyItCannotBegin(t *testing.T) {
	const password = "hunter2hunter2"
	nobody := nowhere(t)
	for _, tc := range []struct {
		name string
		away bool // or its user is not there
		mode stores.WatchMode
		says []string
	}{
		{"away", true, stores.WatchAuto, []string{"connection refused; nothing listens there"}},
		{"away, with a mode", true, stores.WatchTracking, []string{"mode=tracking", "connection refused; nothing listens there"}},
		{"no such user", false, stores.WatchAuto, []string{"WRONGPASS", "the user name or the password is not one of this server's"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			server := partstest.Redis(t)
			admin := newClient(t, redisOptions(t, server.URL))
			addUser := func() { do(t, admin, "ACL SETUSER app on >"+password+" ~* &* +@all") }
			opts := redisOptions(t, server.URL)
			opts.Username, opts.Password = "app", password
			var away atomic.Bool
			opts.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if away.Load() {
					addr = nobody
				}
				var d net.Dialer
				return d.DialContext(ctx, network, addr)
			}
			if tc.away {
				away.Store(true)
				addUser()
			}
			var book bytes.Buffer
			s := newRedis(t, newClient(t, opts), &stores.RedisOptions{Watch: stores.WatchOptions{
				Mode: tc.mode, Heartbeat: 50 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&book, nil))}})
			c := make(changes, 1000)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- s.Watch(ctx, []string{"sess:"}, c) }()
			for range 3 {
				c.eventually(t, "lost")
			}
			if tc.away {
				away.Store(false)
			} else {
				addUser()
			}
			c.eventually(t, "restored")
			cancel()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(book.String()), "\n")
			if len(lines) != 2 || !strings.Contains(lines[1], `level=INFO msg="watching sessions" node=`+opts.Addr+" mode=tracking") {
				t.Fatalf("the log is\n%swant one warning, and that the watching has begun", book.String())
			}
			for _, says := range append(tc.says, `level=WARN msg="changes of sessions may be missed" node=`+opts.Addr) {
				if !strings.Contains(lines[0], says) {
					t.Errorf("%s\nsays nothing of %q", lines[0], says)
				}
			}
			if strings.Contains(book.String(), password) {
				t.Error("the password is in the log")
			}
		})
	}
}

// A server that allows no reports is quoted, with what to do about it.
func TestWatchRefusalTeaches(t *testing.T) {
	for _, tc := range []struct {
		name   string
		server []string
		acl    string
		says   []string
	}{
		{"a user without the right to track", nil, "-client|tracking",
			[]string{"(CLIENT TRACKING: NOPERM ", "'client|tracking'", "give the client's user the right to it", `(notify-keyspace-events is ""; add KA to it)`}},
		{"a user without the right to ask", nil, "-client|tracking -config",
			[]string{"(CONFIG GET notify-keyspace-events: NOPERM ", "'config|get' command; give the client's user the right to it"}},
		{"a user without channels", []string{"--notify-keyspace-events", "KA"}, "resetchannels",
			[]string{"(SUBSCRIBE __redis__:invalidate: NOPERM ", "(PSUBSCRIBE __keyspace@0__:other:* __keyspace@0__:sess:*: NOPERM "}},
		{"a server without the command", []string{"--rename-command", "CLIENT", "", "--notify-keyspace-events", "K$"}, "+@all",
			[]string{"(CLIENT TRACKING: ERR unknown command 'client')", `(notify-keyspace-events is "$K"; add KA to it)`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rdb := client(t, partstest.Redis(t, tc.server...))
			do(t, rdb, "ACL SETUSER default "+tc.acl)
			err := newRedis(t, rdb, nil).Watch(t.Context(), []string{"sess:", "other:"}, make(changes, 10))
			if !errors.Is(err, stores.ErrNotWatchable) {
				t.Fatalf("Watch = %v, want ErrNotWatchable", err)
			}
			for _, says := range tc.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("error %q, want one with %q", err, says)
				}
			}
			if strings.Contains(err.Error(), "\x00") || strings.Contains(err.Error(), "with args") {
				t.Errorf("error %q", err)
			}
			mode, err := stores.AllowedWatchMode(t.Context(), rdb, "sess:")
			if mode != stores.WatchSweep || err != nil {
				t.Errorf("AllowedWatchMode = %q, %v, want WatchSweep", mode, err)
			}
		})
	}
}
