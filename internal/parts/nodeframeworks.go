package parts

import (
	"context"
	"strings"
)

// StartNodeFramework starts the application of testdata/node with a stack,
// which is cookie-session, koa-session, koa-redis, koa-generic or fastify, on
// the Redis at redisURL; secrets sign its cookie, newest first. There may be
// further environment, such as "COOKIE_PREFIX=s:".
func StartNodeFramework(ctx context.Context, stack, redisURL string, secrets []string, env ...string) (*Process, error) {
	env = append([]string{"PORT=0", "STACK=" + stack, "REDIS_URL=" + redisURL,
		"SESSION_SECRETS=" + strings.Join(secrets, ","), "NODE_ENV=production"}, env...)
	p, err := startNode(ctx, NodePrograms, "koa", "server.js", env...)
	if err != nil {
		return nil, err
	}
	p.Name = stack
	return p, nil
}
