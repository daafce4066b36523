package main

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"
)

// hello is what every client says.
var hello = sync.OnceValues(func() ([]byte, error) {
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "42", "exp": time.Now().Add(time.Hour).Unix()}).SignedString(secret)
	return []byte(`{"event":"#handshake","data":{"authToken":"` + token + `"},"cid":1}`), err
})

// shake makes one connection and its handshake. The echo of it will do.
func shake(ctx context.Context, addr string) (*websocket.Conn, error) {
	frame, err := hello()
	if err != nil {
		return nil, err
	}
	ws, _, err := websocket.DefaultDialer.DialContext(ctx, "ws://"+addr+"/socketcluster/", nil)
	if err != nil {
		return nil, err
	}
	_ = ws.SetReadDeadline(time.Now().Add(20 * time.Second))
	if err := ws.WriteMessage(websocket.TextMessage, frame); err != nil {
		return nil, errors.Join(err, ws.Close())
	}
	_, p, err := ws.ReadMessage()
	if err == nil && string(p) != string(frame) && !strings.Contains(string(p), `"isAuthenticated":true`) {
		err = errors.New("not authenticated")
	}
	if err != nil {
		return nil, errors.Join(err, ws.Close())
	}
	return ws, nil
}
