package socketio_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/sessionbridge/sessionbridge/internal/parts"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
)

const nodeFolder = "../internal/parts/testdata/node"

// clients are real socket.io clients in one Node process.
type clients struct {
	t  *testing.T
	in *json.Encoder

	mu      sync.Mutex
	arrived chan struct{}
	events  map[string][]event // that nobody has looked at, by client
}

type event struct {
	ID    string
	Event string
	Args  []any
}

// client is one of them.
type client struct {
	all *clients
	id  string
}

func startClients(t *testing.T) *clients {
	t.Helper()
	path, _ := partstest.Node(t, parts.NodePrograms, "socket.io-client")
	cmd := exec.Command(path, "socketio-client.js")
	cmd.Dir, cmd.Stderr = nodeFolder, os.Stderr
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
	c := &clients{t: t, in: json.NewEncoder(in), arrived: make(chan struct{}), events: map[string][]event{}}
	read := make(chan struct{})
	go func() {
		defer close(read)
		c.read(out)
	}()
	t.Cleanup(func() {
		_ = in.Close()
		<-read
		_ = cmd.Wait()
	})
	return c
}

func (c *clients) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			c.t.Errorf("node wrote %q", lines.Text())
			continue
		}
		c.mu.Lock()
		c.events[e.ID] = append(c.events[e.ID], e)
		close(c.arrived)
		c.arrived = make(chan struct{})
		c.mu.Unlock()
	}
}

func (c *clients) do(command map[string]any) {
	c.t.Helper()
	if err := c.in.Encode(command); err != nil {
		c.t.Fatal(err)
	}
}

// open connects a client of a version.
func (c *clients) open(id string, version int, url string, options map[string]any) *client {
	c.t.Helper()
	c.do(map[string]any{"do": "open", "id": id, "version": version, "url": url, "options": options})
	return &client{c, id}
}

func (c *client) emit(args ...any) {
	c.all.t.Helper()
	c.all.do(map[string]any{"do": "emit", "id": c.id, "args": args})
}

// ask emits an event and returns what it is answered.
func (c *client) ask(args ...any) any {
	c.all.t.Helper()
	c.all.do(map[string]any{"do": "emit", "id": c.id, "args": args, "ask": true})
	e := c.until("answer")
	if len(e.Args) == 0 {
		return nil
	}
	return e.Args[0]
}

// next returns the client's next event.
func (c *client) next() event {
	c.all.t.Helper()
	deadline := time.NewTimer(15 * time.Second)
	defer deadline.Stop()
	for {
		c.all.mu.Lock()
		arrived := c.all.arrived
		if events := c.all.events[c.id]; len(events) > 0 {
			c.all.events[c.id] = events[1:]
			c.all.mu.Unlock()
			return events[0]
		}
		c.all.mu.Unlock()
		select {
		case <-arrived:
		case <-deadline.C:
			c.all.t.Fatalf("client %s: no event", c.id)
		}
	}
}

// until returns the client's next event, which must be called so.
func (c *client) until(name string) event {
	c.all.t.Helper()
	e := c.next()
	if e.Event != name {
		c.all.t.Fatalf("client %s: event %s %v, want %s", c.id, e.Event, e.Args, name)
	}
	return e
}

// quiet fails the test if the client reports anything within d.
func (c *client) quiet(d time.Duration) {
	c.all.t.Helper()
	deadline := time.NewTimer(d)
	defer deadline.Stop()
	for {
		c.all.mu.Lock()
		arrived, events := c.all.arrived, c.all.events[c.id]
		c.all.mu.Unlock()
		if len(events) > 0 {
			c.all.t.Fatalf("client %s: event %s %v, want none", c.id, events[0].Event, events[0].Args)
		}
		select {
		case <-arrived:
		case <-deadline.C:
			return
		}
	}
}
