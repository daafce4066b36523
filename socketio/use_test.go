package socketio_test

import (
	"strings"
	"testing"
	"time"

	"github.com/zishang520/socket.io/parsers/socket/v3/parser"
	"github.com/zishang520/socket.io/servers/socket/v3"

	"github.com/sessionbridge/sessionbridge/socketio"
)

// What is unsafe or makes no sense is refused, with what to write instead.
func TestUseRefuses(t *testing.T) {
	b := newBridge(t, tokens(t, nil), nil)
	recovery, parsing := socket.DefaultServerOptions(), socket.DefaultServerOptions()
	recovery.SetConnectionStateRecovery(socket.DefaultConnectionStateRecovery())
	parsing.SetParser(parser.NewParser())
	for name, test := range map[string]struct {
		server *socket.ServerOptions
		opts   *socketio.Options
		before func(socket.Namespace)
		want   string
	}{
		"recovery":                     {server: recovery, want: "without it"},
		"another parser":               {server: parsing, want: "without SetParser"},
		"other middleware first":       {before: func(n socket.Namespace) { n.Use(func(*socket.Socket, func(*socket.ExtendedError)) {}) }, want: "call Use once, before it"},
		"a negative timeout":           {opts: &socketio.Options{TwoRoundTrips: true, Timeout: -1}, want: "leave it zero"},
		"negative attempts":            {opts: &socketio.Options{MaxAttempts: -1}, want: "leave it zero"},
		"optional at the handshake":    {opts: &socketio.Options{Optional: true}, want: "TwoRoundTrips"},
		"a timeout at the handshake":   {opts: &socketio.Options{Timeout: time.Second}, want: "TwoRoundTrips"},
		"CloseAfter at the handshake":  {opts: &socketio.Options{CloseAfter: time.Second}, want: "TwoRoundTrips"},
		"a query in two round trips":   {opts: &socketio.Options{TwoRoundTrips: true, InsecureQueryToken: true}, want: "leave them out"},
		"a header in two round trips":  {opts: &socketio.Options{TwoRoundTrips: true, RequireHeader: true}, want: "leave them out"},
		"defaults":                     {},
		"defaults in two round trips":  {opts: &socketio.Options{TwoRoundTrips: true}},
		"everything at the handshake":  {opts: &socketio.Options{RequireHeader: true, InsecureQueryToken: true, MaxAttempts: 1}},
		"everything in two roundtrips": {opts: &socketio.Options{TwoRoundTrips: true, Optional: true, CloseAfter: -1, Timeout: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			opts := test.server
			if opts == nil {
				opts = socket.DefaultServerOptions()
			}
			io := socket.NewServer(nil, opts)
			if test.before != nil {
				test.before(io.Sockets())
			}
			err := socketio.Use(io.Sockets(), b, test.opts)
			if test.want == "" && err != nil {
				t.Error(err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
	if err := socketio.Use(nil, b, nil); err == nil {
		t.Error("no error without a namespace")
	}
	if err := socketio.Use(socket.NewServer(nil, nil).Sockets(), nil, nil); err == nil {
		t.Error("no error without a bridge")
	}
}
