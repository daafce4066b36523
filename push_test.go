package sessionbridge_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/stores"
)

var raceRounds = flag.Int("race.rounds", 3000, "handshakes of TestLogoutDuringHandshake in each mode")

// A session is deleted at some moment of its handshake, or right after it: no
// socket outlives it by more than a second, even while the stream of changes
// is cut again and again.
func TestLogoutDuringHandshake(t *testing.T) {
	for _, cut := range []bool{false, true} {
		t.Run(fmt.Sprintf("stream cut every 20 ms: %t", cut), func(t *testing.T) {
			server := partstest.Redis(t)
			opts, err := redis.ParseURL(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			rdb := redis.NewClient(opts)
			t.Cleanup(func() { rdb.Close() })
			silent := slog.New(slog.NewTextHandler(io.Discard, nil))
			store, err := stores.NewRedis(rdb, &stores.RedisOptions{Watch: stores.WatchOptions{Logger: silent}})
			if err != nil {
				t.Fatal(err)
			}
			auth, err := cookie.New(store, cookie.PHP())
			if err != nil {
				t.Fatal(err)
			}
			b, err := bridge.New(auth, &bridge.Options{Logger: silent, OmitEvents: true, Sweep: -1})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = b.Shutdown(context.Background()) })
			srv := httptest.NewServer(b.Handler(func(c *bridge.Conn) { <-c.CloseRead().Done() }))
			t.Cleanup(srv.Close)

			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var cutter sync.WaitGroup
			if cut {
				cutter.Go(func() {
					tick := time.NewTicker(20 * time.Millisecond)
					defer tick.Stop()
					for {
						select {
						case <-ctx.Done():
							return
						case <-tick.C:
							rdb.ClientKillByFilter(ctx, "TYPE", "pubsub")
						}
					}
				})
			}

			var refused, outlived atomic.Int64
			var longest atomic.Int64
			var wg sync.WaitGroup
			slots := make(chan struct{}, 64)
			for i := range *raceRounds {
				slots <- struct{}{}
				wg.Go(func() {
					defer func() { <-slots }()
					id := fmt.Sprintf("%026d", i)
					key := "PHPREDIS_SESSION:" + id
					if err := rdb.Set(ctx, key, "user_id|i:42;", time.Hour).Err(); err != nil {
						t.Error(err)
						return
					}
					gone := make(chan time.Time, 1)
					time.AfterFunc(rand.N(600*time.Microsecond), func() {
						if err := rdb.Del(ctx, key).Err(); err != nil {
							t.Error(err)
						}
						gone <- time.Now()
					})
					ws, _, err := websocket.DefaultDialer.DialContext(ctx, "ws"+strings.TrimPrefix(srv.URL, "http"), http.Header{"Cookie": {"PHPSESSID=" + id}})
					deleted := <-gone
					if err != nil {
						refused.Add(1)
						return
					}
					defer ws.Close()
					_ = ws.SetReadDeadline(time.Now().Add(5 * time.Second))
					_, _, err = ws.ReadMessage()
					if !websocket.IsCloseError(err, 3000) {
						t.Errorf("the socket ended with %v, want 3000", err)
					}
					late := time.Since(deleted)
					for old := longest.Load(); int64(late) > old && !longest.CompareAndSwap(old, int64(late)); old = longest.Load() {
					}
					if late > time.Second {
						outlived.Add(1)
					}
				})
			}
			wg.Wait()
			stop()
			cutter.Wait()
			t.Logf("%d handshakes, %d refused, longest life after the logout %v", *raceRounds, refused.Load(), time.Duration(longest.Load()))
			if n := outlived.Load(); n > 0 {
				t.Errorf("%d sockets outlived their session by more than 1 s", n)
			}
			if n := refused.Load(); n == int64(*raceRounds) {
				t.Error("every handshake was refused: nothing was tested")
			}
		})
	}
}
