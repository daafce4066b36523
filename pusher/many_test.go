package pusher_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/pusher"
)

var (
	connections     = flag.Int("pusher.connections", 400, "connections of TestManyConnections")
	realConnections = flag.Int("pusher.clients", 300, "connections of TestManyClients")
)

// atOnce is how many connections are made at once.
const atOnce = 8

// Many connections, made and authenticated one after another, half of them
// by the upgrade request's token and half by the handler's alone: none hangs, none is lost.
func TestManyConnections(t *testing.T) {
	s := newService(t, tokens(t), pusher.Options{})
	headers := bearer(sign(t, "42", time.Hour))
	var done atomic.Int64
	var slowest atomic.Int64
	var wg sync.WaitGroup
	numbers := make(chan int)
	for range atOnce {
		wg.Go(func() {
			for i := range numbers {
				began := time.Now()
				if err := connectOnce(t.Context(), s.url, headers, i%2 == 0); err != nil {
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

// connectOnce makes one connection, subscribes it to a private channel and lets
// it go.
func connectOnce(ctx context.Context, base string, headers map[string]string, atUpgrade bool) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	header := http.Header{}
	if atUpgrade {
		header.Set("Authorization", headers["Authorization"])
	}
	ws, _, err := websocket.DefaultDialer.DialContext(ctx, "ws"+strings.TrimPrefix(base, "http")+path, header)
	if err != nil {
		return err
	}
	defer ws.Close()
	deadline, _ := ctx.Deadline()
	_ = ws.SetReadDeadline(deadline)
	var first struct{ Event, Data string }
	if err := ws.ReadJSON(&first); err != nil {
		return err
	}
	var hello struct {
		SocketID string `json:"socket_id"`
	}
	if err := json.Unmarshal([]byte(first.Data), &hello); err != nil {
		return err
	}
	form := url.Values{"socket_id": {hello.SocketID}, "channel_name": {"private-user-42"}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/pusher/auth", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", headers["Authorization"])
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	g := granted{Channel: "private-user-42"}
	if err := json.NewDecoder(resp.Body).Decode(&g); err != nil {
		return err
	}
	if err := ws.WriteJSON(map[string]any{"event": "pusher:subscribe", "data": g}); err != nil {
		return err
	}
	_, p, err := ws.ReadMessage()
	if err != nil {
		return err
	}
	if want := `{"event":"pusher_internal:subscription_succeeded","channel":"private-user-42","data":"{}"}`; string(p) != want {
		return fmt.Errorf("got %s, want %s", p, want)
	}
	return ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), deadline)
}

// The same with the real client.
func TestManyClients(t *testing.T) {
	s := newService(t, tokens(t), pusher.Options{})
	config, err := json.Marshal(map[string]any{
		"modules": nodeModules(t), "port": s.port, "key": appKey, "token": sign(t, "42", time.Hour),
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
