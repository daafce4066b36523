package parts

import (
	"context"
	"errors"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

var redisReady = regexp.MustCompile(`Ready to accept connections`)

// StartRedis starts redis-server, empty and without persistence, with further
// arguments of its command line. URL is of the scheme redis.
func StartRedis(ctx context.Context, args ...string) (*Process, error) {
	var err error
	for range 3 { // somebody else may take the free port first
		var port int
		if port, err = freePort(); err != nil {
			return nil, err
		}
		var p *Process
		if p, err = StartRedisAt(ctx, port, args...); err == nil || errors.As(err, new(*MissingError)) {
			return p, err
		}
	}
	return nil, err
}

// StartRedisAt is StartRedis on a given port.
func StartRedisAt(ctx context.Context, port int, args ...string) (*Process, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, redisMissing()
	}
	args = append([]string{"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--dbfilename", strconv.Itoa(port) + ".rdb"}, args...) // not one that somebody else has left
	p, _, err := start(ctx, exec.Command(path, args...), redisReady)
	if err != nil {
		return nil, err
	}
	p.Name, p.URL = "redis", "redis://127.0.0.1:"+strconv.Itoa(port)
	return p, nil
}

func redisMissing() error {
	return &MissingError{"redis", "install redis-server (Debian: apt-get install redis-server)"}
}

// port returns the number at the end of a process's URL.
func port(p *Process) string { return p.URL[strings.LastIndexByte(p.URL, ':')+1:] }

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
