package bridge_test

import (
	"testing"

	"github.com/sessionbridge/sessionbridge/internal/arrows"
)

// The hook knows no store, no token format and no framework.
func TestImports(t *testing.T) { arrows.Only(t, "github.com/gorilla/websocket") }
