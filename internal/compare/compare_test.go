package compare_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/sessionbridge/sessionbridge/internal/compare"
)

// beServer is the argument that makes the test's program a server.
const beServer = "-be-server"

func TestMain(m *testing.M) {
	if os.Args[len(os.Args)-1] != beServer {
		goleak.VerifyTestMain(m)
		return
	}
	fmt.Println("listening on", strings.TrimPrefix(httptest.NewServer(http.HandlerFunc(upgrade)).URL, "http://"))
	select {}
}

func upgrade(w http.ResponseWriter, r *http.Request) {
	ws, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer ws.Close()
	for err == nil {
		_, _, err = ws.ReadMessage()
	}
}

func dial(ctx context.Context, addr string) (*websocket.Conn, error) {
	ws, _, err := websocket.DefaultDialer.DialContext(ctx, "ws://"+addr, nil)
	return ws, err
}

func TestTable(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("/proc is Linux's")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	err = compare.Load{Handshakes: 1500, Held: 300, AtOnce: 4}.Table(t.Context(), &text, dial,
		compare.Server{Name: "the one", Command: []string{self, beServer}},
		compare.Server{Name: "the other", Command: []string{self, beServer}})
	if err != nil {
		t.Fatal(err)
	}
	// A server that cost nothing was not the one that was measured.
	want := regexp.MustCompile(`(?m)^ *server +CPU per handshake +handshakes/s +memory per connection *
 *the one +[1-9][\d.]*[µm]s +1\.00 +[1-9]\d* +[1-9][\d.]* KB +1\.00 *
 *the other +[1-9][\d.]*[µm]s +\d+\.\d\d +[1-9]\d* +[1-9][\d.]* KB +\d+\.\d\d *$`)
	if !want.MatchString(text.String()) {
		t.Errorf("the table is\n%s", &text)
	}
}

func TestTableFails(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	down := errors.New("down")
	for _, tc := range []struct {
		name    string
		load    compare.Load
		command []string
		want    string
	}{
		{"no load", compare.Load{Handshakes: 1, AtOnce: 1}, []string{self, beServer}, "at least 1"},
		{"no program", compare.Load{Handshakes: 1, Held: 1, AtOnce: 1}, []string{"./none"}, "row: "},
		{"no server", compare.Load{Handshakes: 1, Held: 1, AtOnce: 1}, []string{self, "-test.list=^$"}, "row: the server did not start"},
		{"no connection", compare.Load{Handshakes: 1, Held: 1, AtOnce: 1}, []string{self, beServer}, "row: down"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.load.Table(t.Context(), t.Output(), func(context.Context, string) (*websocket.Conn, error) { return nil, down },
				compare.Server{Name: "row", Command: tc.command})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestConnect(t *testing.T) {
	for _, tc := range []struct {
		name      string
		n, atOnce int
		hold      bool
		bad       int64 // the connection that fails
		wantOpen  int
		wantErr   bool
	}{
		{name: "closed", n: 20, atOnce: 3},
		{name: "held", n: 20, atOnce: 3, hold: true, wantOpen: 20},
		{name: "more clients than connections", n: 2, atOnce: 8, hold: true, wantOpen: 2},
		{name: "one fails", n: 20, atOnce: 3, hold: true, bad: 7, wantErr: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var there atomic.Int64
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				there.Add(1)
				defer there.Add(-1)
				upgrade(w, r)
			}))
			defer srv.Close()
			var made, now, most atomic.Int64
			open, err := compare.Connect(tc.n, tc.atOnce, tc.hold, func() (*websocket.Conn, error) {
				n := now.Add(1)
				defer now.Add(-1)
				for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
				}
				if made.Add(1) == tc.bad {
					return nil, errors.New("down")
				}
				return dial(t.Context(), strings.TrimPrefix(srv.URL, "http://"))
			})
			if (err != nil) != tc.wantErr {
				t.Errorf("the error is %v", err)
			}
			if len(open) != tc.wantOpen || made.Load() != int64(tc.n) || most.Load() > int64(tc.atOnce) {
				t.Errorf("%d open of %d, up to %d at once", len(open), made.Load(), most.Load())
			}
			wait(t, &there, int64(tc.wantOpen))
			compare.Close(open)
			wait(t, &there, 0)
		})
	}
}

// wait waits until the server has that many connections.
func wait(t *testing.T, there *atomic.Int64, want int64) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); there.Load() != want; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are open, want %d", there.Load(), want)
		}
	}
}

// A server that has ended is not told from one that costs nothing.
func TestStopped(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := compare.Start(exec.Command(self, beServer))
	if err != nil {
		t.Fatal(err)
	}
	p.Stop()
	if cpu, err := p.CPU(); err == nil {
		t.Errorf("CPU returned %v", cpu)
	}
	if n, err := p.Resident(); err == nil {
		t.Errorf("Resident returned %v", n)
	}
}
