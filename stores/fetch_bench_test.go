package stores_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/stores"
)

// BenchmarkFetch reads sessions of 1 KB by as many callers at once as its name
// says. cpu-ns/op is what this process spends on a lookup, in user and in
// system mode; µs is how long a caller waits.
func BenchmarkFetch(b *testing.B) {
	const sessions = 4096
	opts := redisOptions(b, partstest.Redis(b).URL)
	ctx := context.Background()
	keys := make([]stores.Key, sessions)
	pipe := newClient(b, opts).Pipeline()
	for i := range keys {
		keys[i] = stores.Key{Prefix: "sess:", ID: strconv.Itoa(1e9 + i)}
		pipe.Set(ctx, keys[i].String(), strings.Repeat("x", 1000), time.Hour)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		b.Fatal(err)
	}
	for _, obeys := range []bool{true, false} {
		for _, callers := range []int{1, 64, 1000} {
			b.Run(fmt.Sprintf("ContextTimeoutEnabled=%v/callers=%d", obeys, callers), func(b *testing.B) {
				o := *opts
				o.ContextTimeoutEnabled = obeys
				store := newRedis(b, newClient(b, &o), patient)
				var next atomic.Int64
				var all sync.WaitGroup
				b.ReportAllocs()
				before := processorTime(b)
				began := time.Now()
				for range callers {
					all.Go(func() {
						for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
							got, err := store.Fetch(ctx, keys[i%sessions])
							if err != nil || len(got[0].Value) != 1000 {
								b.Error(len(got), err)
								return
							}
						}
					})
				}
				all.Wait()
				b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
				b.ReportMetric(time.Since(began).Seconds()*1e6*float64(min(callers, b.N))/float64(b.N), "µs")
			})
		}
	}
}

// processorTime is what the process has used so far.
func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
