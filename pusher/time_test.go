package pusher_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest/wiretest"
	"github.com/sessionbridge/sessionbridge/pusher"
)

// inMemory connects a client to a server with the default times.
func inMemory(t *testing.T) (*websocket.Conn, func()) {
	t.Helper()
	b, err := bridge.New(wiretest.Tokens(t), &bridge.Options{Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	s, err := pusher.New(b, &pusher.Options{AppKey: appKey, Secret: appSecret, Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	return wiretest.InMemory(t, b, s, path)
}

// A client that is silent for 120 s is pinged, and closed 30 s later unless it
// says something.
func TestDefaultTimes(t *testing.T) {
	for _, tc := range []struct {
		name  string
		sends func(*websocket.Conn) error // upon the first ping
		until time.Duration               // the end, from the beginning
	}{
		{"silence", func(*websocket.Conn) error { return nil }, 150 * time.Second},
		{"a pong", func(ws *websocket.Conn) error {
			return ws.WriteMessage(websocket.TextMessage, []byte(`{"event":"pusher:pong","data":{}}`))
		}, 270 * time.Second},
		{"a ping of the WebSocket's own", func(ws *websocket.Conn) error {
			return ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second))
		}, 270 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				ws, stop := inMemory(t)
				defer stop()
				if _, _, err := ws.ReadMessage(); err != nil {
					t.Fatal(err)
				}
				pings := 0
				for {
					_, p, err := ws.ReadMessage()
					if closed := (*websocket.CloseError)(nil); errors.As(err, &closed) {
						wiretest.Equal(t, "close code", pusher.CodeNoPong, closed.Code)
						wiretest.Equal(t, "after", tc.until, time.Since(began))
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					switch frame := string(p); {
					case frame == `{"event":"pusher:ping","data":"{}"}`:
						if pings++; pings == 1 {
							wiretest.Equal(t, "ping after", 120*time.Second, time.Since(began))
							if err := tc.sends(ws); err != nil {
								t.Fatal(err)
							}
						}
					case !strings.HasPrefix(frame, `{"event":"pusher:error","data":{"code":4201`):
						t.Fatalf("got %s", frame)
					}
				}
			})
		})
	}
}

// The real client keeps its socket alive by itself, and answers pings.
func TestActivity(t *testing.T) {
	s := newService(t, wiretest.NewSessions(), pusher.Options{ActivityTimeout: time.Second, PongTimeout: time.Second})
	c := s.connected(t, s.port, with{})
	mute := s.dial(t, "")
	mute.want(`{"event":"pusher:ping","data":"{}"}`)
	mute.wantClose(pusher.CodeNoPong)
	wiretest.Equal(t, "state", any("connected"), c.State()["state"])
	if n := s.bridge.Len(); n < 1 {
		t.Error("the client is gone")
	}
}
