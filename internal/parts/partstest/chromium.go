package partstest

import (
	"testing"

	"github.com/sessionbridge/sessionbridge/internal/parts"
)

// Chromium returns a running headless Chromium; its URL takes the DevTools
// protocol.
func Chromium(t testing.TB) *parts.Process {
	t.Helper()
	p, err := parts.StartChromium(t.Context(), t.TempDir())
	return started(t, p, err)
}
