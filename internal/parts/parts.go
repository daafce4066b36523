// Package parts starts the real software that the demo and the tests run
// against, each on a free port of the loopback interface: redis-server, PHP's
// built-in server and Node.
package parts

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
	"strings"
	"sync"
	"time"
)

// MissingError says that a part is not on this machine, and how to get it.
type MissingError struct {
	Part string // "redis", "php" or "node"
	Get  string // what to do
}

func (e *MissingError) Error() string { return e.Part + " is missing: " + e.Get }

// startTimeout is how long a part may take until it serves.
const startTimeout = 30 * time.Second

// Process is a part that runs.
type Process struct {
	// Name is "redis", or the stack's name: "php", "express".
	Name string

	// URL is where it serves, without a slash at the end.
	URL string

	cmd  *exec.Cmd
	done chan struct{}
	log  *tail
}

// Stop ends the process and waits for it: by SIGTERM, after 5 s by SIGKILL.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(os.Interrupt)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// Kill ends the process as a crash would.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Signal sends a signal to the process.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Log returns the last lines that the process wrote.
func (p *Process) Log() string { return p.log.String() }

// start runs a command and waits for the line that says it is ready.
func start(ctx context.Context, cmd *exec.Cmd, ready *regexp.Regexp) (*Process, []string, error) {
	out, in, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	cmd.Stdout, cmd.Stderr = in, in
	if err := cmd.Start(); err != nil {
		return nil, nil, errors.Join(err, in.Close(), out.Close())
	}
	_ = in.Close()
	p := &Process{cmd: cmd, done: make(chan struct{}), log: &tail{}}
	matched := make(chan []string, 1)
	go func() {
		defer close(p.done)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			p.log.add(lines.Text())
			if m := ready.FindStringSubmatch(lines.Text()); m != nil {
				select {
				case matched <- m:
				default:
				}
			}
		}
		_, _ = io.Copy(io.Discard, out) // a line too long for the scanner
		_ = out.Close()
		_ = cmd.Wait() // how it ended is in its log
	}()
	timer := time.NewTimer(startTimeout)
	defer timer.Stop()
	name := filepath.Base(cmd.Path)
	select {
	case m := <-matched:
		return p, m, nil
	case <-p.done:
		return nil, nil, fmt.Errorf("%s ended before it was ready:\n%s", name, p.Log())
	case <-ctx.Done():
		p.Kill()
		return nil, nil, ctx.Err()
	case <-timer.C:
		p.Kill()
		return nil, nil, fmt.Errorf("%s was not ready within %v:\n%s", name, startTimeout, p.Log())
	}
}

// tail keeps the last lines of a process's output.
type tail struct {
	mu    sync.Mutex
	lines []string
}

func (t *tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lines = append(t.lines, line); len(t.lines) > 50 {
		t.lines = t.lines[1:]
	}
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}

// root returns the folder of the source tree, where the example applications
// are.
func root() (string, error) {
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		dir := filepath.Dir(filepath.Dir(filepath.Dir(file)))
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "examples", "php")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("the source tree is not found; run inside it")
		}
	}
}
