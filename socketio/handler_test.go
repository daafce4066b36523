package socketio_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"
	"github.com/zishang520/socket.io/servers/socket/v3"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/socketio"
)

var (
	total    = flag.Int("connections", 400, "connections of TestManyConnections, by a client in Go")
	realOnes = flag.Int("clients", 200, "connections of TestManyClients, by socket.io-client")
)

// wireClient speaks the protocol without waiting for anything.
type wireClient struct{ ws *websocket.Conn }

func dial(url string, header http.Header) (*wireClient, error) {
	ws, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(url, "http")+"/socket.io/?EIO=4&transport=websocket", header)
	if err != nil {
		return nil, err
	}
	return &wireClient{ws}, ws.SetReadDeadline(time.Now().Add(10 * time.Second))
}

func (c *wireClient) send(frames ...string) error {
	for _, f := range frames {
		if err := c.ws.WriteMessage(websocket.TextMessage, []byte(f)); err != nil {
			return err
		}
	}
	return nil
}

// until reads to a frame that begins so.
func (c *wireClient) until(prefix string) (string, error) {
	for {
		_, p, err := c.ws.ReadMessage()
		if err != nil {
			return "", fmt.Errorf("waiting for %s: %w", prefix, err)
		}
		if strings.HasPrefix(string(p), prefix) {
			return string(p), nil
		}
	}
}

// Connections made one after another, by either mode, with the request to
// connect sent before the server can be ready for it: none is lost.
func TestManyConnections(t *testing.T) {
	before := runtime.NumGoroutine()
	b := newBridge(t, tokens(t, nil), &bridge.Options{MaxPending: 64})
	token := sign(t, nil)
	for name, test := range map[string]struct {
		opts    *socketio.Options
		connect string
	}{
		"at the handshake":   {nil, `40{"token":"` + token + `"}`},
		"in two round trips": {&socketio.Options{TwoRoundTrips: true}, `40`},
	} {
		t.Run(name, func(t *testing.T) {
			s := guarded(t, b, test.opts)
			began := time.Now()
			each(*total/2, 8, func() error {
				c, err := dial(s.url, nil)
				if err != nil {
					return err
				}
				defer c.ws.Close()
				if err := c.send("3", test.connect); err != nil { // "3" answers a ping that there was not
					return err
				}
				if _, err := c.until("40{"); err != nil {
					return err
				}
				if test.connect == "40" {
					if err := c.send(`42["authenticate",{"token":"` + token + `"}]`); err != nil {
						return err
					}
					if _, err := c.until(`42["authenticated"]`); err != nil {
						return err
					}
				}
				if err := c.send(`421["whoami"]`); err != nil {
					return err
				}
				got, err := c.until("431[")
				if err == nil && got != `431["42"]` {
					err = fmt.Errorf("the service says %s", got)
				}
				return err
			}, func(err error) { t.Error(err) })
			t.Logf("%d connections in %v", *total/2, time.Since(began))
		})
	}
	poll(t, "lives are left", func() bool { return b.Len() == 0 })
	// The library's timers, stopped as they begin, leave one in some twenty.
	poll(t, "the connections' goroutines are left", func() bool { return runtime.NumGoroutine()-before < *total/4 })
	t.Logf("%d goroutines are left", runtime.NumGoroutine()-before)
}

// each runs f n times, as many at once as parallel says.
func each(n, parallel int, f func() error, failed func(error)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := f(); err != nil {
				failed(err)
			}
		})
	}
	wg.Wait()
}

func poll(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(15 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
		<-tick.C
	}
}

func TestManyClients(t *testing.T) {
	s := guarded(t, newBridge(t, tokens(t, nil), nil), nil)
	node := startClients(t)
	for _, transport := range transports() {
		n := *realOnes / 2
		node.do(map[string]any{"do": "many", "id": transport, "url": s.url, "count": n, "parallel": 8,
			"options": with(auth(sign(t, nil)), map[string]any{"transports": []string{transport}, "upgrade": false})})
		e := (&client{node, transport}).until("done")
		if diff := cmp.Diff([]any{float64(n), []any{}}, e.Args); diff != "" {
			t.Error(diff)
		}
	}
}

// Until the server is done with an upgrade it can read nothing of what the
// client has sent behind it.
func TestReadIsGated(t *testing.T) {
	read := make(chan error, 1)
	srv := httptest.NewServer(socketio.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		go func() {
			defer ws.Close()
			_, _, err := ws.ReadMessage()
			read <- err
		}()
		select {
		case <-read:
			t.Error("read before the handler returned")
		case <-time.After(100 * time.Millisecond):
		}
	})))
	defer srv.Close()
	c, err := dial(srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.ws.Close()
	if err := c.send("40"); err != nil {
		t.Fatal(err)
	}
	if err := <-read; err != nil {
		t.Error(err)
	}
}

// Without Handler nobody is let in.
func TestNotServedByHandler(t *testing.T) {
	io := socket.NewServer(nil, nil)
	b := newBridge(t, tokens(t, nil), nil)
	if err := socketio.Use(io.Sockets(), b, &socketio.Options{Logger: silent}); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(io.ServeHandler(nil))
	defer srv.Close()
	defer io.Close(nil)
	c := startClients(t).open("a", 4, srv.URL, auth(sign(t, nil)))
	if diff := cmp.Diff(refused("unavailable", "try again later"), c.until("connect_error").Args[0]); diff != "" {
		t.Error(diff)
	}
}

