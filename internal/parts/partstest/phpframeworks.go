package partstest

import (
	"testing"

	"github.com/sessionbridge/sessionbridge/internal/parts"
)

// PHPFramework returns the running application of package parts'
// testdata/<name>: laravel, symfony or predis.
func PHPFramework(t testing.TB, name string, redis *parts.Process, env ...string) *parts.Process {
	t.Helper()
	p, err := parts.StartPHPFramework(t.Context(), name, redis.URL, env...)
	return started(t, p, err)
}
