package web_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// script is a service that does what its client asks it to, step by step: what
// a real one does when a token is about to expire, an operator revokes
// somebody, or a handler fails.
type script struct {
	mu   sync.Mutex
	runs map[string]*run
}

// run is what came of the connections to one script.
type run struct {
	Connections int      `json:"connections"`
	Received    []string `json:"received"`
}

func (s *script) serve(w http.ResponseWriter, r *http.Request) {
	name := r.FormValue("run")
	s.mu.Lock()
	if s.runs == nil {
		s.runs = map[string]*run{}
	}
	if s.runs[name] == nil {
		s.runs[name] = &run{}
	}
	s.runs[name].Connections++
	s.mu.Unlock()
	upgrader := websocket.Upgrader{}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer ws.Close()
	_ = ws.SetReadDeadline(time.Now().Add(10 * time.Second))
	for step := range strings.SplitSeq(r.FormValue("steps"), ",") {
		if err := s.do(ws, name, step); err != nil {
			return
		}
	}
	for { // until the client closes
		if _, _, err := ws.ReadMessage(); err != nil {
			return
		}
	}
}

func (s *script) do(ws *websocket.Conn, name, step string) error {
	verb, code, _ := strings.Cut(step, " ")
	closeCode := bridge.Code(code).CloseCode()
	text := func(format string, a ...any) error {
		return ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, format, a...))
	}
	hangUp := func(code int, reason string) error {
		return ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason))
	}
	switch verb {
	case "await":
		_, p, err := ws.ReadMessage()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.runs[name].Received = append(s.runs[name].Received, string(p))
		return err
	case "echo":
		for {
			kind, p, err := ws.ReadMessage()
			if err != nil || ws.WriteMessage(kind, p) != nil {
				return err
			}
		}
	case "authenticated":
		return text(`{"event":"authenticated","data":{"user":"42","via":"jwt"}}`)
	case "expiring":
		return text(`{"event":"expiring","data":{"expires":%q}}`, time.Now().Add(time.Minute).UTC().Format(time.RFC3339))
	case "unauthorized":
		return s.unauthorized(ws, code)
	case "deauthenticated":
		if err := text(`{"event":"deauthenticated","data":{"code":%q}}`, code); err != nil {
			return err
		}
		return hangUp(closeCode, code)
	case "close":
		n, err := strconv.Atoi(code)
		if err != nil {
			return err
		}
		return hangUp(n, "")
	}
	return fmt.Errorf("no step %q", verb)
}

// unauthorized leaves the socket open for another attempt where the service
// does.
func (s *script) unauthorized(ws *websocket.Conn, code string) error {
	event := fmt.Appendf(nil, `{"event":"unauthorized","data":{"message":"refused","code":%q,"type":"UnauthorizedError"}}`, code)
	if err := ws.WriteMessage(websocket.TextMessage, event); err != nil {
		return err
	}
	switch bridge.Code(code) {
	case bridge.CodeInvalidSession, bridge.CodeInvalidToken, bridge.CodeInvalidSecret, bridge.CodeCredentialsRejected, bridge.CodeCredentialsBadFormat:
		return nil
	}
	return ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(bridge.Code(code).CloseCode(), code))
}

func (s *script) report(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer(w, s.runs[r.FormValue("run")])
}
