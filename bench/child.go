package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"time"

	"github.com/sessionbridge/sessionbridge/internal/parts"
)

// serviceVariable in the environment makes this program a service process.
const serviceVariable = "SESSIONBRIDGE_BENCH_SERVICE"

// startTimeout is how long a child may take until it serves.
const startTimeout = 30 * time.Second

// process is a child.
type process struct {
	pid  int
	kill func() error
	done chan struct{} // closed when it has ended
}

func (p process) stop() {
	select {
	case <-p.done:
		return
	case <-time.After(2 * time.Second):
	}
	_ = p.kill()
	<-p.done
}

func spawn(cmd *exec.Cmd) (process, error) {
	if err := cmd.Start(); err != nil {
		return process{}, err
	}
	p := process{pid: cmd.Process.Pid, kill: cmd.Process.Kill, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // how it ended shows in what it was asked for
	}()
	return p, nil
}

// startSelf runs this program as a service process; pipe is its standard input
// and output, and debug its GODEBUG.
func startSelf(debug string) (process, io.ReadWriteCloser, error) {
	path, err := os.Executable()
	if err != nil {
		return process{}, nil, err
	}
	theirIn, ourOut, err := os.Pipe()
	if err != nil {
		return process{}, nil, err
	}
	ourIn, theirOut, err := os.Pipe()
	if err != nil {
		return process{}, nil, errors.Join(err, theirIn.Close(), ourOut.Close())
	}
	cmd := exec.Command(path)
	cmd.Env = append(os.Environ(), serviceVariable+"=1")
	if debug != "" {
		cmd.Env = append(cmd.Env, "GODEBUG="+debug)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirIn, theirOut, os.Stderr
	p, err := spawn(cmd)
	err = errors.Join(err, theirIn.Close(), theirOut.Close())
	pipe := pipes{ourIn, ourOut}
	if err != nil {
		return process{}, nil, errors.Join(err, pipe.Close())
	}
	return p, pipe, nil
}

type pipes struct{ in, out *os.File }

func (p pipes) Read(b []byte) (int, error)  { return p.in.Read(b) }
func (p pipes) Write(b []byte) (int, error) { return p.out.Write(b) }
func (p pipes) Close() error                { return errors.Join(p.out.Close(), p.in.Close()) }

// program is a web application that serves at url.
type program struct {
	process
	url string
}

func (p *program) stop() {
	_ = p.kill()
	p.process.stop()
}

// startNode starts the program of node/.
func startNode(ctx context.Context, redisURL, secret string) (*program, error) {
	path, modules, err := parts.Node("bench/node", "ws")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, "server.js")
	cmd.Dir = filepath.Dir(modules)
	cmd.Env = append(os.Environ(), "REDIS_URL="+redisURL, "SESSION_SECRETS="+secret, "NODE_ENV=production")
	return startProgram(ctx, cmd, regexp.MustCompile(`listening on (http://\S+)`))
}

// startLaravel starts the page of laravel/. That Laravel is here must be known.
func startLaravel(ctx context.Context, redisURL, appKey string) (*program, error) {
	path, err := exec.LookPath("php")
	if err != nil {
		return nil, err
	}
	dir, err := sources("laravel")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, "-d", "log_errors=1", "-S", "127.0.0.1:0", "router.php")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "REDIS_URL="+redisURL, "APP_KEY="+appKey)
	return startProgram(ctx, cmd, regexp.MustCompile(`\((http://127\.0\.0\.1:\d+)\) started`))
}

// startProgram runs a command until a line of its output says where it serves.
func startProgram(ctx context.Context, cmd *exec.Cmd, ready *regexp.Regexp) (*program, error) {
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = in, in
	p, err := spawn(cmd)
	_ = in.Close()
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	url := make(chan string, 1)
	go func() {
		defer out.Close()
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if m := ready.FindStringSubmatch(lines.Text()); m != nil {
				url <- m[1]
				break
			}
		}
		_, _ = io.Copy(io.Discard, out) // a full pipe would stop it
	}()
	timer := time.NewTimer(startTimeout)
	defer timer.Stop()
	select {
	case u := <-url:
		return &program{p, u}, nil
	case <-p.done:
		err = fmt.Errorf("%s ended before it served", cmd.Path)
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
		err = fmt.Errorf("%s did not serve within %v", cmd.Path, startTimeout)
	}
	(&program{process: p}).stop()
	return nil, err
}

// sources returns a folder beside this file.
func sources(name string) (string, error) {
	_, file, _, ok := runtime.Caller(0)
	dir := filepath.Join(filepath.Dir(file), name)
	if !ok || !filepath.IsAbs(file) { // built with -trimpath
		dir = filepath.Join("bench", name)
	}
	if _, err := os.Stat(dir); err != nil {
		return "", errors.New("the source tree is not found: run go run ./bench inside it")
	}
	return dir, nil
}
