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

// connect makes n connections, some at once, and returns them, or closes each
// when it has been authenticated.
func connect(ctx context.Context, addr string, n, atOnce int, hold bool) ([]*websocket.Conn, error) {
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "42", "exp": time.Now().Add(time.Hour).Unix()}).SignedString(secret)
	if err != nil {
		return nil, err
	}
	hello := []byte(`{"event":"#handshake","data":{"authToken":"` + token + `"},"cid":1}`)
	var mu sync.Mutex
	var open []*websocket.Conn
	var errs []error
	work := make(chan struct{})
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for range work {
				ws, err := shake(ctx, addr, hello)
				mu.Lock()
				switch {
				case err != nil:
					errs = append(errs, err)
				case hold:
					open = append(open, ws)
				default:
					_ = ws.Close()
				}
				mu.Unlock()
			}
		})
	}
	for range n {
		work <- struct{}{}
	}
	close(work)
	wg.Wait()
	return open, errors.Join(errs...)
}

// shake makes one connection and its handshake. The echo of it will do.
func shake(ctx context.Context, addr string, hello []byte) (*websocket.Conn, error) {
	ws, _, err := websocket.DefaultDialer.DialContext(ctx, "ws://"+addr+"/socketcluster/", nil)
	if err != nil {
		return nil, err
	}
	_ = ws.SetReadDeadline(time.Now().Add(20 * time.Second))
	if err := ws.WriteMessage(websocket.TextMessage, hello); err != nil {
		return nil, errors.Join(err, ws.Close())
	}
	_, p, err := ws.ReadMessage()
	if err == nil && string(p) != string(hello) && !strings.Contains(string(p), `"isAuthenticated":true`) {
		err = errors.New("not authenticated")
	}
	if err != nil {
		return nil, errors.Join(err, ws.Close())
	}
	return ws, nil
}
