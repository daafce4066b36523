// Package partstest gives tests the real software of package parts.
package partstest

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sessionbridge/sessionbridge/internal/parts"
)

// Redis returns a running redis-server that ends with the test.
func Redis(t testing.TB, args ...string) *parts.Process {
	t.Helper()
	p, err := parts.StartRedis(t.Context(), args...)
	return started(t, p, err)
}

// PHP returns the running application of examples/php.
func PHP(t testing.TB, redis *parts.Process, flags ...string) *parts.Process {
	t.Helper()
	p, err := parts.StartPHP(t.Context(), redis.URL, flags...)
	return started(t, p, err)
}

// Express returns the running application of examples/express.
func Express(t testing.TB, redis *parts.Process, secrets ...string) *parts.Process {
	t.Helper()
	p, err := parts.StartExpress(t.Context(), redis.URL, secrets...)
	return started(t, p, err)
}

// Node returns the path of Node.js, and the node_modules of a folder of the
// source tree, which holds the packages that are named.
func Node(t testing.TB, folder string, packages ...string) (path, modules string) {
	t.Helper()
	path, modules, err := parts.Node(folder, packages...)
	Here(t, err)
	return path, modules
}

// started has a process that was started end with the test.
func started(t testing.TB, p *parts.Process, err error) *parts.Process {
	t.Helper()
	Here(t, err)
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("output of %s:\n%s", p.URL, p.Log())
		}
	})
	return p
}

// Here skips the test if a part is missing on this machine, and fails it if
// BRIDGE_REQUIRE, a comma-separated list, names that part. Any other error fails
// it.
func Here(t testing.TB, err error) {
	t.Helper()
	if missing := (*parts.MissingError)(nil); errors.As(err, &missing) && !Required(missing.Part) {
		t.Skip(missing)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Required reports whether BRIDGE_REQUIRE names a part.
func Required(part string) bool {
	return slices.Contains(strings.Split(os.Getenv("BRIDGE_REQUIRE"), ","), part)
}
