package socketio_test

import (
	"testing"

	"github.com/sessionbridge/sessionbridge/internal/arrows"
)

func TestImports(t *testing.T) {
	arrows.Only(t, "github.com/sessionbridge/sessionbridge/bridge", "github.com/zishang520/socket.io/")
}
