// Command bench says what the Pusher adapter adds to a bare WebSocket, beside
// a server of Node's usual parts (ws, jsonwebtoken, Pusher's own library) doing
// the same in the same run:
//
//	go run ./pusher/bench
//
// Each server is a process of its own. A client upgrades, reads its socket id,
// has a private channel granted by a POST with a token of HS256, subscribes and
// waits for the answer; the bare server is one that answers without any of the
// work. CPU is what the server's process used for each of these; memory is by
// how much it grew for each connection that is held open. It reads both from
// /proc, so that it runs on Linux only.
package main

import (
	_ "embed"

	"github.com/sessionbridge/sessionbridge/internal/compare"
)

//go:embed server.cjs
var script []byte

func main() {
	p := compare.Program{
		Handler: newHandler,
		Dial:    subscribe,
		Bare:    "bare gorilla",
		Node: compare.Node{
			Name:    "ws and pusher, Node",
			Script:  script,
			Args:    []string{string(secret), appKey, appSecret},
			Modules: "ws, jsonwebtoken and pusher are",
		},
	}
	p.Main()
}
