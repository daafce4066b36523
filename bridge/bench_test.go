package bridge_test

import (
	"context"
	"net/http"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// BenchmarkHandshake measures a whole connection over loopback: TCP, upgrade,
// the first frame from the service, and the closing handshake. The ratio of
// "bridge" to "bare" is what the hook costs, without any store; that of "cached"
// is for an identity that is in the cache.
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
	b.Run("cached", func(b *testing.B) {
		p, hook := newPushed(b, bridge.Options{})
		h := hook.Handler(func(c *bridge.Conn) { _, _, _ = c.ReadMessage() })
		benchmarkHandshake(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set("Sid", "anns")
			h.ServeHTTP(w, r)
		}))
		if n := p.reads(); n > 1 {
			b.Logf("%d readings, want one", n)
		}
	})
	b.Run("bridge", func(b *testing.B) {
		id := user("ann")
		hook, _ := newBridge(b, bridge.AuthenticatorFunc(func(context.Context, *bridge.Handshake) (*bridge.Identity, error) {
			return id, nil
		}), bridge.Options{})
		benchmarkHandshake(b, hook.Handler(func(c *bridge.Conn) { _, _, _ = c.ReadMessage() }))
	})
}

// BenchmarkChanged measures what a reported change costs that concerns nobody,
// and a storm of them over sessions that are all in use, until each has been
// read again and judged.
func BenchmarkChanged(b *testing.B) {
	const n = 10_000
	p, hook := newPushed(b, bridge.Options{})
	keys := make([]string, n)
	for i := range keys {
		sid := strconv.Itoa(i)
		keys[i] = p.key(sid)
		p.set(sid, "u", time.Time{})
		defer leave(hold(hook, sid))
	}
	b.Run("unbound", func(b *testing.B) {
		one := []string{"s:PHPSESSID-4f1c9b2ad0e64b0c8d7a"}
		b.ReportAllocs()
		for b.Loop() {
			p.f.Changed(one)
		}
	})
	b.Run("storm", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			want := p.reads() + n
			p.f.Changed(keys)
			for p.reads() < want {
				runtime.Gosched()
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/session")
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
