package jwtmode_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/jwtmode"
)

// wireCase is one line of the contract with the clients of socketio-jwt: what
// a client that presents this learns.
type wireCase struct {
	name          string
	token         any // of the message; a string also of the header
	status        int // of the upgrade
	code, message string
}

// byTenant is a secret function in which a tenant's name is the token's kid.
func byTenant(ctx context.Context, _ *http.Request, t *jwt.Token) (any, error) {
	switch t.Header["kid"] {
	case "nothing":
		return nil, nil
	case "error":
		return nil, errors.New("the tenants' database is down")
	case "code":
		return nil, bridge.Reject("tenant_suspended", "the tenant is suspended", nil)
	case "silent":
		<-ctx.Done()
		return nil, ctx.Err()
	default:
		return secret, nil
	}
}

func ofTenant(kid string) string { return hs256(claims(nil), map[string]any{"kid": kid}) }

func wireCases() []wireCase {
	good := hs256(claims(nil))
	return []wireCase{
		{"jwt expired", hs256(claims(jwt.MapClaims{"exp": 1})), 401, "invalid_token", "jwt expired"},
		{"invalid signature", sign(jwt.SigningMethodHS256, []byte("another"), claims(nil)), 401, "invalid_token", "invalid signature"},
		{"jwt malformed", "not-a-token", 401, "invalid_token", "jwt malformed"},
		{"jwt signature is required", good[:strings.LastIndexByte(good, '.')+1], 401, "invalid_token", "jwt signature is required"},
		{"jwt not active", hs256(claims(jwt.MapClaims{"nbf": far - 1})), 401, "invalid_token", "jwt not active"},
		{"invalid algorithm", sign(jwt.SigningMethodHS512, secret, claims(nil)), 401, "invalid_token", "invalid algorithm"},
		{"alg none", must(jwt.NewWithClaims(jwt.SigningMethodNone, claims(nil)).SignedString(jwt.UnsafeAllowNoneSignatureType)), 401, "invalid_token", "jwt signature is required"},
		{"jwt audience invalid", hs256(claims(jwt.MapClaims{"aud": "shop"})), 401, "invalid_token", "jwt audience invalid"},
		{"jwt issuer invalid", hs256(claims(jwt.MapClaims{"aud": "chat", "iss": "https://evil.example"})), 401, "invalid_token", "jwt issuer invalid"},
		{"jwt subject invalid", hs256(claims(jwt.MapClaims{"sub": nil, "aud": "chat", "iss": issuerURL})), 401, "invalid_token", "jwt subject invalid"},
		{"invalid token datatype: a number", 42, 0, "invalid_token", "invalid token datatype"},
		{"invalid token datatype: an object", map[string]string{"token": good}, 0, "invalid_token", "invalid token datatype"},
		{"invalid token datatype: null", nil, 0, "invalid_token", "invalid token datatype"},
		{"the secret function finds nothing", ofTenant("nothing"), 401, "invalid_secret", "no secret is known for this token"},
		{"the secret function refuses", ofTenant("code"), 401, "tenant_suspended", "the tenant is suspended"},
		{"the secret function fails", ofTenant("error"), 503, "unavailable", "try again later"},
		{"the secret function does not answer", ofTenant("silent"), 503, "unavailable", "try again later"},
	}
}

func wireAuth(t *testing.T) *jwtmode.Authenticator {
	return newAuth(t, jwtmode.Options{KeyFunc: byTenant, Audience: []string{"chat"}, Issuer: issuerURL})
}

type wireEvent struct {
	Event string
	Data  struct{ Message, Code, Type string }
}

func checkEvent(t *testing.T, p []byte, code, message string) {
	t.Helper()
	var got, want wireEvent
	if err := json.Unmarshal(p, &got); err != nil {
		t.Fatalf("%q: %v", p, err)
	}
	want.Event, want.Data.Message, want.Data.Code, want.Data.Type = "unauthorized", message, code, "UnauthorizedError"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the client learns (-want +got):\n%s", diff)
	}
}

// One round trip: the answer to the upgrade request has the reason.
func TestWireOneRoundTrip(t *testing.T) {
	url := serve(t, wireAuth(t), &bridge.Options{AuthTimeout: 300 * time.Millisecond})
	for _, tt := range wireCases() {
		token, ok := tt.token.(string)
		if !ok {
			continue // a header is always a string
		}
		t.Run(tt.name, func(t *testing.T) {
			checkUpgradeRefused(t, url, http.Header{"Authorization": {"Bearer " + token}}, tt.status, tt.code, tt.message)
		})
	}
	t.Run("two words", func(t *testing.T) {
		checkUpgradeRefused(t, url, http.Header{"Authorization": {"Bearer a b"}}, 401, "credentials_bad_format", formatHeader)
	})
	t.Run("nothing", func(t *testing.T) {
		o := jwtmode.Options{Sources: []jwtmode.Source{jwtmode.SourceHeader}}
		url := serve(t, newAuth(t, o), &bridge.Options{})
		checkUpgradeRefused(t, url, nil, 401, "credentials_required", "log in first")
	})
}

