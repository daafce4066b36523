package sessionbridge_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/jwtmode"
	"github.com/sessionbridge/sessionbridge/stores"
)

// BenchmarkHandshake is a whole handshake over loopback, client included, each
// beside a bare gorilla upgrade: with an Express cookie whose session is read
// from Redis each time, with one that is known not to have changed, and with a
// JWT.
func BenchmarkHandshake(b *testing.B) {
	server := partstest.Redis(b)
	opts, err := redis.ParseURL(server.URL)
	if err != nil {
		b.Fatal(err)
	}
	opts.ContextTimeoutEnabled = true
	rdb := redis.NewClient(opts)
	b.Cleanup(func() { rdb.Close() })
	// A session of express-session, signed with "keyboard cat".
	const (
		id     = "Ro0oSIpDB60wQjhW0rOrNyM42WzwwGwG"
		signed = "connect.sid=s%3A" + id + ".ayAe4EhUI7AXsa%2BQPBhRkkgS8rM%2FhvajIUGyUuQHijk"
		value  = `{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"},"passport":{"user":42}}`
	)
	if err := rdb.Set(b.Context(), "sess:"+id, value, time.Hour).Err(); err != nil {
		b.Fatal(err)
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "42", "exp": time.Now().Add(time.Hour).Unix()}).SignedString(jwtSecret)
	if err != nil {
		b.Fatal(err)
	}
	silent := slog.New(slog.NewTextHandler(io.Discard, nil))

	express := func(cacheBytes int64) http.Handler {
		store, err := stores.NewRedis(rdb, &stores.RedisOptions{Watch: stores.WatchOptions{Logger: silent}})
		if err != nil {
			b.Fatal(err)
		}
		auth, err := cookie.New(store, cookie.Express("keyboard cat"))
		if err != nil {
			b.Fatal(err)
		}
		return hook(b, auth, &bridge.Options{CacheBytes: cacheBytes, Logger: silent, OmitEvents: true})
	}
	jwtAuth, err := jwtmode.New(jwtmode.Options{Algorithms: []string{"HS256"}, Key: jwtSecret})
	if err != nil {
		b.Fatal(err)
	}
	upgrader := websocket.Upgrader{}
	for _, bc := range []struct {
		name    string
		handler http.Handler
		header  http.Header
	}{
		{"bare", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if ws, err := upgrader.Upgrade(w, r, nil); err == nil {
				_, _, _ = ws.ReadMessage()
				_ = ws.Close()
			}
		}), http.Header{"Cookie": {signed}}},
		{"express cached", express(0), http.Header{"Cookie": {signed}}},
		{"express from Redis", express(-1), http.Header{"Cookie": {signed}}},
		{"HS256", hook(b, jwtAuth, &bridge.Options{Logger: silent, OmitEvents: true}), http.Header{"Authorization": {"Bearer " + token}}},
	} {
		b.Run(bc.name, func(b *testing.B) {
			srv := httptest.NewServer(bc.handler)
			defer srv.Close()
			url := "ws" + strings.TrimPrefix(srv.URL, "http")
			b.ReportAllocs()
			for b.Loop() {
				ws, _, err := websocket.DefaultDialer.Dial(url, bc.header)
				if err != nil {
					b.Fatal(err)
				}
				_ = ws.Close()
			}
		})
	}
}

// hook serves by reading until the client leaves.
func hook(b *testing.B, a bridge.Authenticator, o *bridge.Options) http.Handler {
	br, err := bridge.New(a, o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := br.Shutdown(ctx); err != nil {
			b.Error(err)
		}
	})
	return br.Handler(func(c *bridge.Conn) {
		for {
			if _, _, err := c.ReadMessage(); err != nil {
				return
			}
		}
	})
}
