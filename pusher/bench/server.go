package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync"

	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/jwtmode"
	"github.com/sessionbridge/sessionbridge/pusher"
)

// secret signs the tokens of all servers, and the others are the application's;
// nothing is protected by them.
var (
	secret    = []byte("a secret of thirty-two bytes or more")
	appKey    = "key"
	appSecret = "7ad3773142a6692b25b8"
)

// newHandler is the adapter, or the bare server.
func newHandler(kind string) (http.Handler, error) {
	mux := http.NewServeMux()
	if kind != "adapter" {
		mux.HandleFunc("/app/", bare)
		mux.HandleFunc("/pusher/auth", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(w, `{"auth":"key:00"}`)
		})
		return mux, nil
	}
	s, err := newAdapter()
	if err != nil {
		return nil, err
	}
	mux.Handle("/app/", s)
	mux.Handle("/pusher/auth", s.AuthHandler(func(_ context.Context, id *bridge.Identity, channel string) (*pusher.Member, error) {
		if channel != "private-user-"+id.User {
			return nil, pusher.ErrForbidden
		}
		return nil, nil
	}))
	return mux, nil
}

func newAdapter() (*pusher.Server, error) {
	auth, err := jwtmode.New(jwtmode.Options{Algorithms: []string{"HS256"}, Key: secret})
	if err != nil {
		return nil, err
	}
	silent := slog.New(slog.NewTextHandler(io.Discard, nil))
	b, err := bridge.New(auth, &bridge.Options{Logger: silent})
	if err != nil {
		return nil, err
	}
	return pusher.New(b, &pusher.Options{AppKey: appKey, Secret: appSecret, Logger: silent})
}

var upgrader = websocket.Upgrader{ReadBufferSize: 256, WriteBufferSize: 1024, WriteBufferPool: &sync.Pool{}}

// bare is the same traffic without any of the work.
func bare(w http.ResponseWriter, r *http.Request) {
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	go func() {
		defer ws.Close()
		err := ws.WriteMessage(websocket.TextMessage, []byte(`{"event":"pusher:connection_established","data":"{\"socket_id\":\"1.2\",\"activity_timeout\":120}"}`))
		for err == nil {
			if _, _, err = ws.ReadMessage(); err == nil {
				err = ws.WriteMessage(websocket.TextMessage, []byte(`{"event":"pusher_internal:subscription_succeeded","channel":"private-user-42","data":"{}"}`))
			}
		}
	}()
}
