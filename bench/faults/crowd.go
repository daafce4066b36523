package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// The sessions are as PHP writes them.
const (
	keyPrefix   = "PHPREDIS_SESSION:"
	anonymous   = "flash|s:3:\"bye\";" // of a session whose user has logged out
	sessionLife = time.Hour
)

func sessionID(i int) string { return fmt.Sprintf("%026d", i) }

func sessionValue(i int) string { return fmt.Sprintf("user_id|i:%d;", i) }

// socket is one client's connection.
type socket struct {
	id   string
	ws   *websocket.Conn
	done chan struct{}

	// Set when done is closed.
	ended time.Time
	code  bridge.Code // as the service said; empty if it said nothing
	err   error
}

var errRefused = errors.New("the handshake was refused with 401")

// dial connects with a session's cookie. It returns errRefused if the service
// says that nobody is logged in with it.
func dial(ctx context.Context, url, id string) (*socket, error) {
	ws, res, err := websocket.DefaultDialer.DialContext(ctx, url, http.Header{"Cookie": {"PHPSESSID=" + id}})
	if err != nil {
		if res != nil && res.StatusCode == http.StatusUnauthorized {
			return nil, errRefused
		}
		return nil, err
	}
	s := &socket{id: id, ws: ws, done: make(chan struct{})}
	go s.read()
	return s, nil
}

func (s *socket) read() {
	defer close(s.done)
	for {
		_, p, err := s.ws.ReadMessage()
		if err != nil {
			s.ended, s.err = time.Now(), err
			_ = s.ws.Close()
			return
		}
		var m struct {
			Event string
			Data  struct{ Code bridge.Code }
		}
		if json.Unmarshal(p, &m) == nil && m.Event == "deauthenticated" {
			s.code = m.Data.Code
		}
	}
}

// alive reports whether the connection still is one.
func (s *socket) alive() bool {
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

func (s *socket) close() {
	_ = s.ws.Close()
	<-s.done
}

// dialers is how many handshakes are under way at once.
const dialers = 32

// inParallel calls f for 0 to n-1 and returns the first error.
func inParallel(n int, f func(i int) error) error {
	var wg sync.WaitGroup
	var once sync.Once
	var first error
	slots := make(chan struct{}, dialers)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := f(i); err != nil {
				once.Do(func() { first = err })
			}
		})
	}
	wg.Wait()
	return first
}

// crowd logs users in, from first on, and connects them.
func crowd(ctx context.Context, web redis.UniversalClient, url string, first, n int) ([]*socket, error) {
	all := make([]*socket, n)
	err := inParallel(n, func(i int) error {
		id := sessionID(first + i)
		if err := web.Set(ctx, keyPrefix+id, sessionValue(first+i), sessionLife).Err(); err != nil {
			return fmt.Errorf("logging in: %w", err)
		}
		s, err := dial(ctx, url, id)
		if err != nil {
			return fmt.Errorf("connecting: %w", err)
		}
		all[i] = s
		return nil
	})
	return all, err
}

func closeAll(all []*socket) {
	for _, s := range all {
		if s != nil {
			s.close()
		}
	}
}
