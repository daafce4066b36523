package socketcluster_test

import (
	"testing"

	"github.com/sessionbridge/sessionbridge/internal/arrows"
)

// The adapter knows the hook, and no store or token format.
func TestImports(t *testing.T) {
	arrows.Only(t,
		"github.com/gorilla/websocket",
		"github.com/sessionbridge/sessionbridge/bridge",
		"github.com/sessionbridge/sessionbridge/internal/outbox",
	)
}
