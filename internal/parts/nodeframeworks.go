package parts

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// StartNodeFramework starts the application of testdata/node with a stack,
// which is cookie-session, koa-session, koa-redis, koa-generic or fastify, on
// the Redis at redisURL; secrets sign its cookie, newest first. There may be
// further environment, such as "COOKIE_PREFIX=s:".
func StartNodeFramework(ctx context.Context, stack, redisURL string, secrets []string, env ...string) (*Process, error) {
	dir, err := root()
	if err != nil {
		return nil, err
	}
	dir = filepath.Join(dir, "internal", "parts", "testdata", "node")
	path, err := exec.LookPath("node")
	if err != nil {
		return nil, &MissingError{"node", "install Node.js 20 or later, then run: npm ci --prefix internal/parts/testdata/node"}
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "koa")); err != nil {
		return nil, &MissingError{"node", "node is here, but not the test application's packages: run npm ci --prefix internal/parts/testdata/node"}
	}
	cmd := exec.Command(path, "server.js")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PORT=0", "STACK="+stack, "REDIS_URL="+redisURL,
		"SESSION_SECRETS="+strings.Join(secrets, ","), "NODE_ENV=production")
	cmd.Env = append(cmd.Env, env...)
	p, m, err := start(ctx, cmd, nodeReady)
	if err != nil {
		return nil, err
	}
	p.Name, p.URL = stack, m[1]
	return p, nil
}
