package jwtmode_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/jwtmode"
)

// BenchmarkRevocations measures what asking for revocations adds to a request
// with an HS256 token: not asked, asked of Redis each time, and known as Redis
// reports changes.
func BenchmarkRevocations(b *testing.B) {
	server := partstest.Redis(b)
	for _, bb := range []struct {
		name string
		auth func() bridge.Authenticator
		opts bridge.Options
	}{
		{"none", func() bridge.Authenticator { return newAuth(b, jwtmode.Options{}) }, bridge.Options{}},
		{"uncached", func() bridge.Authenticator { a, _ := revocable(b, server, nil); return a }, bridge.Options{CacheBytes: -1}},
		{"cached", func() bridge.Authenticator { a, _ := revocable(b, server, nil); return a }, bridge.Options{}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			bb.opts.Logger = slog.New(slog.DiscardHandler)
			hook := must(bridge.New(bb.auth(), &bb.opts))
			defer func() { _ = hook.Shutdown(context.Background()) }()
			h := hook.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			token := recent(nil)
			calls := func() int { return commandCalls(b, redisClient(b, server), "getrange") }
			ask := func() {
				w := httptest.NewRecorder()
				if h.ServeHTTP(w, withBearer(token)); w.Code != http.StatusOK {
					b.Fatalf("got %d", w.Code)
				}
			}
			if bb.name == "cached" {
				eventually(b, func() bool { before := calls(); ask(); return calls() == before })
			}
			b.ReportAllocs()
			for b.Loop() {
				ask()
			}
		})
	}
}
