package cookie_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/stores"
)

// counted counts lookups.
type counted struct {
	*stores.Redis
	fetches atomic.Int64
}

func (s *counted) Fetch(ctx context.Context, keys ...stores.Key) ([]stores.Record, error) {
	s.fetches.Add(1)
	return s.Redis.Fetch(ctx, keys...)
}

// A session that may have one of several keys is kept in the cache, and a
// change of the key that it has is noticed.
func TestAlternativesAreCached(t *testing.T) {
	opts, err := redis.ParseURL(partstest.Redis(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(opts)
	t.Cleanup(func() { _ = client.Close() })
	quiet := slog.New(slog.DiscardHandler)
	inner, err := stores.NewRedis(client, &stores.RedisOptions{Timeout: 10 * time.Second, Watch: stores.WatchOptions{Logger: quiet}})
	if err != nil {
		t.Fatal(err)
	}
	store := &counted{Redis: inner}
	stack := cookie.Express("secret")
	stack.Keyspace.Alternatives = []string{"older:", "oldest:"}
	hook, err := bridge.New(newAuth(t, store, stack), &bridge.Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hook.Shutdown(context.Background()) })
	key := "oldest:" + sid
	if err := client.Set(t.Context(), key, login42, time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	status := func() int {
		h := hook.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, handshake(t, "connect.sid="+encoded("secret", sid)).Request)
		return w.Code
	}
	poll := func(what string, ok func() bool) {
		t.Helper()
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		late := time.After(20 * time.Second)
		for !ok() {
			select {
			case <-tick.C:
			case <-late:
				t.Fatal("waited in vain for " + what)
			}
		}
	}
	poll("a handshake without a lookup", func() bool {
		before := store.fetches.Load()
		if code := status(); code != http.StatusOK {
			t.Fatalf("status %d", code)
		}
		return store.fetches.Load() == before
	})
	if err := client.Del(t.Context(), key).Err(); err != nil {
		t.Fatal(err)
	}
	poll("the logout", func() bool { return status() == http.StatusUnauthorized })
}
