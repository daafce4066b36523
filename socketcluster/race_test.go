package socketcluster_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/internal/parts/partstest/wiretest"
)

// A session is ended at some moment of its handshake and its first
// subscription, or right after: whatever the client was told first, it ends up
// as nobody's, knows it, and gets nothing any more.
func TestLogoutDuringHandshake(t *testing.T) {
	const rounds, atOnce = 400, 16
	var users []string
	for i := range rounds {
		users = append(users, fmt.Sprint("user", i))
	}
	sessions := wiretest.NewSessions(users...)
	s := newService(t, sessions, newOptions())
	var before, after atomic.Int64
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for _, user := range users {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			told, err := s.logoutDuringHandshake(t, sessions, user)
			switch {
			case err != nil:
				t.Errorf("%s: %v", user, err)
			case told:
				after.Add(1)
			default:
				before.Add(1)
			}
		})
	}
	wg.Wait()
	t.Logf("%d ended before the answer, %d after it", before.Load(), after.Load())
	if before.Load() == 0 || after.Load() == 0 {
		t.Error("one of the two was never tried")
	}
}

// logoutDuringHandshake reports whether the client was told that it is
// authenticated.
func (s *service) logoutDuringHandshake(t *testing.T, sessions *wiretest.Sessions, user string) (told bool, err error) {
	ws, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(s.url, "http")+"/socketcluster/", http.Header{"Cookie": {"user=" + user}})
	if err != nil {
		return false, err
	}
	defer ws.Close()
	_ = ws.SetReadDeadline(time.Now().Add(10 * time.Second))
	done := make(chan struct{})
	time.AfterFunc(rand.N(1500*time.Microsecond), func() { defer close(done); sessions.Logout(user) })
	defer func() { <-done }()
	for _, frame := range []string{`{"event":"#handshake","data":{"authToken":null},"cid":1}`, `{"event":"#subscribe","data":{"channel":"` + user + `"},"cid":2}`} {
		if err := ws.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
			return false, err
		}
	}
	authenticated, subscribed := false, false
	for answers := 0; answers < 2 || authenticated || subscribed; {
		_, p, err := ws.ReadMessage()
		if err != nil {
			return told, fmt.Errorf("authenticated: %t, subscribed: %t: %w", authenticated, subscribed, err)
		}
		switch frame := string(p); {
		case frame == "":
			if err := ws.WriteMessage(websocket.TextMessage, nil); err != nil {
				return told, err
			}
		case strings.HasPrefix(frame, `{"rid":1,`):
			answers++
			told = strings.Contains(frame, `"isAuthenticated":true`)
			authenticated = told
		case frame == `{"rid":2}`:
			answers++
			subscribed = true
		case strings.HasPrefix(frame, `{"rid":2,"error"`):
			answers++
		case strings.HasPrefix(frame, `{"event":"#setAuthToken"`):
			authenticated = true
		case frame == `{"event":"#removeAuthToken"}`:
			authenticated = false
		case strings.HasPrefix(frame, `{"event":"#kickOut"`):
			subscribed = false
		default:
			return told, fmt.Errorf("got %s", frame)
		}
	}
	// Nothing comes any more, but the answer to this.
	if err := s.server.Publish(user, "secret"); err != nil {
		return told, err
	}
	if err := ws.WriteMessage(websocket.TextMessage, []byte(`{"event":"whoami","cid":3}`)); err != nil {
		return told, err
	}
	for {
		_, p, err := ws.ReadMessage()
		switch frame := string(p); {
		case err != nil:
			return told, err
		case frame == `{"rid":3}`:
			return told, nil
		case frame != "" && frame != `{"event":"#removeAuthToken"}`:
			return told, fmt.Errorf("at the end: %s", frame)
		}
	}
}
