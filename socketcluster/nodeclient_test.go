package socketcluster_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sessionbridge/sessionbridge/internal/parts"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest/wiretest"
)

// client is socketcluster-client from npm, unmodified, in Node.
type client struct {
	*wiretest.Client
	t testing.TB
}

func nodeModules(t testing.TB) string {
	t.Helper()
	_, modules := partstest.Node(t, parts.NodePrograms, "socketcluster-client")
	return modules
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
	c := wiretest.Node(t, struct {
		with
		Modules string            `json:"modules"`
		Port    int               `json:"port"`
		Headers map[string]string `json:"headers"`
	}{w, nodeModules(t), s.port, headers})
	return &client{c, t}
}

// start connects and waits for the client's connect event.
func (c *client) start() map[string]any {
	c.t.Helper()
	c.Do(map[string]any{"do": "connect"})
	return c.Wait("connect")
}

// subscribe subscribes and waits until that is done.
func (c *client) subscribe(channel string) {
	c.t.Helper()
	c.Must(map[string]any{"do": "subscribe", "channel": channel})
	c.WaitFor("subscribe", func(d map[string]any) bool { return d["channel"] == channel })
}
