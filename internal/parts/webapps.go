package parts

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

var (
	phpReady  = regexp.MustCompile(`\((http://127\.0\.0\.1:\d+)\) started`)
	nodeReady = regexp.MustCompile(`listening on (http://\S+)`)
)

// StartPHP starts the application of examples/php on the Redis at redisURL,
// with further flags for php, such as "-d", "session.serialize_handler=php".
func StartPHP(ctx context.Context, redisURL string, flags ...string) (*Process, error) {
	const get = "install PHP 8 with its redis extension (Debian: apt-get install php-cli php-redis)"
	path, err := exec.LookPath("php")
	if err != nil {
		return nil, &MissingError{"php", get}
	}
	modules, err := exec.CommandContext(ctx, path, "-m").Output()
	if err != nil || !strings.Contains(string(modules), "\nredis\n") {
		return nil, &MissingError{"php", "php is here, but without the redis extension: " + get}
	}
	dir, err := root()
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(redisURL)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, append(flags, "-S", "127.0.0.1:0", "router.php")...)
	cmd.Dir = filepath.Join(dir, "examples", "php")
	cmd.Env = append(os.Environ(), "PHP_SAVE_PATH=tcp://"+u.Host)
	p, m, err := start(ctx, cmd, phpReady)
	if err != nil {
		return nil, err
	}
	p.Name, p.URL = "php", m[1]
	return p, nil
}

// StartExpress starts the application of examples/express on the Redis at
// redisURL; secrets sign its cookie, newest first.
func StartExpress(ctx context.Context, redisURL string, secrets ...string) (*Process, error) {
	dir, err := root()
	if err != nil {
		return nil, err
	}
	dir = filepath.Join(dir, "examples", "express")
	path, err := exec.LookPath("node")
	if err != nil {
		return nil, &MissingError{"node", "install Node.js 20 or later, then run: npm ci --prefix examples/express"}
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "express")); err != nil {
		return nil, &MissingError{"node", "node is here, but not the example's packages: run npm ci --prefix examples/express"}
	}
	cmd := exec.Command(path, "server.js")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PORT=0", "HOST=127.0.0.1", "REDIS_URL="+redisURL,
		"SESSION_SECRETS="+strings.Join(secrets, ","), "NODE_ENV=production")
	p, m, err := start(ctx, cmd, nodeReady)
	if err != nil {
		return nil, err
	}
	p.Name, p.URL = "express", m[1]
	return p, nil
}
