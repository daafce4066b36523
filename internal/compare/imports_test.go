package compare_test

import (
	"testing"

	"github.com/sessionbridge/sessionbridge/internal/arrows"
)

// What is compared is the commands', which are below this package.
func TestImports(t *testing.T) { arrows.Only(t, "github.com/gorilla/websocket") }
