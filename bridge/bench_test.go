package bridge_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// BenchmarkHandshake measures a whole connection over loopback: TCP, upgrade,
// the first frame from the service, and the closing handshake. The ratio of
// "bridge" to "bare" is what the hook costs, without any store.
func BenchmarkHandshake(b *testing.B) {
	frame := []byte(`{"event":"authenticated","data":{"user":"ann","via":"test"}}`)
	b.Run("bare", func(b *testing.B) {
		upgrader := websocket.Upgrader{}
		benchmarkHandshake(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ws, err := upgrader.Upgrade(w, r, nil)
			if err != nil {
				b.Error(err)
				return
			}
			defer func() { _ = ws.Close() }()
			if ws.WriteMessage(websocket.TextMessage, frame) != nil {
				return
			}
			_, _, _ = ws.ReadMessage() // the client's close frame
		}))
	})
	b.Run("bridge", func(b *testing.B) {
		id := user("ann")
		hook, _ := newBridge(b, bridge.AuthenticatorFunc(func(context.Context, *bridge.Handshake) (*bridge.Identity, error) {
			return id, nil
		}), bridge.Options{})
		benchmarkHandshake(b, hook.Handler(func(c *bridge.Conn) { _, _, _ = c.ReadMessage() }))
	})
}

func benchmarkHandshake(b *testing.B, h http.Handler) {
	s := loopback(b, h)
	d := websocket.Dialer{NetDialContext: s.dial}
	b.ReportAllocs()
	for b.Loop() {
		ws, _, err := d.Dial("ws://"+s.addr, nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := ws.ReadMessage(); err != nil {
			b.Fatal(err)
		}
		if err := ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")); err != nil {
			b.Fatal(err)
		}
		if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			b.Fatal(err)
		}
		_ = ws.Close()
	}
}
