package socketcluster_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"
)

var (
	connections     = flag.Int("socketcluster.connections", 400, "connections of TestManyConnections")
	realConnections = flag.Int("socketcluster.clients", 300, "connections of TestManyClients")
)

// atOnce is how many connections are made at once.
const atOnce = 8

// Many connections, made and authenticated one after another, half of them by
// the token in the handshake and half by a login: none hangs, none is lost.
func TestManyConnections(t *testing.T) {
	s := newService(t, tokens(t), newOptions())
	token := sign(t, "42", time.Hour, nil)
	var done atomic.Int64
	var slowest atomic.Int64
	var wg sync.WaitGroup
	numbers := make(chan int)
	for range atOnce {
		wg.Go(func() {
			for i := range numbers {
				began := time.Now()
				if err := connectOnce(t.Context(), s.url, token, i%2 == 0); err != nil {
					t.Errorf("connection %d: %v", i, err)
					continue
				}
				done.Add(1)
				took := int64(time.Since(began))
				for old := slowest.Load(); took > old && !slowest.CompareAndSwap(old, took); old = slowest.Load() {
				}
			}
		})
	}
	for i := range *connections {
		numbers <- i
	}
	close(numbers)
	wg.Wait()
	t.Logf("%d of %d connections; the slowest took %v", done.Load(), *connections, time.Duration(slowest.Load()))
	if n := done.Load(); n != int64(*connections) {
		t.Errorf("%d connections were lost", int64(*connections)-n)
	}
	eventually(t, "nothing is left", func() bool { return s.bridge.Len() == 0 })
}

// connectOnce makes one connection, authenticates it and lets it go.
func connectOnce(ctx context.Context, url, token string, atHandshake bool) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	ws, _, err := websocket.DefaultDialer.DialContext(ctx, "ws"+strings.TrimPrefix(url, "http")+"/socketcluster/", nil)
	if err != nil {
		return err
	}
	defer ws.Close()
	deadline, _ := ctx.Deadline()
	_ = ws.SetReadDeadline(deadline)
	exchange := func(send, want string) error {
		if err := ws.WriteMessage(websocket.TextMessage, []byte(send)); err != nil {
			return err
		}
		for {
			_, p, err := ws.ReadMessage()
			if err != nil {
				return err
			}
			switch text := string(p); {
			case text == "" || strings.HasPrefix(text, `{"event":"#setAuthToken"`):
			case strings.Contains(text, want):
				return nil
			default:
				return fmt.Errorf("got %s, want %s", text, want)
			}
		}
	}
	first, authenticated := "null", `"isAuthenticated":false}`
	if atHandshake {
		first, authenticated = `"`+token+`"`, `"isAuthenticated":true}`
	}
	if err := exchange(`{"event":"#handshake","data":{"authToken":`+first+`},"cid":1}`, authenticated); err != nil {
		return err
	}
	if !atHandshake {
		if err := exchange(`{"event":"login","data":{"user":"42","password":"demo"},"cid":2}`, `{"rid":2}`); err != nil {
			return err
		}
	}
	if err := exchange(`{"event":"whoami","cid":3}`, `{"rid":3,"data":"42"}`); err != nil {
		return err
	}
	return ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), deadline)
}

// The same with the real client.
func TestManyClients(t *testing.T) {
	s := newService(t, tokens(t), newOptions())
	config, err := json.Marshal(map[string]any{
		"modules": nodeModules(t), "port": s.port, "token": sign(t, "42", time.Hour, nil),
		"connections": *realConnections, "atOnce": atOnce,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	output, err := exec.CommandContext(ctx, "node", filepath.Join("testdata", "many.cjs"), string(config)).Output()
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Authenticated, Failed int }
	if err := json.Unmarshal(output, &got); err != nil {
		t.Fatal(err)
	}
	want := struct{ Authenticated, Failed int }{*realConnections, 0}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("clients (-want +got):\n%s", diff)
	}
}
