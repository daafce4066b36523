package main

import (
	"io"
	"log/slog"
	"net/http"
	"sync"

	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/jwtmode"
	"github.com/sessionbridge/sessionbridge/socketcluster"
)

// secret signs the tokens of all servers; nothing is protected by it.
var secret = []byte("a secret of thirty-two bytes or more")

// newHandler is the adapter, or the bare server.
func newHandler(kind string) (http.Handler, error) {
	if kind != "adapter" {
		return http.HandlerFunc(echo), nil
	}
	auth, err := jwtmode.New(jwtmode.Options{Algorithms: []string{"HS256"}, Key: secret})
	if err != nil {
		return nil, err
	}
	silent := slog.New(slog.NewTextHandler(io.Discard, nil))
	b, err := bridge.New(auth, &bridge.Options{Logger: silent})
	if err != nil {
		return nil, err
	}
	return socketcluster.New(b, &socketcluster.Options{Logger: silent})
}

var upgrader = websocket.Upgrader{ReadBufferSize: 256, WriteBufferSize: 1024, WriteBufferPool: &sync.Pool{}}

// echo is the same traffic without any of the work.
func echo(w http.ResponseWriter, r *http.Request) {
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	go func() {
		defer ws.Close()
		for {
			kind, p, err := ws.ReadMessage()
			if err != nil || ws.WriteMessage(kind, p) != nil {
				return
			}
		}
	}()
}
