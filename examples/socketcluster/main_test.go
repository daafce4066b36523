package main

import (
	"path/filepath"
	"testing"

	"github.com/sessionbridge/sessionbridge/internal/parts"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest/wiretest"
)

// The page does what it says: both ways to log in, and both to log out.
func TestPage(t *testing.T) {
	_, modules := partstest.Node(t, parts.NodePrograms, "socketcluster-client")
	bundle := filepath.Join(modules, "socketcluster-client", "socketcluster-client.min.js")
	browser := partstest.Chromium(t)
	for _, redis := range []string{"", partstest.Redis(t).URL} {
		handler, b, err := newService(t.Context(), redis, bundle)
		if err != nil {
			t.Fatal(err)
		}
		srv, _ := wiretest.Serve(t, b, handler)
		wiretest.Open(t, browser, srv.URL).Walk([][2]string{
			{"", `connect {"id":`},
			{"#subscribe", `subscribeFail`},
			{"#web-login", `"isAuthenticated":true`},
			{"", `authenticate {"signedAuthToken":"ey`},
			{"#subscribe", `subscribe {"channel":"news"`},
			{"#publish", `message {"text":"hello"`},
			{"#web-logout", `kickOut {"channel":"news","message":"session_ended"}`},
			{"#login", `"newAuthState":"authenticated","signedAuthToken":"ey`},
			{"#subscribe", `subscribe {"channel":"news"`},
			{"#logout", `kickOut {"channel":"news","message":"client_request"}`},
		})
	}
}
