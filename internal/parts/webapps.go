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

var phpReady = regexp.MustCompile(`\((http://127\.0\.0\.1:\d+)\) started`)

// PHP returns the path of php, or a [MissingError] if it is not here, or not
// with the redis extension.
func PHP(ctx context.Context) (path string, err error) {
	const get = "install PHP 8 with its redis extension (Debian: apt-get install php-cli php-redis)"
	path, err = exec.LookPath("php")
	if err != nil {
		return "", &MissingError{"php", get}
	}
	modules, err := exec.CommandContext(ctx, path, "-m").Output()
	if err != nil || !strings.Contains(string(modules), "\nredis\n") {
		return "", &MissingError{"php", "php is here, but without the redis extension: " + get}
	}
	return path, nil
}

// StartPHP starts the application of examples/php on the Redis at redisURL,
// with further flags for php, such as "-d", "session.serialize_handler=php".
func StartPHP(ctx context.Context, redisURL string, flags ...string) (*Process, error) {
	path, err := PHP(ctx)
	if err != nil {
		return nil, err
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
	p, err := startNode(ctx, "examples/express", "express", "server.js", "PORT=0", "HOST=127.0.0.1", "REDIS_URL="+redisURL,
		"SESSION_SECRETS="+strings.Join(secrets, ","), "NODE_ENV=production")
	if err != nil {
		return nil, err
	}
	p.Name = "express"
	return p, nil
}
