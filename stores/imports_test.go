package stores_test

import (
	"testing"

	"github.com/sessionbridge/sessionbridge/internal/arrows"
)

// The package knows where sessions are and how they are written, and nothing of
// connections: it must not come to import the hook.
func TestImports(t *testing.T) {
	arrows.Only(t,
		"github.com/sessionbridge/sessionbridge/stores/php",
		"github.com/redis/go-redis/v9",
		"github.com/redis/go-redis/v9/",
		"github.com/gorilla/sessions",
		"github.com/rbcervilla/redisstore/v9",
		"github.com/klauspost/compress/", // phpredis compresses
		"github.com/pierrec/lz4/v4",
		"github.com/tinylib/msgp/", // what Python writes
	)
}
