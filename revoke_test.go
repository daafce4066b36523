package sessionbridge_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/stores"
)

// snippet returns the line of docs/operations.md that publishes, in a block of
// a language.
func snippet(t *testing.T, language string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, block, ok := strings.Cut(string(text), "```"+language+"\n")
	if !ok {
		t.Fatalf("no block of %s", language)
	}
	line, _, _ := strings.Cut(block, "\n")
	if !strings.Contains(line, "publish('sessionbridge:revoke'") {
		t.Fatalf("the block of %s is %q", language, line)
	}
	return line
}

// A user's sockets on two nodes end by Revoke on one of them, and by the lines
// that the documentation has for PHP and for Express.
func TestRevokeOnAllNodes(t *testing.T) {
	server := partstest.Redis(t)
	opts, err := redis.ParseURL(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(opts)
	t.Cleanup(func() { rdb.Close() })
	const sid = "0123456789abcdef0123456789abcdef"
	key := "sess:" + sid
	if err := rdb.Set(t.Context(), key, `user_id|i:42;`, time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	stack := cookie.PHP()
	stack.Keyspace.Prefix = "sess:"

	var nodes []*bridge.Bridge
	var urls []string
	for range 2 {
		store, err := stores.NewRedis(rdb, nil)
		if err != nil {
			t.Fatal(err)
		}
		auth, err := cookie.New(store, stack)
		if err != nil {
			t.Fatal(err)
		}
		bus, err := stores.NewBus(rdb, nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := bridge.New(auth, &bridge.Options{Bus: bus, OmitEvents: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.Shutdown(context.Background()) })
		nodes = append(nodes, b)
		srv := httptest.NewServer(b.Handler(func(c *bridge.Conn) { <-c.CloseRead().Done() }))
		t.Cleanup(srv.Close)
		urls = append(urls, "ws"+strings.TrimPrefix(srv.URL, "http"))
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); ; <-tick.C {
		if rdb.PubSubNumSub(t.Context(), "sessionbridge:revoke").Val()["sessionbridge:revoke"] == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the nodes do not listen")
		}
	}

	port := opts.Addr[strings.LastIndexByte(opts.Addr, ':')+1:]
	run := func(t *testing.T, name string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = filepath.Join("examples", "express") // where npm's redis is
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for _, tt := range []struct {
		name string
		by   func(t *testing.T)
	}{
		{"Go", func(t *testing.T) {
			if err := nodes[0].Revoke(t.Context(), bridge.Target{User: "42", Via: "php"}); err != nil {
				t.Fatal(err)
			}
		}},
		{"PHP", func(t *testing.T) {
			partstest.PHP(t, server) // or skips
			run(t, "php", "-r", "$redis = new Redis; $redis->connect('127.0.0.1', "+port+"); "+snippet(t, "php"))
		}},
		{"Express", func(t *testing.T) {
			partstest.Express(t, server, "a secret of the session's cookie") // or skips
			run(t, "node", "--input-type=module", "-e",
				"import { createClient } from 'redis'\nconst client = await createClient({ url: '"+server.URL+"' }).connect()\n"+
					"const req = { sessionID: '"+sid+"' }\n"+snippet(t, "js")+"\nawait client.close()")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var sockets []*websocket.Conn
			for _, url := range urls {
				ws, _, err := websocket.DefaultDialer.DialContext(t.Context(), url, http.Header{"Cookie": {"PHPSESSID=" + sid}})
				if err != nil {
					t.Fatal(err)
				}
				defer ws.Close()
				sockets = append(sockets, ws)
			}
			tt.by(t)
			for i, ws := range sockets {
				_ = ws.SetReadDeadline(time.Now().Add(10 * time.Second))
				_, _, err := ws.ReadMessage()
				if !websocket.IsCloseError(err, 3000) || !strings.Contains(err.Error(), "revoked") {
					t.Errorf("node %d: %v, want 3000 revoked", i, err)
				}
			}
		})
	}
}
