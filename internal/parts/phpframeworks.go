package parts

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// phpFramework is PHP software that sessions are tested with.
type phpFramework struct {
	file string // of it, in PHP's include path
	get  string // how to get it
}

var phpFrameworks = map[string]phpFramework{
	"laravel": {"Illuminate/Session/Store.php", "install Laravel 8 (Debian: apt-get install php-cli php-redis php-laravel-framework)"},
	"symfony": {"Symfony/Component/Security/Core/autoload.php", "install Symfony 5.4 or later (Debian: apt-get install php-cli php-redis php-symfony-http-foundation php-symfony-security-core)"},
	"predis":  {"Predis/Session/Handler.php", "install Predis (Debian: apt-get install php-cli php-nrk-predis)"},
}

// StartPHPFramework starts the application of testdata/<name>, which is laravel,
// symfony or predis, on the Redis at redisURL, with further environment such as
// "APP_KEY=base64:…".
func StartPHPFramework(ctx context.Context, name, redisURL string, env ...string) (*Process, error) {
	f := phpFrameworks[name]
	path, err := exec.LookPath("php")
	if err != nil {
		return nil, &MissingError{name, f.get}
	}
	found := exec.CommandContext(ctx, path, "-r", "exit(stream_resolve_include_path($argv[1]) ? 0 : 1);", f.file)
	if err := found.Run(); err != nil {
		return nil, &MissingError{name, f.get}
	}
	if modules, err := exec.CommandContext(ctx, path, "-m").Output(); name != "predis" && (err != nil || !strings.Contains(string(modules), "\nredis\n")) {
		return nil, &MissingError{name, "php is here, but without the redis extension: " + f.get}
	}
	dir, err := root()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, "-d", "log_errors=1", "-S", "127.0.0.1:0", "router.php")
	cmd.Dir = filepath.Join(dir, "internal", "parts", "testdata", name)
	cmd.Env = append(append(os.Environ(), "REDIS_URL="+redisURL), env...)
	p, m, err := start(ctx, cmd, phpReady)
	if err != nil {
		return nil, err
	}
	p.Name, p.URL = name, m[1]
	return p, nil
}
