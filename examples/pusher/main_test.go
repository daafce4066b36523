package main

import (
	"testing"

	"github.com/sessionbridge/sessionbridge/internal/parts"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest/wiretest"
)

// The page does what it says: log in, listen, and log out, with the socket
// known by the channels' requests first and by its own cookie then.
func TestPage(t *testing.T) {
	_, modules := partstest.Node(t, parts.NodePrograms, "pusher-js", "laravel-echo")
	browser := partstest.Chromium(t)
	for _, redis := range []string{"", partstest.Redis(t).URL} {
		handler, b, err := newService(t.Context(), redis, modules)
		if err != nil {
			t.Fatal(err)
		}
		srv, _ := wiretest.Serve(t, b, handler)
		wiretest.Open(t, browser, srv.URL).Walk([][2]string{
			{"", `state "connected"`},
			{"#listen", `"status":401`},
			{"#login", `logged in "42"`},
			{"#listen", `here [{"name":"alice"}]`},
			{"#ship", `shipped {"at":`},
			{"#logout", `error {"code":4009,"message":"session_ended"}`},
			{"", `refused {"type":"AuthError","error":"session_ended","status":401}`},
			{"#login", `logged in "42"`},
			{"#connect", `here [{"name":"alice"}]`},
			{"#logout", `error {"code":4009,"message":"session_ended"}`},
			{"", `state "disconnected"`},
		})
	}
}
