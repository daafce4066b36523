package pusher_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/internal/parts/partstest/wiretest"
	"github.com/sessionbridge/sessionbridge/pusher"
)

var (
	connections     = flag.Int("pusher.connections", 400, "connections of TestManyConnections")
	realConnections = flag.Int("pusher.clients", 300, "connections of TestManyClients")
)

// Many connections, made and authenticated one after another, half of them
// by the upgrade request's token and half by the handler's alone: none hangs, none is lost.
func TestManyConnections(t *testing.T) {
	s := newService(t, wiretest.Tokens(t), pusher.Options{})
	headers := bearer(wiretest.Sign(t, "42", time.Hour))
	wiretest.Many(t, *connections, func(ctx context.Context, i int) error {
		return connectOnce(ctx, s.url, headers, i%2 == 0)
	})
	wiretest.Eventually(t, "nothing is left", func() bool { return s.bridge.Len() == 0 })
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
	s := newService(t, wiretest.Tokens(t), pusher.Options{})
	wiretest.ManyClients(t, *realConnections, map[string]any{
		"modules": nodeModules(t), "port": s.port, "key": appKey, "token": wiretest.Sign(t, "42", time.Hour),
	})
}
