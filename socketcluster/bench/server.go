package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/jwtmode"
	"github.com/sessionbridge/sessionbridge/socketcluster"
)

// secret signs the tokens of all servers; nothing is protected by it.
var secret = []byte("a secret of thirty-two bytes or more")

// beServer serves until ctx ends.
func beServer(ctx context.Context, kind string) error {
	handler := http.Handler(http.HandlerFunc(echo))
	if kind == "adapter" {
		auth, err := jwtmode.New(jwtmode.Options{Algorithms: []string{"HS256"}, Key: secret})
		if err != nil {
			return err
		}
		silent := slog.New(slog.NewTextHandler(io.Discard, nil))
		b, err := bridge.New(auth, &bridge.Options{Logger: silent})
		if err != nil {
			return err
		}
		if handler, err = socketcluster.New(b, &socketcluster.Options{Logger: silent}); err != nil {
			return err
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("listening on", l.Addr())
	srv := &http.Server{Handler: handler}
	go func() { <-ctx.Done(); _ = srv.Close() }()
	return srv.Serve(l)
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