// What a hostile client sends is answered or ends its connection; the service
// goes on.
func TestHostileFrames(t *testing.T) {
	b := newBridge(t, tokens(t, nil), nil)
	s := guarded(t, b, &socketio.Options{TwoRoundTrips: true})
	frames := []string{
		"", "0", "1", "2", "2probe", "3", "4", "5", "6", "7", "\x00", "b", "bAAAA", "4b", "40", "41", "43", "44", "45", "46", "47",
		"40/", "40/,", "40/%zz,", "40/x,{}", "40{", "40[]", "40null", `40{"token":{}}`, `40{"token":null,"rediskey":[]}`,
		`42`, `42[]`, `42[null]`, `42[1]`, `42["authenticate"]`, `42["authenticate",null]`, `42["authenticate",{"token":[]}]`,
		`42["authenticate",{"rediskey":1,"stack":2}]`, `42["message",{"rediskey":null}]`, `421["authenticate",{}]`,
		`42["connect"]`, `42["disconnect"]`, `4299999999999999999999["x"]`, `43[]`, `431[]`, `43`, `430`,
		`450-["x"]`, `451-["x",{"_placeholder":true,"num":9}]`, `4599999-["x"]`, `45-["x"]`, `461-[{"_placeholder":true,"num":-1}]`,
		"42" + strings.Repeat("[", 100_000), `42["` + strings.Repeat("x", 20_000) + `"]`,
	}
	each(600, 8, func() error {
		c, err := dial(s.url, nil)
		if err != nil {
			return err
		}
		defer c.ws.Close()
		if rand.IntN(2) == 0 {
			_ = c.send("40")
		}
		for range 6 {
			if rand.IntN(8) == 0 {
				_ = c.ws.WriteMessage(websocket.BinaryMessage, []byte{4, 0, 255})
			}
			_ = c.send(frames[rand.IntN(len(frames))])
		}
		return nil
	}, func(err error) { t.Error(err) })
	c, err := dial(s.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.ws.Close()
	if err := c.send("40"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.until("40{"); err != nil {
		t.Fatal(err)
	}
	if err := c.send(`42["authenticate",{"token":"` + sign(t, nil) + `"}]`); err != nil {
		t.Fatal(err)
	}
	if _, err := c.until(`42["authenticated"]`); err != nil {
		t.Fatal(err)
	}
	c.ws.Close()
	poll(t, "lives are left", func() bool { return b.Len() == 0 })
}

// Who is nobody yet may send little, and must not go on for ever; who is
// refused again and again loses the connection.
func TestPendingIsBounded(t *testing.T) {
	b := newBridge(t, tokens(t, nil), nil)
	two := &socketio.Options{TwoRoundTrips: true, Timeout: time.Minute}
	closed := func(t *testing.T, c *wireClient) {
		t.Helper()
		// A deadline is the only other error.
		if _, err := c.until("never"); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("not closed: %v", err)
		}
	}
	for name, test := range map[string]struct {
		opts   *socketio.Options
		frames []string
	}{
		"a long frame":           {two, []string{"40", `42["authenticate","` + strings.Repeat("x", 9000) + `"]`}},
		"many frames":            {two, append([]string{"40"}, slices.Repeat([]string{`42["x"]`}, 20)...)},
		"refused time and again": {nil, slices.Repeat([]string{"40"}, 10)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := dial(guarded(t, b, test.opts).url, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer c.ws.Close()
			_ = c.send(test.frames...) // the end of them may find it closed
			closed(t, c)
		})
	}
	t.Run("as many connections as may be", func(t *testing.T) {
		b := newBridge(t, tokens(t, nil), &bridge.Options{MaxPending: 2})
		s := guarded(t, b, &socketio.Options{TwoRoundTrips: true, Timeout: time.Minute})
		for i := range 3 {
			c, err := dial(s.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer c.ws.Close()
			_ = c.send("40")
			want := "40{"
			if i == 2 {
				want = `44{"data":{"code":"unavailable"`
			}
			if _, err := c.until(want); err != nil {
				t.Error(err)
			}
		}
	})
}

// A client of dynamic namespaces cannot use any number of them.
func TestNamespacesOfAConnectionAreBounded(t *testing.T) {
	b := newBridge(t, tokens(t, nil), nil)
	s := newService(t, nil, func(io *socket.Server) error {
		return socketio.Use(io.Of(anyTenant, nil), b, nil)
	})
	c, err := dial(s.url, http.Header{"Authorization": {"Bearer " + sign(t, nil)}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.ws.Close()
	for i := range 33 {
		name := fmt.Sprintf("/tenant-%d", i)
		_ = c.send("40" + name + ",")
		want := "40" + name + ",{"
		if i == 32 {
			want = "44" + name + ","
		}
		if _, err := c.until(want); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.Len(); n != 32 {
		t.Errorf("%d namespaces are in use", n)
	}
}
