package pusher_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"testing"

	"github.com/sessionbridge/sessionbridge/internal/parts/partstest/wiretest"
	"github.com/sessionbridge/sessionbridge/pusher"
)

// The first message, byte by byte.
func TestConnectionEstablished(t *testing.T) {
	s := newService(t, wiretest.NewSessions(), pusher.Options{})
	ids := map[string]bool{}
	for range 3 {
		c := s.dialPath(t, path, nil)
		frame, err := c.next()
		if err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile(`^\{"event":"pusher:connection_established","data":"\{\\"socket_id\\":\\"(\d+\.\d+)\\",\\"activity_timeout\\":120\}"\}$`).FindStringSubmatch(frame)
		if m == nil {
			t.Fatalf("got %s", frame)
		}
		ids[m[1]] = true
	}
	if len(ids) != 3 {
		t.Errorf("the ids repeat: %v", ids)
	}
}

// What a client is told that is not let in.
func TestRefused(t *testing.T) {
	sessions := wiretest.NewSessions("42")
	s := newService(t, sessions, pusher.Options{})
	for _, tc := range []struct {
		name, path string
		header     http.Header
		down       bool
		code       int
		message    string
	}{
		{name: "another key", path: "/app/other?protocol=7", code: pusher.CodeNoApplication, message: "there is no application of this key"},
		{name: "another path", path: "/app/" + appKey + "/x?protocol=7", code: pusher.CodeNoPath, message: "the path is not /app/{key}"},
		{name: "no version", path: "/app/" + appKey, code: pusher.CodeNoVersion, message: "the parameter protocol is missing"},
		{name: "no number", path: "/app/" + appKey + "?protocol=x", code: pusher.CodeBadVersion, message: "the parameter protocol is no number"},
		{name: "version 5", path: "/app/" + appKey + "?protocol=5", code: pusher.CodeUnknownVersion, message: "the protocol must be 7"},
		{name: "another origin", path: path, header: http.Header{"Origin": {"https://evil.example"}}, code: pusher.CodeUnauthorized, message: "origin_not_allowed"},
		{name: "a forged cookie", path: path, header: http.Header{"Cookie": {"user=forged"}}, code: pusher.CodeUnauthorized, message: "credentials_rejected"},
		{name: "the store is away", path: path, header: http.Header{"Cookie": {"user=42"}}, down: true, code: pusher.CodeTryLater, message: "unavailable"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sessions.Fail(tc.down)
			c := s.dialPath(t, tc.path, tc.header)
			want, err := json.Marshal(map[string]any{"event": "pusher:error", "data": map[string]any{"code": tc.code, "message": tc.message}})
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.next()
			if err != nil {
				t.Fatal(err)
			}
			var a, b any
			if err := json.Unmarshal(want, &a); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(got), &b); err != nil {
				t.Fatal(err)
			}
			wiretest.Equal(t, "frame", a, b)
			c.wantClose(tc.code)
		})
	}
	resp, err := http.Get(s.url + path)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	wiretest.Equal(t, "status without an upgrade", http.StatusUpgradeRequired, resp.StatusCode)
	if n := s.bridge.Len(); n != 0 {
		t.Errorf("%d lives left", n)
	}
}

func TestCapacity(t *testing.T) {
	s := newService(t, wiretest.NewSessions(), pusher.Options{MaxConnections: 1})
	first := s.dial(t, "")
	second := s.dialPath(t, path, nil)
	second.want(`{"event":"pusher:error","data":{"code":4100,"message":"over capacity"}}`)
	second.wantClose(pusher.CodeTryLater)
	first.ws.Close()
	wiretest.Eventually(t, "the first is gone", func() bool { return s.bridge.Len() == 0 })
	s.dial(t, "").send(`{"event":"pusher:ping","data":{}}`)
}

// The client's own view: it stays away, or comes back.
func TestRefusedClient(t *testing.T) {
	sessions := wiretest.NewSessions("42")
	s := newService(t, sessions, pusher.Options{})
	t.Run("a forged cookie", func(t *testing.T) {
		c := s.node(t, s.jar(t, "user=forged"), with{})
		c.Must(map[string]any{"do": "connect"})
		c.WaitFor("error", func(d map[string]any) bool { // of the handshake
			e, _ := d["error"].(map[string]any)
			return d["type"] == "WebSocketError" && e["type"] == "PusherError" && e["data"].(map[string]any)["code"] == 4009.0
		})
		c.waitState("disconnected")
	})
	t.Run("the store is away", func(t *testing.T) {
		sessions.Fail(true)
		c := s.node(t, s.jar(t, "user=42"), with{})
		c.Must(map[string]any{"do": "connect"})
		wiretest.Equal(t, "connecting_in", any(1.0), c.Wait("connecting_in")["seconds"])
		sessions.Fail(false)
		c.waitState("connected")
	})
}