func checkUpgradeRefused(t *testing.T, url string, h http.Header, status int, code, message string) {
	t.Helper()
	ws, res := dial(t, url, h)
	if ws != nil {
		t.Fatal("let in")
	}
	body := make([]byte, 4096)
	n, _ := res.Body.Read(body) // gorilla has read it already
	if res.StatusCode != status {
		t.Errorf("status %d, want %d", res.StatusCode, status)
	}
	checkEvent(t, body[:n], code, message)
}

// Two round trips: the socket learns the reason by an event, and after a bad
// token it may try again.
func TestWireTwoRoundTrips(t *testing.T) {
	url := serve(t, wireAuth(t), &bridge.Options{AuthTimeout: time.Second})
	good := hs256(claims(jwt.MapClaims{"aud": "chat", "iss": issuerURL}))
	for _, tt := range wireCases() {
		t.Run(tt.name, func(t *testing.T) {
			ws, _ := dial(t, url, nil)
			frame := must(json.Marshal(map[string]any{"event": "authenticate", "data": map[string]any{"token": tt.token}}))
			send(t, ws, string(frame))
			_, p, err := ws.ReadMessage()
			if err != nil {
				t.Fatal(err)
			}
			checkEvent(t, p, tt.code, tt.message)
			if tt.code == "unavailable" {
				expectClose(t, ws, 1013)
				return
			}
			send(t, ws, authenticateFrame(good))
			expect(t, ws, authenticated)
		})
	}
}

// expectClose reads until the end, which must have this code.
func expectClose(t *testing.T, ws *websocket.Conn, code int) {
	t.Helper()
	for {
		if _, _, err := ws.ReadMessage(); err != nil {
			if !websocket.IsCloseError(err, code) {
				t.Errorf("the connection ended with %v, want %d", err, code)
			}
			return
		}
	}
}

// The holes of socketio-jwt: a bad token left the socket open for ever.
func TestBadTokenEndsTheSocket(t *testing.T) {
	o := &bridge.Options{AuthTimeout: 300 * time.Millisecond}
	url := serve(t, newAuth(t, jwtmode.Options{}), o)
	t.Run("one, then silence", func(t *testing.T) {
		ws, _ := dial(t, url, nil)
		send(t, ws, authenticateFrame("x"))
		expect(t, ws, unauthorized("jwt malformed"))
		expectClose(t, ws, 3008)
	})
	t.Run("one after the other", func(t *testing.T) {
		ws, _ := dial(t, url, nil)
		for range 3 {
			send(t, ws, authenticateFrame("x"))
			expect(t, ws, unauthorized("jwt malformed"))
		}
		expectClose(t, ws, 3000)
	})
}

// … and expiry was looked at when connecting only. A service that only writes
// never reads its socket, and loses it at exp all the same; what it writes
// after that is not delivered.
func TestExpiryEndsAPushOnlySocket(t *testing.T) {
	ended := make(chan error, 1)
	b, err := bridge.New(newAuth(t, jwtmode.Options{Leeway: -1}), &bridge.Options{ExpiryNotice: -1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	url := serveHandler(t, b, func(c *bridge.Conn) {
		<-c.CloseRead().Done()
		ended <- c.WriteMessage(websocket.TextMessage, []byte("too late"))
	})
	exp := float64(time.Now().Add(400*time.Millisecond).UnixMilli()) / 1000
	ws, _ := dial(t, url, http.Header{"Authorization": {"Bearer " + hs256(claims(jwt.MapClaims{"exp": exp}))}})
	if _, p, err := ws.ReadMessage(); err != nil || !strings.Contains(string(p), `"authenticated"`) {
		t.Fatalf("got %q, %v", p, err)
	}
	expect(t, ws, `{"event":"deauthenticated","data":{"code":"token_expired"}}`)
	if _, p, err := ws.ReadMessage(); !websocket.IsCloseError(err, 3000) {
		t.Errorf("then came %q, %v", p, err)
	}
	if end := (*bridge.EndError)(nil); !errors.As(<-ended, &end) || end.Code != bridge.CodeTokenExpired {
		t.Errorf("writing returned %v", end)
	}
}

// A longer token takes the place of a shorter one on the live socket, and a
// shorter one that comes late does not shorten it.
func TestRefreshInPlace(t *testing.T) {
	url := serve(t, newAuth(t, jwtmode.Options{Leeway: -1}), &bridge.Options{ExpiryNotice: -1})
	exp := float64(time.Now().Add(600*time.Millisecond).UnixMilli()) / 1000
	short := hs256(claims(jwt.MapClaims{"exp": exp}))
	ws, _ := dial(t, url, http.Header{"Authorization": {"Bearer " + short}})
	if _, p, err := ws.ReadMessage(); err != nil || !strings.Contains(string(p), `"authenticated"`) {
		t.Fatalf("got %q, %v", p, err)
	}
	for _, token := range []string{hs256(claims(nil)), short} {
		send(t, ws, authenticateFrame(token))
		expect(t, ws, strings.Replace(authenticated, "00:30Z", "00:00Z", 1))
	}
	for deadline := time.Now().Add(time.Second); time.Now().Before(deadline); {
		send(t, ws, `{"who":"am I"}`)
		expect(t, ws, `"42"`)
	}
}
