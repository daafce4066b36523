package partstest

import (
	"testing"

	"github.com/sessionbridge/sessionbridge/internal/parts"
)

// OIDC returns a running OpenID Connect provider that ends with the test.
func OIDC(t testing.TB, env ...string) *parts.Provider {
	t.Helper()
	p, err := parts.StartOIDC(t.Context(), env...)
	if err != nil {
		started(t, nil, err)
	}
	started(t, p.Process, nil)
	return p
}

// Tokens returns a running issuer of tokens that ends with the test.
func Tokens(t testing.TB, secret []byte) *parts.Process {
	t.Helper()
	p, err := parts.StartTokens(t.Context(), secret)
	return started(t, p, err)
}
