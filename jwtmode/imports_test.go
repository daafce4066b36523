package jwtmode_test

import (
	"testing"

	"github.com/sessionbridge/sessionbridge/internal/arrows"
)

// The package knows the hook and tokens, and neither the wire nor Redis.
func TestImports(t *testing.T) {
	arrows.Only(t,
		"github.com/sessionbridge/sessionbridge/bridge",
		"github.com/golang-jwt/jwt/v5",
		"github.com/MicahParks/jwkset",
		"github.com/coreos/go-oidc/v3/oidc",
	)
}
