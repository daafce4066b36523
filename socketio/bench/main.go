// Command bench measures what package socketio adds to the handshake of a
// Socket.IO connection, in CPU and memory, beside the original server on Node:
//
//	go -C socketio run ./bench
//
// Each server runs in a process of its own and is asked for the same: WebSocket
// connections, each up to its connect packet. It needs Linux (procfs), and for
// the original Node with the packages of internal/parts/testdata/node.
package main

import (
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"
	"github.com/zishang520/socket.io/servers/socket/v3"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/internal/compare"
	"github.com/sessionbridge/sessionbridge/jwtmode"
	"github.com/sessionbridge/sessionbridge/socketio"
)

const (
	secret = "0123456789abcdef0123456789abcdef"
	atOnce = 8 // connections that are made at the same time
)

var (
	connections = flag.Int("connections", 3000, "of each server, in each round")
	rounds      = flag.Int("rounds", 3, "the best of which counts")
	serveAs     = flag.String("serve", "", "none or jwt: be the server (for the program itself)")
	nodeFolder  = flag.String("node", "../internal/parts/testdata/node", "folder of socketio-server.js")
)

func main() {
	flag.Parse()
	err := error(nil)
	if *serveAs != "" {
		err = serve(*serveAs == "jwt")
	} else {
		err = table()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// serve is the Go server.
func serve(guarded bool) error {
	io := socket.NewServer(nil, nil)
	if guarded {
		auth, err := jwtmode.New(jwtmode.Options{Algorithms: []string{"HS256"}, Key: []byte(secret)})
		if err != nil {
			return err
		}
		b, err := bridge.New(auth, &bridge.Options{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		if err := socketio.Use(io.Sockets(), b, nil); err != nil {
			return err
		}
	}
	srv := httptest.NewServer(socketio.Handler(io.ServeHandler(nil)))
	fmt.Println("listening on", srv.URL)
	select {}
}

type result struct{ cpu, memory float64 } // seconds and bytes a connection

func table() error {
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "42", "exp": time.Now().Add(time.Hour).Unix()}).SignedString([]byte(secret))
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	fmt.Printf("%-28s %14s %14s\n", "", "CPU/handshake", "memory/conn.")
	for _, s := range []struct {
		name string
		cmd  func() *exec.Cmd
	}{
		{"Go, bare", func() *exec.Cmd { return exec.Command(self, "-serve", "none") }},
		{"Go, socketio.Use, HS256", func() *exec.Cmd { return exec.Command(self, "-serve", "jwt") }},
		{"Node, bare", func() *exec.Cmd { return node("none") }},
		{"Node, io.use, HS256", func() *exec.Cmd { return node("jwt") }},
	} {
		var best result
		for range *rounds {
			r, err := measure(s.cmd(), token)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			if best.cpu == 0 || r.cpu < best.cpu {
				best.cpu = r.cpu
			}
			if best.memory == 0 || r.memory < best.memory {
				best.memory = r.memory
			}
		}
		fmt.Printf("%-28s %11.0f µs %11.1f KB\n", s.name, best.cpu*1e6, best.memory/1e3)
	}
	return nil
}

func node(auth string) *exec.Cmd {
	cmd := exec.Command("node", "socketio-server.js")
	cmd.Dir = *nodeFolder
	cmd.Env = append(os.Environ(), "AUTH="+auth, "SECRET="+secret, "NODE_ENV=production")
	return cmd
}

// measure makes the connections and holds them.
func measure(cmd *exec.Cmd, token string) (result, error) {
	p, err := compare.Start(cmd)
	if err != nil {
		return result{}, err
	}
	defer p.Stop()
	url := "ws" + strings.TrimPrefix(p.Addr, "http") + "/socket.io/?EIO=4&transport=websocket"
	one := func() (*websocket.Conn, error) { return dial(url, token) }

	if _, err := compare.Connect(200, atOnce, false, one); err != nil { // warm
		return result{}, err
	}
	before, err := usage(p)
	if err != nil {
		return result{}, err
	}
	held, err := compare.Connect(*connections, atOnce, true, one)
	if err != nil {
		return result{}, err
	}
	defer compare.Close(held)
	after, err := usage(p)
	n := float64(*connections)
	return result{(after.cpu - before.cpu) / n, (after.memory - before.memory) / n}, err
}

// usage returns what a server has used so far.
func usage(p *compare.Process) (result, error) {
	cpu, err := p.CPU()
	if err != nil {
		return result{}, err
	}
	memory, err := p.Resident()
	return result{cpu.Seconds(), float64(memory)}, err
}

func dial(url, token string) (*websocket.Conn, error) {
	ws, _, err := websocket.DefaultDialer.Dial(url, http.Header{})
	if err != nil {
		return nil, err
	}
	_ = ws.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, _, err := ws.ReadMessage(); err != nil { // open
		return nil, err
	}
	if err := ws.WriteMessage(websocket.TextMessage, []byte(`40{"token":"`+token+`"}`)); err != nil {
		return nil, err
	}
	if _, p, err := ws.ReadMessage(); err != nil || !strings.HasPrefix(string(p), "40") {
		return nil, fmt.Errorf("not connected: %q %w", p, err)
	}
	return ws, nil
}
