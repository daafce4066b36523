package jwtmode_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/jwtmode"
)

// patience is how long a test waits for a frame before it fails.
const patience = 10 * time.Second

// serve starts a service that answers each message with the user's id, and
// returns its URL.
func serve(t *testing.T, a bridge.Authenticator, o *bridge.Options) string {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	return serveLogged(t, a, o)
}

func serveLogged(t *testing.T, a bridge.Authenticator, o *bridge.Options) string {
	t.Helper()
	b, err := bridge.New(a, o)
	if err != nil {
		t.Fatal(err)
	}
	return serveHandler(t, b, func(c *bridge.Conn) {
		for {
			if _, _, err := c.ReadMessage(); err != nil {
				return
			}
			if err := c.WriteMessage(websocket.TextMessage, []byte(`"`+c.Identity().User+`"`)); err != nil {
				return
			}
		}
	})
}

// serveHandler starts a service and returns its URL.
func serveHandler(t *testing.T, b *bridge.Bridge, serve func(*bridge.Conn)) string {
	t.Helper()
	s := httptest.NewServer(b.Handler(serve))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := b.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		s.Close()
	})
	return "ws" + strings.TrimPrefix(s.URL, "http")
}

func dial(t *testing.T, url string, h http.Header, subprotocols ...string) (*websocket.Conn, *http.Response) {
	t.Helper()
	d := websocket.Dialer{HandshakeTimeout: patience, Subprotocols: subprotocols}
	ws, res, err := d.Dial(url, h)
	if err != nil && !errors.Is(err, websocket.ErrBadHandshake) {
		t.Fatal(err)
	}
	if ws != nil {
		t.Cleanup(func() { _ = ws.Close() })
		_ = ws.SetReadDeadline(time.Now().Add(patience))
	}
	return ws, res
}

func send(t *testing.T, ws *websocket.Conn, frame string) {
	t.Helper()
	if err := ws.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
		t.Fatal(err)
	}
}

func authenticateFrame(token string) string {
	return `{"event":"authenticate","data":{"token":"` + token + `"}}`
}

// expect checks the next frame.
func expect(t *testing.T, ws *websocket.Conn, want string) {
	t.Helper()
	_, p, err := ws.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(decoded([]byte(want)), decoded(p)); diff != "" {
		t.Fatalf("frame (-want +got):\n%s", diff)
	}
}

func decoded(p []byte) (v any) {
	if err := json.Unmarshal(p, &v); err != nil {
		return string(p)
	}
	return v
}

const authenticated = `{"event":"authenticated","data":{"user":"42","via":"jwt","expires":"2100-01-01T00:00:30Z"}}`

func unauthorized(message string) string {
	return `{"event":"unauthorized","data":{"message":"` + message + `","code":"invalid_token","type":"UnauthorizedError"}}`
}

func TestOneRoundTrip(t *testing.T) {
	url := serve(t, newAuth(t, jwtmode.Options{}), &bridge.Options{Subprotocols: []string{"chat.v1"}})
	good := hs256(claims(nil))
	tests := []struct {
		name   string
		header string
		offer  []string
		chosen string
	}{
		{"header", "Bearer " + good, nil, ""},
		{"header and the application's subprotocol", "Bearer " + good, []string{"chat.v1"}, "chat.v1"},
		{"subprotocol", "", []string{"bearer", good}, "bearer"},
		{"subprotocol and the application's", "", []string{"bearer", good, "chat.v1"}, "chat.v1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{}
			if tt.header != "" {
				h.Set("Authorization", tt.header)
			}
			ws, res := dial(t, url, h, tt.offer...)
			if ws == nil {
				t.Fatalf("refused with %s", res.Status)
			}
			if got := res.Header.Values("Sec-WebSocket-Protocol"); strings.Join(got, ", ") != tt.chosen {
				t.Errorf("the service chose %q, want %q", got, tt.chosen)
			}
			expect(t, ws, authenticated)
			send(t, ws, `{"who":"am I"}`)
			expect(t, ws, `"42"`)
		})
	}
	t.Run("expired", func(t *testing.T) {
		ws, res := dial(t, url, http.Header{"Authorization": {"Bearer " + hs256(claims(jwt.MapClaims{"exp": 1}))}})
		if ws != nil {
			t.Fatal("let in")
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != http.StatusUnauthorized || res.Header.Get("WWW-Authenticate") != `Bearer error="invalid_token"` {
			t.Errorf("refused with %s, challenge %q", res.Status, res.Header.Get("WWW-Authenticate"))
		}
		if diff := cmp.Diff(decoded([]byte(unauthorized("jwt expired"))), decoded(body)); diff != "" {
			t.Errorf("body (-want +got):\n%s", diff)
		}
	})
}

