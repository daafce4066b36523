package outbox_test

import (
	"testing"

	"github.com/sessionbridge/sessionbridge/internal/arrows"
)

// The package knows what waits, and neither dialects nor logins.
func TestImports(t *testing.T) { arrows.Only(t, "github.com/gorilla/websocket") }
