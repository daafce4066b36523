package socketcluster_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest/wiretest"
	"github.com/sessionbridge/sessionbridge/socketcluster"
)

// inMemory connects a client to a server with the default times.
func inMemory(t *testing.T) (*websocket.Conn, func()) {
	t.Helper()
	b, err := bridge.New(wiretest.Tokens(t), &bridge.Options{Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	s, err := socketcluster.New(b, &socketcluster.Options{Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	return wiretest.InMemory(t, b, s, "/socketcluster/")
}

// The times of the original: a handshake within 10 s, a ping every 8 s, and a
// client that is silent for 20 s is closed.
func TestDefaultTimes(t *testing.T) {
	closedAfter := func(t *testing.T, ws *websocket.Conn, began time.Time) (int, time.Duration) {
		t.Helper()
		for {
			_, p, err := ws.ReadMessage()
			if closed := (*websocket.CloseError)(nil); errors.As(err, &closed) {
				return closed.Code, time.Since(began)
			}
			if err != nil || len(p) > 0 {
				t.Fatalf("got %s, %v", p, err)
			}
		}
	}
	t.Run("no handshake", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ws, stop := inMemory(t)
			defer stop()
			code, after := closedAfter(t, ws, time.Now())
			wiretest.Equal(t, "close code", socketcluster.CloseNoHandshake, code)
			wiretest.Equal(t, "after", 10*time.Second, after)
		})
	})
	t.Run("pings", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ws, stop := inMemory(t)
			defer stop()
			if err := ws.WriteMessage(websocket.TextMessage, []byte(`{"event":"#handshake","cid":1}`)); err != nil {
				t.Fatal(err)
			}
			if _, _, err := ws.ReadMessage(); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				began := time.Now()
				_, p, err := ws.ReadMessage()
				if err != nil || len(p) > 0 {
					t.Fatalf("got %s, %v", p, err)
				}
				wiretest.Equal(t, "ping after", 8*time.Second, time.Since(began))
				if err := ws.WriteMessage(websocket.TextMessage, nil); err != nil {
					t.Fatal(err)
				}
			}
			code, after := closedAfter(t, ws, time.Now())
			wiretest.Equal(t, "close code", socketcluster.ClosePongTimeout, code)
			wiretest.Equal(t, "after", 20*time.Second, after)
		})
	})
}