func TestTwoRoundTrips(t *testing.T) {
	url := serve(t, newAuth(t, jwtmode.Options{}), &bridge.Options{MaxAttempts: 100})
	good := hs256(claims(nil))
	ws, _ := dial(t, url, nil)
	for _, tt := range []struct{ frame, message string }{
		{`{"event":"authenticate"}`, "invalid token datatype"},
		{`{"event":"authenticate","data":{}}`, "invalid token datatype"},
		{`{"event":"authenticate","data":{"token":null}}`, "invalid token datatype"},
		{`{"event":"authenticate","data":{"token":42}}`, "invalid token datatype"},
		{`{"event":"authenticate","data":{"token":["` + good + `"]}}`, "invalid token datatype"},
		{authenticateFrame(""), "jwt must be provided"},
		{authenticateFrame("x"), "jwt malformed"},
		{authenticateFrame(good + `\n`), "jwt malformed"},
		{authenticateFrame(good[:strings.LastIndexByte(good, '.')+1]), "jwt signature is required"},
		{authenticateFrame(sign(jwt.SigningMethodHS512, secret, claims(nil))), "invalid algorithm"},
		{authenticateFrame(sign(jwt.SigningMethodHS256, []byte("x"), claims(nil))), "invalid signature"},
		{authenticateFrame(hs256(claims(jwt.MapClaims{"exp": 1}))), "jwt expired"},
		{authenticateFrame(hs256(claims(jwt.MapClaims{"nbf": far - 1}))), "jwt not active"},
	} {
		send(t, ws, tt.frame)
		expect(t, ws, unauthorized(tt.message))
	}
	send(t, ws, authenticateFrame(good))
	expect(t, ws, authenticated)
	send(t, ws, `{"who":"am I"}`)
	expect(t, ws, `"42"`)

	// Again on the live socket, as a client does that renews its token.
	send(t, ws, authenticateFrame(hs256(claims(jwt.MapClaims{"exp": far + 60}))))
	expect(t, ws, `{"event":"authenticated","data":{"user":"42","via":"jwt","expires":"2100-01-01T00:01:30Z"}}`)
	send(t, ws, authenticateFrame(hs256(claims(jwt.MapClaims{"sub": "43"}))))
	expect(t, ws, `{"event":"deauthenticated","data":{"code":"user_changed"}}`)
}

// A header that is bad is not made good by a message: the handshake is over.
func TestBadHeaderIsNotUpgraded(t *testing.T) {
	url := serve(t, newAuth(t, jwtmode.Options{}), &bridge.Options{})
	for _, header := range []string{"Bearer", "Bearer x"} {
		if ws, res := dial(t, url, http.Header{"Authorization": {header}}); ws != nil || res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%q: got %s", header, res.Status)
		}
	}
}

func TestConnectionEndsWithTheToken(t *testing.T) {
	url := serve(t, newAuth(t, jwtmode.Options{Leeway: -1}), &bridge.Options{OmitEvents: true})
	exp := float64(time.Now().Add(300*time.Millisecond).UnixMilli()) / 1000
	ws, res := dial(t, url, http.Header{"Authorization": {"Bearer " + hs256(claims(jwt.MapClaims{"exp": exp}))}})
	if ws == nil {
		t.Fatalf("refused with %s", res.Status)
	}
	_, _, err := ws.ReadMessage()
	if !websocket.IsCloseError(err, 3000) || !strings.Contains(err.Error(), "token_expired") {
		t.Errorf("the connection ended with %v", err)
	}
}
