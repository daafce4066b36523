package socketio_test

import (
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zishang520/socket.io/parsers/engine/v3/packet"
	"github.com/zishang520/socket.io/servers/engine/v3"
	"github.com/zishang520/socket.io/v3/pkg/types"
)

// A client answers the packet that says it is connected while the library is
// still about to connect it, which goes on only once the answer has come.
func TestAnswerAtOnce(t *testing.T) {
	s := guarded(t, newBridge(t, tokens(t, nil), nil), nil)
	_ = s.io.ServeHandler(nil).(engine.BaseServer).On("connection", func(args ...any) { holdConnect(args[0].(engine.Socket)) })
	for range 5 {
		c, err := dial(s.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.ws.Close()
		for _, step := range []struct{ await, send string }{
			{"0{", `40{"token":"` + sign(t, nil) + `"}`},
			{"40{", `421["whoami"]`},
			{`431["42"]`, "41"},
		} {
			if _, err := c.until(step.await); err != nil {
				t.Fatal(err)
			}
			if err := c.send(step.send); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// holdConnect has the library stop where it has told a client that it is
// connected, until the client's next packet has come.
func holdConnect(conn engine.Socket) {
	var once sync.Once
	told, answered := false, make(chan struct{}) // told is of the goroutine that flushes
	_ = conn.On("packet", func(args ...any) {
		if p := args[0].(*packet.Packet); beginsWith(p, "2") {
			once.Do(func() { close(answered) })
		}
	})
	_ = conn.On("flush", func(args ...any) {
		for _, p := range args[0].([]*packet.Packet) {
			told = told || beginsWith(p, "0")
		}
	})
	_ = conn.On("drain", func(...any) {
		if !told {
			return
		}
		told = false
		select {
		case <-answered:
			for range 1000 { // who reads goes on meanwhile
				runtime.Gosched()
			}
		case <-time.After(time.Second): // the goroutine was the one that writes, which must go on
		}
	})
}

// beginsWith tells packets of Socket.IO by their type.
func beginsWith(p *packet.Packet, kind string) bool {
	text, ok := p.Data.(*types.StringBuffer)
	return ok && p.Type == packet.MESSAGE && strings.HasPrefix(string(text.Bytes()), kind)
}
