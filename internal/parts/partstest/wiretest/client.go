package wiretest

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
)

// event is one that the client itself delivered.
type event struct {
	Event string
	Data  map[string]any
}

// Client is a client from npm, unmodified, in Node.
type Client struct {
	t     testing.TB
	stdin io.WriteCloser

	mu     sync.Mutex
	events []event
	news   chan struct{}
	taken  map[string]int // how many events of each name the test has taken
	id     int
}

// Node runs testdata/client.cjs with a configuration until the test ends. The
// program reads commands from standard input and writes events to standard
// output, one JSON text a line, of which the first is "ready".
func Node(t testing.TB, config any) *Client {
	t.Helper()
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", filepath.Join("testdata", "client.cjs"), string(text))
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
	c := &Client{t: t, stdin: in, taken: map[string]int{}, news: make(chan struct{}, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.read(out)
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
	c.Wait("ready")
	return c
}

func (c *Client) read(out io.Reader) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			c.t.Errorf("the client wrote %q", lines.Text())
			continue
		}
		c.mu.Lock()
		c.events = append(c.events, e)
		c.mu.Unlock()
		select {
		case c.news <- struct{}{}:
		default:
		}
	}
}

// Wait returns the data of the next event of that name.
func (c *Client) Wait(name string) map[string]any {
	c.t.Helper()
	return c.WaitFor(name, func(map[string]any) bool { return true })
}

// WaitFor is Wait for an event that fits; it skips those of that name that do
// not.
func (c *Client) WaitFor(name string, fits func(map[string]any) bool) map[string]any {
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

func (c *Client) take(name string, fits func(map[string]any) bool) (map[string]any, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, e := range c.events {
		if e.Event != name {
			continue
		}
		if n++; n <= c.taken[name] {
			continue
		}
		c.taken[name] = n
		if fits(e.Data) {
			return e.Data, true
		}
	}
	return nil, false
}

// Result is what came of a command.
type Result struct {
	Value any
	Error map[string]any
}

// Do has the client do something and waits for the result.
func (c *Client) Do(command map[string]any) Result {
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
	data := c.WaitFor("result", func(d map[string]any) bool { return d["id"] == float64(c.id) })
	r := Result{Value: data["value"]}
	r.Error, _ = data["error"].(map[string]any)
	return r
}

// Must is Do of what must succeed, and returns its value.
func (c *Client) Must(command map[string]any) any {
	c.t.Helper()
	r := c.Do(command)
	if r.Error != nil {
		c.t.Fatalf("%v: %v", command, r.Error)
	}
	return r.Value
}

// State returns what the client says of itself.
func (c *Client) State() map[string]any {
	c.t.Helper()
	return c.Must(map[string]any{"do": "state"}).(map[string]any)
}

// Count returns how many events of a name there have been that fit; nil fits
// all.
func (c *Client) Count(name string, fits func(map[string]any) bool) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, e := range c.events {
		if e.Event == name && (fits == nil || fits(e.Data)) {
			n++
		}
	}
	return n
}
