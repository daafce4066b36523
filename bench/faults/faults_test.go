package main

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"

	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
)

func TestMain(m *testing.M) {
	logging.Disable()
	code := m.Run()
	// go-redis goes on dialling a server that was away for some seconds after
	// its client is closed.
	err := goleak.Find()
	for began := time.Now(); err != nil && time.Since(began) < 10*time.Second; {
		err = goleak.Find() // it waits by itself
	}
	if code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, "goleak:", err)
		code = 1
	}
	os.Exit(code)
}

// small is full in less time. What is promised stays the same but for MaxStale.
var small = config{
	Sockets:   100,
	Before:    500 * time.Millisecond,
	Outage:    3 * time.Second,
	After:     500 * time.Millisecond,
	Down:      time.Second,
	MaxStale:  4 * time.Second,
	Heartbeat: 200 * time.Millisecond,
}

// No socket outlives its session by more than docs/faults.md says, none ends
// without a reason, and afterwards everything is as it should be.
func TestFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			r, err := run(t.Context(), f, small)
			partstest.Here(t, err)
			for _, failing := range r.failures() {
				t.Error(failing)
			}
			if r.before.sockets+r.later.sockets+r.unavailable == 0 {
				t.Error("no socket lost its session: nothing was tested")
			}
			t.Logf("logged out before: %v, later: %v; %d ended unavailable; the stream was lost %d times, reported again after %v; %d reads",
				r.before, r.later, r.unavailable, r.interruptions, r.restored, r.reads)
		})
	}
}
