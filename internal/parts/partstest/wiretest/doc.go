// Package wiretest tests an adapter of a client's wire dialect with what the
// dialect is spoken by and what the login comes from: the clients of npm in
// Node and in Chromium, the web applications of package parts, and logins in
// memory.
package wiretest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Equal fails the test if two values differ.
func Equal(t testing.TB, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// Eventually polls until ok, for 10 s.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
		<-tick.C
	}
}
