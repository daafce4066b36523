package pusher_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
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

// client is pusher-js from npm, unmodified, in Node.
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
	for _, name := range []string{"pusher-js", "laravel-echo", "pusher"} {
		if _, err := os.Stat(filepath.Join(dir, "node_modules", name)); err != nil {
			lacking = err
		}
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
	Headers map[string]string // of its requests to be authorized
	Params  map[string]string // the same
	Signs   bool              // the web application signs, not AuthHandler
	More    map[string]any    // options of pusher-js
}

// node starts a client. It connects to the service through a jar, if it has
// one, which adds the cookies that a browser would.
func (s *service) node(t testing.TB, port int, w with) *client {
	t.Helper()
	auth := map[string]any{}
	if w.Headers != nil {
		auth["headers"] = w.Headers
	}
	if w.Params != nil {
		auth["params"] = w.Params
	}
	config, err := json.Marshal(map[string]any{
		"modules": nodeModules(t), "port": port, "key": appKey, "secret": appSecret, "signs": w.Signs,
		"options": map[string]any{"auth": auth, "more": w.More},
	})
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

// connected is node, connected.
func (s *service) connected(t testing.TB, port int, w with) *client {
	t.Helper()
	c := s.node(t, port, w)
	c.start()
	return c
}

// start connects and waits until the client is connected.
func (c *client) start() {
	c.t.Helper()
	c.must(map[string]any{"do": "connect"})
	c.waitState("connected")
}

func (c *client) waitState(state string) {
	c.t.Helper()
	c.waitFor("state", func(d map[string]any) bool { return d["current"] == state })
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

// on returns the data of the next event of that name on a channel.
func (c *client) on(channel, event string) any {
	c.t.Helper()
	return c.waitFor("channel", func(d map[string]any) bool { return d["channel"] == channel && d["event"] == event })["data"]
}

// echo returns the data of Echo's next callback of that name on a channel.
func (c *client) echo(channel, event string) any {
	c.t.Helper()
	return c.waitFor("echo", func(d map[string]any) bool { return d["channel"] == channel && d["event"] == event })["data"]
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

// must has the client do something and returns the result.
func (c *client) must(command map[string]any) any {
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
	if data["error"] != nil {
		c.t.Fatalf("%v: %v", command, data["error"])
	}
	return data["value"]
}

// subscribe subscribes and returns what comes of it.
func (c *client) subscribe(channel string) any {
	c.t.Helper()
	c.must(map[string]any{"do": "subscribe", "channel": channel})
	return c.on(channel, "pusher:subscription_succeeded")
}

func (c *client) state() map[string]any {
	c.t.Helper()
	return c.must(map[string]any{"do": "state"}).(map[string]any)
}

// count returns how many events of a name fit.
func (c *client) count(name string, fits func(map[string]any) bool) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, h := range c.events {
		if h.Event == name && fits(h.Data) {
			n++
		}
	}
	return n
}

// wantClosed waits for the client's error of a code and message, and for it to
// be disconnected for good.
func (c *client) wantClosed(code float64, message string) {
	c.t.Helper()
	c.waitFor("error", isError(code, message))
	c.waitState("disconnected")
	equal(c.t, "state", any("disconnected"), c.state()["state"])
	if n := c.count("connecting_in", func(map[string]any) bool { return true }); n != 0 {
		c.t.Errorf("the client means to come back")
	}
}

// isError fits a client's error event: {type: PusherError, data: {code, message}}.
func isError(code float64, message string) func(map[string]any) bool {
	return func(d map[string]any) bool {
		return cmp.Equal(d, map[string]any{"type": "PusherError", "data": map[string]any{"code": code, "message": message}})
	}
}

func equal(t testing.TB, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
