package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"
)

const channel = "private-user-42"

// token is what every client has.
var token = sync.OnceValues(func() (string, error) {
	return jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "42", "exp": time.Now().Add(time.Hour).Unix()}).SignedString(secret)
})

// client keeps a connection for each of those that ask at once.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: math.MaxInt}}

// subscribe makes one connection and subscribes it to a private channel.
func subscribe(ctx context.Context, addr string) (*websocket.Conn, error) {
	ws, _, err := websocket.DefaultDialer.DialContext(ctx, "ws://"+addr+"/app/"+appKey+"?protocol=7", nil)
	if err != nil {
		return nil, err
	}
	_ = ws.SetReadDeadline(time.Now().Add(20 * time.Second))
	if err := exchange(ctx, ws, addr); err != nil {
		return nil, errors.Join(err, ws.Close())
	}
	return ws, nil
}

func exchange(ctx context.Context, ws *websocket.Conn, addr string) error {
	var hello struct{ Data string }
	if err := ws.ReadJSON(&hello); err != nil {
		return err
	}
	var id struct {
		SocketID string `json:"socket_id"`
	}
	if err := json.Unmarshal([]byte(hello.Data), &id); err != nil {
		return err
	}
	auth, err := authorize(ctx, addr, id.SocketID)
	if err != nil {
		return err
	}
	if err := ws.WriteJSON(map[string]any{"event": "pusher:subscribe", "data": map[string]string{"channel": channel, "auth": auth}}); err != nil {
		return err
	}
	_, p, err := ws.ReadMessage()
	if err == nil && !strings.Contains(string(p), "subscription_succeeded") {
		err = fmt.Errorf("not subscribed: %s", p)
	}
	return err
}

func authorize(ctx context.Context, addr, socket string) (string, error) {
	bearer, err := token()
	if err != nil {
		return "", err
	}
	form := url.Values{"socket_id": {socket}, "channel_name": {channel}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/pusher/auth", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", "Bearer "+bearer)
	resp, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer struct{ Auth string }
	err = json.NewDecoder(resp.Body).Decode(&answer)
	return answer.Auth, err
}
