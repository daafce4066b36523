package outbox_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/sessionbridge/sessionbridge/internal/outbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is a queue and its peer.
type pair struct {
	mu      sync.Mutex
	queue   *outbox.Queue
	peer    *websocket.Conn
	tooSlow atomic.Int64
}

func newPair(t *testing.T) *pair {
	t.Helper()
	conns := make(chan *websocket.Conn, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
		}
		conns <- ws
	}))
	t.Cleanup(srv.Close)
	peer, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(srv.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	p := &pair{peer: peer}
	p.queue = &outbox.Queue{Lock: &p.mu, WS: <-conns, MaxBytes: 1 << 16, WriteTimeout: time.Minute, TooSlow: func() { p.tooSlow.Add(1) }}
	t.Cleanup(p.queue.HangUp)
	return p
}

// read returns what the peer gets, up to the end.
func (p *pair) read() (frames []string, end error) {
	_ = p.peer.SetReadDeadline(time.Now().Add(10 * time.Second))
	for {
		_, b, err := p.peer.ReadMessage()
		if err != nil {
			return frames, err
		}
		frames = append(frames, string(b))
	}
}

// verdict is a guard.
type verdict struct {
	frame string // instead; "" for none
}

func (v verdict) Pass([]byte) ([]byte, bool) { return []byte(v.frame), v.frame != "" }

func TestPush(t *testing.T) {
	text := func(s string) outbox.Item { return outbox.Item{Frame: []byte(s)} }
	end := outbox.Item{Frame: []byte("bye"), Code: 4000}
	for _, tc := range []struct {
		name   string
		pushes []outbox.Item
		want   []string
	}{
		{"in order", []outbox.Item{text("a"), text("b"), text("c"), end}, []string{"a", "b", "c"}},
		{"nothing behind the end", []outbox.Item{text("a"), end, text("b"), {Frame: []byte("other"), Code: 4001}}, []string{"a"}},
		{"a guard that drops", []outbox.Item{{Frame: []byte("a"), Guard: verdict{}}, text("b"), end}, []string{"b"}},
		{"a guard that replaces", []outbox.Item{{Frame: []byte("a"), Guard: verdict{"A"}}, text("b"), end}, []string{"A", "b"}},
		{"the last is dropped", []outbox.Item{text("a"), {Frame: []byte("b"), Guard: verdict{}}, end}, []string{"a"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPair(t)
			p.mu.Lock()
			for _, i := range tc.pushes {
				p.queue.Push(i)
			}
			if !p.queue.Sealed() {
				t.Error("the queue is open behind a message that closes the connection")
			}
			p.mu.Unlock()
			got, err := p.read()
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("frames (-want +got):\n%s", diff)
			}
			wantClose(t, err, 4000, "bye")
		})
	}
}

// The writer comes back for what is pushed after it has gone. A peer that reads
// is not cut off, however much it has got.
func TestPushAgain(t *testing.T) {
	p := newPair(t)
	_ = p.peer.SetReadDeadline(time.Now().Add(10 * time.Second))
	for i := range 100 {
		want := fmt.Sprint(i, strings.Repeat(".", 2000))
		p.mu.Lock()
		p.queue.Push(outbox.Item{Frame: []byte(want)})
		p.mu.Unlock()
		_, got, err := p.peer.ReadMessage()
		if err != nil || string(got) != want {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
	}
}

func TestTooSlow(t *testing.T) {
	for _, tc := range []struct {
		name    string
		bytes   int // of a message
		n       int
		wantCut bool
	}{
		{"as much as may wait", 1<<16 - 128, 1, false},
		{"a byte more", 1<<16 - 127, 1, true},
		{"many empty ones", 0, 1 << 9, false},
		{"one more", 0, 1<<9 + 1, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPair(t)
			p.mu.Lock()
			for range tc.n {
				p.queue.Push(outbox.Item{Frame: make([]byte, tc.bytes)})
			}
			if cut := p.queue.Sealed(); cut != tc.wantCut {
				t.Errorf("sealed: %t", cut)
			}
			if tc.wantCut && !p.queue.Empty() {
				t.Error("what waited is kept")
			}
			p.queue.Push(outbox.Item{Code: websocket.CloseNormalClosure})
			p.mu.Unlock()
			frames, err := p.read()
			if tc.wantCut {
				wantClose(t, err, websocket.CloseTryAgainLater, "too slow")
			} else {
				wantClose(t, err, websocket.CloseNormalClosure, "")
			}
			if want := map[bool]int{false: tc.n}[tc.wantCut]; len(frames) != want {
				t.Errorf("%d messages came, want %d", len(frames), want)
			}
			if n := p.tooSlow.Load(); n != map[bool]int64{true: 1}[tc.wantCut] {
				t.Errorf("told %d times that it is too slow", n)
			}
		})
	}
}

// A guard looks at the moment of writing, at what the lock guards.
func TestGuardLooksLate(t *testing.T) {
	p := newPair(t)
	gone := false
	p.mu.Lock()
	p.queue.Push(outbox.Item{Frame: []byte("a"), Guard: guardFunc(func(frame []byte) ([]byte, bool) { return frame, !gone })})
	gone = true
	p.queue.Push(outbox.Item{Code: 4000})
	p.mu.Unlock()
	frames, err := p.read()
	wantClose(t, err, 4000, "")
	if len(frames) != 0 {
		t.Errorf("got %q", frames)
	}
}

type guardFunc func([]byte) ([]byte, bool)

func (f guardFunc) Pass(frame []byte) ([]byte, bool) { return f(frame) }

// Once a write has failed, nothing is kept and the reader ends.
func TestWriteFails(t *testing.T) {
	p := newPair(t)
	p.queue.HangUp()
	p.mu.Lock()
	p.queue.Push(outbox.Item{Frame: []byte("a")})
	p.queue.Push(outbox.Item{Frame: []byte("b")})
	p.mu.Unlock()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); ; <-tick.C {
		p.mu.Lock()
		done := p.queue.Sealed() && p.queue.Empty()
		p.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the queue is open")
		}
	}
}

func wantClose(t *testing.T, err error, code int, reason string) {
	t.Helper()
	closed := (*websocket.CloseError)(nil)
	if !errors.As(err, &closed) || closed.Code != code || closed.Text != reason {
		t.Errorf("ended with %v, want %d %q", err, code, reason)
	}
}
