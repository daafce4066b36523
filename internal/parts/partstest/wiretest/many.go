package wiretest

import (
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// atOnce is how many connections are made at once.
const atOnce = 8

// Many makes n connections, each by a call of connect, some at once. The test
// fails unless all succeed.
func Many(t testing.TB, n int, connect func(ctx context.Context, i int) error) {
	t.Helper()
	var done atomic.Int64
	var slowest atomic.Int64
	var wg sync.WaitGroup
	numbers := make(chan int)
	for range atOnce {
		wg.Go(func() {
			for i := range numbers {
				began := time.Now()
				if err := connect(t.Context(), i); err != nil {
					t.Errorf("connection %d: %v", i, err)
					continue
				}
				done.Add(1)
				took := int64(time.Since(began))
				for old := slowest.Load(); took > old && !slowest.CompareAndSwap(old, took); old = slowest.Load() {
				}
			}
		})
	}
	for i := range n {
		numbers <- i
	}
	close(numbers)
	wg.Wait()
	t.Logf("%d of %d connections; the slowest took %v", done.Load(), n, time.Duration(slowest.Load()))
	if lost := int64(n) - done.Load(); lost != 0 {
		t.Errorf("%d connections were lost", lost)
	}
}

// ManyClients runs testdata/many.cjs, which makes n connections with the real
// client as config says. The test fails unless all are authenticated.
func ManyClients(t testing.TB, n int, config map[string]any) {
	t.Helper()
	config["connections"], config["atOnce"] = n, atOnce
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	output, err := exec.CommandContext(ctx, "node", filepath.Join("testdata", "many.cjs"), string(text)).Output()
	if err != nil {
		t.Fatal(err)
	}
	type outcome struct{ Authenticated, Failed int }
	var got outcome
	if err := json.Unmarshal(output, &got); err != nil {
		t.Fatal(err)
	}
	Equal(t, "clients", outcome{n, 0}, got)
}
