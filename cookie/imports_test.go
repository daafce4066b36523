package cookie_test

import (
	"testing"

	"github.com/sessionbridge/sessionbridge/internal/arrows"
)

// The package joins the hook and the stores, and knows neither the wire nor
// Redis.
func TestImports(t *testing.T) {
	arrows.Only(t,
		"github.com/sessionbridge/sessionbridge/bridge",
		"github.com/sessionbridge/sessionbridge/stores",
		"github.com/sessionbridge/sessionbridge/stores/php",
		"github.com/gorilla/securecookie", // the cookies of gorilla's CookieStore
	)
}
