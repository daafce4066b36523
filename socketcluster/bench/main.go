// Command bench says what the SocketCluster adapter adds to a bare WebSocket,
// beside the original server on Node doing the same in the same run:
//
//	go run ./socketcluster/bench
//
// Each server is a process of its own. A client upgrades, sends a #handshake
// with a token of HS256, and waits for the answer, which says that it is
// authenticated. CPU is what the server's process used for each of these;
// memory is by how much it grew for each connection that is held open. It
// reads both from /proc, so that it runs on Linux only.
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
		Dial:    shake,
		Bare:    "bare gorilla, echo",
		Node: compare.Node{
			Name:    "socketcluster-server, Node",
			Script:  script,
			Args:    []string{string(secret)},
			Modules: "socketcluster-server is",
		},
	}
	p.Main()
}
