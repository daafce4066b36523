package partstest

import (
	"testing"

	"github.com/sessionbridge/sessionbridge/internal/parts"
)

// NodeFramework returns the running application of package parts'
// testdata/node: cookie-session, koa-session, koa-redis, koa-generic or fastify.
func NodeFramework(t testing.TB, stack string, redis *parts.Process, secrets []string, env ...string) *parts.Process {
	t.Helper()
	p, err := parts.StartNodeFramework(t.Context(), stack, redis.URL, secrets, env...)
	return started(t, p, err)
}
