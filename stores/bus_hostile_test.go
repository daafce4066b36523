package stores_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/stores"
)

// followBus has a bus followed over a client of its own, and returns what it
// receives.
func followBus(t *testing.T, opts *redis.Options, logger *slog.Logger, hooks ...redis.Hook) <-chan string {
	t.Helper()
	client := redis.NewClient(opts)
	for _, h := range hooks {
		client.AddHook(h)
	}
	bus, err := stores.NewBus(client, &stores.BusOptions{Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	received := make(chan string, 5000)
	done := make(chan error, 1)
	go func() { done <- bus.Follow(ctx, func(m []byte) { received <- string(m) }) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Follow returned %v", err)
		}
		client.Close()
	})
	return received
}

var quietLog = slog.New(slog.DiscardHandler)

// onRange is a hook that calls a function before each reading of the log.
type onRange func()

func (f onRange) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f onRange) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "xrange" {
			f()
		}
		return next(ctx, cmd)
	}
}

func (f onRange) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func kill(t *testing.T, rdb *redis.Client) {
	t.Helper()
	if err := rdb.Do(t.Context(), "CLIENT", "KILL", "TYPE", "pubsub").Err(); err != nil {
		t.Fatal(err)
	}
}

// A node whose connections live already, but that cannot follow the bus yet,
// receives what was published meanwhile.
func TestBusThatStartsCutOff(t *testing.T) {
	opts := redisOptions(t, partstest.Redis(t).URL)
	own := *opts
	var away atomic.Bool
	away.Store(true)
	dialed := make(chan struct{}, 1000)
	own.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if away.Load() {
			select {
			case dialed <- struct{}{}:
			default:
			}
			return nil, errors.New("cut off")
		}
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	rdb := redis.NewClient(opts)
	t.Cleanup(func() { rdb.Close() })
	from, err := stores.NewBus(rdb, nil)
	if err != nil {
		t.Fatal(err)
	}
	received := followBus(t, &own, quietLog)
	<-dialed // it is trying
	if err := from.Publish(t.Context(), []byte("while it was cut off")); err != nil {
		t.Fatal(err)
	}
	away.Store(false)
	eventually(t, "it follows", func() bool { return followers(t, rdb) == 1 })
	if err := from.Publish(t.Context(), []byte("later")); err != nil {
		t.Fatal(err)
	}
	expectMessage(t, received, "while it was cut off")
	expectMessage(t, received, "later")
}

// What was received once is not received again after a reconnection, however
// much others have published since.
func TestBusReplaysNothing(t *testing.T) {
	opts := redisOptions(t, partstest.Redis(t).URL)
	rdb := redis.NewClient(opts)
	t.Cleanup(func() { rdb.Close() })
	from, err := stores.NewBus(rdb, nil)
	if err != nil {
		t.Fatal(err)
	}
	received := followBus(t, opts, quietLog)
	eventually(t, "it follows", func() bool { return followers(t, rdb) == 1 })
	publish := func(m string) {
		t.Helper()
		if err := from.Publish(t.Context(), []byte(m)); err != nil {
			t.Fatal(err)
		}
	}
	publish("everybody")
	expectMessage(t, received, "everybody")
	const others = 4001
	for i := range others {
		if err := rdb.Publish(t.Context(), "sessionbridge:revoke", fmt.Sprint(i)).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range others {
		expectMessage(t, received, fmt.Sprint(i))
	}
	kill(t, rdb)
	eventually(t, "it follows again", func() bool { return followers(t, rdb) == 1 })
	publish("last")
	expectMessage(t, received, "last")
}

// A message between the subscription and the reading of the log is received
// once.
func TestBusReceivesOnceWhileItCatchesUp(t *testing.T) {
	opts := redisOptions(t, partstest.Redis(t).URL)
	rdb := redis.NewClient(opts)
	t.Cleanup(func() { rdb.Close() })
	from, err := stores.NewBus(rdb, nil)
	if err != nil {
		t.Fatal(err)
	}
	var n atomic.Int64
	received := followBus(t, opts, quietLog, onRange(func() {
		if err := from.Publish(context.Background(), fmt.Append(nil, n.Add(1))); err != nil {
			t.Error(err)
		}
	}))
	expectMessage(t, received, "1")
	kill(t, rdb)
	expectMessage(t, received, "2")
	eventually(t, "it follows again", func() bool { return followers(t, rdb) == 1 })
	if err := from.Publish(t.Context(), []byte("last")); err != nil {
		t.Fatal(err)
	}
	expectMessage(t, received, "last")
}

// logLines counts log lines.
type logLines struct {
	slog.Handler
	mu    sync.Mutex
	lines []string
}

func (l *logLines) Enabled(context.Context, slog.Level) bool { return true }

func (l *logLines) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var text strings.Builder
	text.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool { text.WriteString(" " + a.String()); return true })
	l.lines = append(l.lines, text.String())
	return nil
}

// A receiver that takes its time (it ends a hundred thousand connections, say)
// is no reason to give up a connection that is well, and to miss what others
// publish until the next.
func TestBusWithASlowReceiver(t *testing.T) {
	opts := redisOptions(t, partstest.Redis(t).URL)
	rdb := redis.NewClient(opts)
	t.Cleanup(func() { rdb.Close() })
	lines := &logLines{}
	client := redis.NewClient(opts)
	bus, err := stores.NewBus(client, &stores.BusOptions{Logger: slog.New(lines)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	received := make(chan string)
	go func() {
		done <- bus.Follow(ctx, func(m []byte) {
			received <- string(m)
			<-time.After(3500 * time.Millisecond)
			received <- "done"
		})
	}()
	t.Cleanup(func() {
		stop()
		<-done
		client.Close()
	})
	eventually(t, "it follows", func() bool { return followers(t, rdb) == 1 })
	if err := rdb.Publish(ctx, "sessionbridge:revoke", "slow").Err(); err != nil {
		t.Fatal(err)
	}
	expectMessage(t, received, "slow")
	expectMessage(t, received, "done")
	<-time.After(2500 * time.Millisecond) // a beat, and the answer to it
	lines.mu.Lock()
	defer lines.mu.Unlock()
	if len(lines.lines) > 0 {
		t.Errorf("a sound connection was given up: %q", lines.lines)
	}
}

// The context ends while the log is read from a server that does not answer.
func TestBusEndsWhileItCatchesUp(t *testing.T) {
	p := partstest.Redis(t)
	t.Cleanup(func() { _ = p.Signal(syscall.SIGCONT) })
	client := redis.NewClient(redisOptions(t, p.URL))
	t.Cleanup(func() { client.Close() })
	if err := client.Ping(t.Context()).Err(); err != nil { // the connection that the log is read by
		t.Fatal(err)
	}
	reading := make(chan struct{})
	client.AddHook(onRange(func() {
		if err := p.Signal(syscall.SIGSTOP); err != nil {
			t.Error(err)
		}
		close(reading)
	}))
	bus, err := stores.NewBus(client, &stores.BusOptions{Logger: quietLog})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- bus.Follow(ctx, func([]byte) {}) }()
	<-reading
	start := time.Now()
	stop()
	if err := <-done; err != nil {
		t.Errorf("Follow returned %v", err)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("Follow returned %v after its context had ended", d)
	}
}
