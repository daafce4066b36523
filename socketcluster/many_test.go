package socketcluster_test

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/internal/parts/partstest/wiretest"
)

var (
	connections     = flag.Int("socketcluster.connections", 400, "connections of TestManyConnections")
	realConnections = flag.Int("socketcluster.clients", 300, "connections of TestManyClients")
)

// Many connections, made and authenticated one after another, half of them by
// the token in the handshake and half by a login: none hangs, none is lost.
func TestManyConnections(t *testing.T) {
	s := newService(t, wiretest.Tokens(t), newOptions())
	token := wiretest.Sign(t, "42", time.Hour)
	wiretest.Many(t, *connections, func(ctx context.Context, i int) error {
		return connectOnce(ctx, s.url, token, i%2 == 0)
	})
	wiretest.Eventually(t, "nothing is left", func() bool { return s.bridge.Len() == 0 })
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
	s := newService(t, wiretest.Tokens(t), newOptions())
	wiretest.ManyClients(t, *realConnections, map[string]any{
		"modules": nodeModules(t), "port": s.port, "token": wiretest.Sign(t, "42", time.Hour),
	})
}
