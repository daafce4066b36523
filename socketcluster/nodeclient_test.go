package socketcluster_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
)

// happening is one event that the client itself delivered.
type happening struct {
	Event string
	Data  map[string]any
}

// client is socketcluster-client from npm, unmodified, in Node.
type client struct {
	t     testing.TB
	stdin io.WriteCloser

	mu     sync.Mutex
	events []happening
	news   chan struct{}
	taken  map[string]int // how many events of each name the test has taken
	id     int
}

// nodeModules is where the clients are; the test skips without them.
func nodeModules(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", "internal", "parts", "testdata", "node"))
	if err != nil {
		t.Fatal(err)
	}
	_, lacking := exec.LookPath("node")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "socketcluster-client")); err != nil {
		lacking = err
	}
	if lacking != nil {
		const get = "node is missing, or the clients are: npm ci --prefix internal/parts/testdata/node"
		if partstest.Required("node") {
			t.Fatal(get)
		}
		t.Skip(get)
	}
	return filepath.Join(dir, "node_modules")
}

// with is how a client starts.
type with struct {
	Token   *string        `json:"token,omitempty"` // in its store
	Headers http.Header    `json:"-"`
	Options map[string]any `json:"options,omitempty"`
}

func (s *service) node(t testing.TB, w with) *client {
	t.Helper()
	headers := map[string]string{}
	for name := range w.Headers {
		headers[name] = strings.Join(w.Headers[name], "; ")
	}
	config, err := json.Marshal(struct {
		with
		Modules string            `json:"modules"`
		Port    int               `json:"port"`
		Headers map[string]string `json:"headers"`
	}{w, nodeModules(t), s.port, headers})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", filepath.Join("testdata", "client.cjs"), string(config))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, stdin: in, taken: map[string]int{}, news: make(chan struct{}, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var h happening
			if err := json.Unmarshal(lines.Bytes(), &h); err != nil {
				t.Errorf("the client wrote %q", lines.Text())
				continue
			}
			c.mu.Lock()
			c.events = append(c.events, h)
			c.mu.Unlock()
			select {
			case c.news <- struct{}{}:
			default:
			}
		}
	}()
	t.Cleanup(func() {
		_ = in.Close()
		timer := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
		<-done
		_ = cmd.Wait()
		timer.Stop()
		if t.Failed() {
			t.Logf("events of the client: %+v", c.events)
		}
	})
	c.wait("ready")
	return c
}

// start connects and waits for the client's connect event.
func (c *client) start() map[string]any {
	c.t.Helper()
	c.do(map[string]any{"do": "connect"})
	return c.wait("connect")
}

// wait returns the data of the next event of that name.
func (c *client) wait(name string) map[string]any {
	c.t.Helper()
	return c.waitFor(name, func(map[string]any) bool { return true })
}

// waitFor is wait for an event that fits; it skips those of that name that do
// not.
func (c *client) waitFor(name string, fits func(map[string]any) bool) map[string]any {
	c.t.Helper()
	timeout := time.NewTimer(15 * time.Second)
	defer timeout.Stop()
	for {
		if data, ok := c.take(name, fits); ok {
			return data
		}
		select {
		case <-c.news:
		case <-timeout.C:
			c.t.Fatalf("the client did not say %q", name)
		}
	}
}

func (c *client) take(name string, fits func(map[string]any) bool) (map[string]any, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, h := range c.events {
		if h.Event != name {
			continue
		}
		if n++; n <= c.taken[name] {
			continue
		}
		c.taken[name] = n
		if fits(h.Data) {
			return h.Data, true
		}
	}
	return nil, false
}

// result is what came of a command.
type result struct {
	Value any
	Error map[string]any
}

// do has the client do something and waits for the result.
func (c *client) do(command map[string]any) result {
	c.t.Helper()
	c.id++
	command["id"] = c.id
	line, err := json.Marshal(command)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.stdin.Write(append(line, '\n')); err != nil {
		c.t.Fatal(err)
	}
	data := c.waitFor("result", func(d map[string]any) bool { return d["id"] == float64(c.id) })
	r := result{Value: data["value"]}
	r.Error, _ = data["error"].(map[string]any)
	return r
}

func (c *client) must(command map[string]any) any {
	c.t.Helper()
	r := c.do(command)
	if r.Error != nil {
		c.t.Fatalf("%v: %v", command, r.Error)
	}
	return r.Value
}

func (c *client) state() map[string]any {
	c.t.Helper()
	return c.must(map[string]any{"do": "state"}).(map[string]any)
}

// subscribe subscribes and waits until that is done.
func (c *client) subscribe(channel string) {
	c.t.Helper()
	c.must(map[string]any{"do": "subscribe", "channel": channel})
	c.waitFor("subscribe", func(d map[string]any) bool { return d["channel"] == channel })
}

// count returns how many events of that name there have been.
func (c *client) count(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, h := range c.events {
		if h.Event == name {
			n++
		}
	}
	return n
}

func equal(t testing.TB, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
