package stores

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// dedicated makes options for a client of one connection out of those of the
// client that is watched with.
func dedicated(opts redis.Options) *redis.Options {
	opts.PoolSize, opts.MinIdleConns, opts.MaxRetries = 1, 0, -1
	opts.Protocol = 2 // a push of RESP3 has no place in a PubSub; a redirection to itself does
	opts.PushNotificationProcessor = nil
	opts.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return &opts
}

// node watches one Redis node, reconnecting, until ctx ends.
func (w *watch) node(ctx context.Context, opts redis.Options) error {
	mode, err := w.chooseMode(ctx, opts)
	if err != nil {
		return err
	}
	log := w.opts.Logger.With(slog.String("node", opts.Addr), slog.String("mode", string(mode)))
	retry := minWatchRetry
	for first := true; ; first = false {
		err := w.follow(ctx, opts, mode, func() {
			if first {
				log.Info("watching sessions")
			} else {
				log.Info("watching sessions again")
			}
			retry = minWatchRetry
			w.handler.Restored(string(mode))
		})
		if ctx.Err() != nil {
			return nil
		}
		log.Warn("changes of sessions may be missed", slog.String("reason", err.Error()))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retry):
		}
		retry = min(2*retry, maxWatchRetry)
	}
}

// chooseMode finds out what the node allows. While the node cannot be reached
// it keeps trying: what it allows is not known.
func (w *watch) chooseMode(ctx context.Context, opts redis.Options) (WatchMode, error) {
	switch w.opts.Mode {
	case WatchAuto:
	case WatchSweep:
		return "", ErrNotWatchable
	default:
		return w.opts.Mode, nil
	}
	c := redis.NewClient(dedicated(opts))
	defer c.Close()
	for retry := minWatchRetry; ; retry = min(2*retry, maxWatchRetry) {
		mode, err := probe(ctx, c)
		if err == nil {
			if mode == WatchSweep {
				return "", fmt.Errorf("%w: neither CLIENT TRACKING nor keyspace events are allowed", ErrNotWatchable)
			}
			return mode, nil
		}
		w.handler.Lost(err)
		select {
		case <-ctx.Done():
			return "", nil
		case <-time.After(retry):
		}
	}
}

// probe returns the best mode that the server allows, or an error if it could
// not be asked.
func probe(ctx context.Context, c *redis.Client) (WatchMode, error) {
	conn := c.Conn()
	defer conn.Close()
	err := conn.Do(ctx, "CLIENT", "TRACKING", "ON", "REDIRECT", conn.ClientID(ctx).Val(), "BCAST", "PREFIX", "\x00none").Err()
	if err == nil {
		_ = conn.Do(ctx, "CLIENT", "TRACKING", "OFF") // the connection is closed anyway
		return WatchTracking, nil
	}
	if !answered(err) {
		return "", err
	}
	flags, err := conn.Do(ctx, "CONFIG", "GET", "notify-keyspace-events").Slice()
	if err != nil && !answered(err) {
		return "", err
	}
	if len(flags) == 2 {
		if s, ok := flags[1].(string); ok && strings.Contains(s, "K") && (strings.Contains(s, "A") || strings.Contains(s, "g") && strings.Contains(s, "$") && strings.Contains(s, "x")) {
			return WatchKeyEvents, nil
		}
	}
	return WatchSweep, nil
}

// follow holds one connection and reports what it says, until it is lost.
func (w *watch) follow(ctx context.Context, opts redis.Options, mode WatchMode, restored func()) error {
	inner := opts.OnConnect
	if mode == WatchTracking {
		opts.OnConnect = func(ctx context.Context, cn *redis.Conn) error {
			if inner != nil {
				if err := inner(ctx, cn); err != nil {
					return err
				}
			}
			return track(ctx, cn, w.prefixes)
		}
	}
	c := redis.NewClient(dedicated(opts))
	defer c.Close()
	var ps *redis.PubSub
	expect := 1
	if mode == WatchTracking {
		ps = c.Subscribe(ctx, invalidations)
	} else {
		patterns := make([]string, len(w.prefixes))
		for i, p := range w.prefixes {
			patterns[i] = fmt.Sprintf("__keyspace@%d__:%s*", opts.DB, escapeGlob(p))
		}
		expect = len(patterns)
		ps = c.PSubscribe(ctx, patterns...)
	}
	defer ps.Close()

	var pinged, ponged atomic.Int64
	beat, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan struct{})
	defer func() { stop(); <-done }()
	go func() {
		defer close(done)
		tick := time.NewTicker(w.opts.Heartbeat)
		defer tick.Stop()
		for {
			select {
			case <-beat.Done():
				_ = ps.Close()
				return
			case <-tick.C:
			}
			// Two pings without an answer: a plain read would wait for ever.
			if pinged.Load()-ponged.Load() >= 2 {
				_ = ps.Close()
				return
			}
			pinged.Add(1)
			if err := ps.Ping(beat, "sessionbridge"); err != nil {
				_ = ps.Close()
				return
			}
		}
	}()

	// At once: taking the connection down can wait.
	lost := func(err error) error {
		if ctx.Err() == nil {
			w.handler.Lost(err)
		}
		return err
	}
	subscribed := 0
	keyspace := len(fmt.Sprintf("__keyspace@%d__:", opts.DB))
	for {
		msg, err := ps.Receive(ctx)
		if err != nil {
			if strings.Contains(err.Error(), "message payload: <nil>") {
				// A flush, or a reload of the data: everything may have changed.
				w.handler.Lost(errFlushed)
				w.handler.Restored(string(mode))
				continue
			}
			return lost(err)
		}
		switch m := msg.(type) {
		case *redis.Subscription:
			if subscribed++; subscribed == expect {
				restored()
			} else if subscribed > expect {
				return lost(errReconnected)
			}
		case *redis.Pong:
			ponged.Store(pinged.Load())
			w.handler.Alive(time.Now().Add(leaseBeats * w.opts.Heartbeat))
		case *redis.Message:
			if m.Pattern != "" {
				if len(m.Channel) > keyspace {
					w.handler.Changed([]string{m.Channel[keyspace:]})
				}
			} else if m.PayloadSlice != nil {
				w.handler.Changed(m.PayloadSlice)
			}
		}
	}
}

var (
	errFlushed     = errors.New("the database was flushed or reloaded")
	errReconnected = errors.New("the connection was made anew")
)

// track turns a connection into one that is told of every change under the
// prefixes. It is redirected to itself: of two connections, the one that
// tracks could be lost without the other's noticing.
func track(ctx context.Context, cn *redis.Conn, prefixes []string) error {
	id, err := cn.ClientID(ctx).Result()
	if err != nil {
		return err
	}
	args := []any{"CLIENT", "TRACKING", "ON", "REDIRECT", id, "BCAST"}
	for _, p := range prefixes {
		if p != "" { // the empty prefix is every key, and is not said
			args = append(args, "PREFIX", p)
		}
	}
	return cn.Do(ctx, args...).Err()
}

// escapeGlob makes a prefix match only itself in a pattern.
func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// answered reports whether an error is the server's own word, not a failure to
// reach it.
func answered(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}
