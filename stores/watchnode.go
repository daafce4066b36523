package stores

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
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
	opts.ReadBufferSize, opts.WriteBufferSize = 4<<10, 1<<10 // not twice 32 KB for a heartbeat
	opts.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return &opts
}

// node watches one Redis node, reconnecting, until ctx ends. Sessions are read
// through client; its own connections are made alike.
func (w *watch) node(ctx context.Context, client *redis.Client) error {
	opts := *client.Options()
	var polls sync.WaitGroup
	defer polls.Wait()
	retry := minWatchRetry
	var mode WatchMode
	var told bool
	first := true
	missing := func(log *slog.Logger, err error) { // once, until changes are reported
		if told {
			return
		}
		told = true
		reason := err.Error()
		if first || answered(err) { // what has been watched needs no other address
			reason = advised(err)
		}
		log.Warn("changes of sessions may be missed", slog.String("reason", reason))
	}
	var moves settling
	for {
		log := w.opts.Logger.With(slog.String("node", opts.Addr))
		if mode == "" {
			var err error
			mode, err = w.chooseMode(ctx, opts, func(err error) { missing(log, err) })
			if err != nil || mode == "" {
				return err
			}
		}
		log = log.With(slog.String("mode", string(mode)))
		err := w.follow(ctx, client, mode, &polls, &moves, func() {
			if first {
				log.Info("watching sessions")
			} else {
				log.Info("watching sessions again")
			}
			first, told = false, false
			retry = minWatchRetry
			w.handler.Restored(string(mode))
		})
		if ctx.Err() != nil {
			return nil
		}
		missing(log, err)
		if answered(err) && !transient(err) {
			mode = "" // it is not allowed any more, or not on this server
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retry):
		}
		retry = min(2*retry, maxWatchRetry)
	}
}

// chooseMode finds out what the node allows. While the node cannot be reached
// it keeps trying, and tells away why each time: what the node allows is not
// known. The mode is empty without an error if ctx has ended.
func (w *watch) chooseMode(ctx context.Context, opts redis.Options, away func(error)) (WatchMode, error) {
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
		mode, err := w.probe(ctx, c)
		if err == nil || errors.Is(err, ErrNotWatchable) {
			return mode, err
		}
		if ctx.Err() != nil {
			return "", nil
		}
		away(err)
		w.handler.Lost(err)
		select {
		case <-ctx.Done():
			return "", nil
		case <-time.After(retry):
		}
	}
}

// follow holds one connection and reports what it says, until it is lost or the
// server is not what it was.
func (w *watch) follow(ctx context.Context, client *redis.Client, mode WatchMode, polls *sync.WaitGroup, moves *settling, restored func()) error {
	watching := ctx
	ctx, give := context.WithCancelCause(watching) // give up
	defer give(nil)
	opts := *client.Options()
	inner := opts.OnConnect
	var state atomic.Pointer[serverState]
	opts.OnConnect = func(ctx context.Context, cn *redis.Conn) error {
		if inner != nil {
			if err := inner(ctx, cn); err != nil {
				return err
			}
		}
		s, err := readState(ctx, cn, mode)
		switch {
		case err != nil:
			return err
		case s != nil && s.detached:
			return errDetached
		}
		state.Store(s)
		if mode == WatchTracking {
			return track(ctx, cn, w.prefixes)
		}
		return nil
	}
	c := redis.NewClient(dedicated(opts))
	defer c.Close()
	ps, expect := w.subscribe(ctx, c, mode, opts.DB)
	defer ps.Close()
	p := &pulse{interval: w.opts.Heartbeat, began: time.Now()}
	done := make(chan struct{})
	defer func() { give(nil); <-done }()
	go func() {
		defer close(done)
		give(p.run(ctx, ps))
		_ = ps.Close() // a plain read would wait for ever
	}()

	// At once: taking the connection down can wait.
	lost := func(err error) error {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
			err = cause
		}
		if watching.Err() == nil {
			w.handler.Lost(err)
		}
		return err
	}
	subscribed := 0
	keyspace := len(keyspacePrefix(opts.DB))
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
			subscribed++
			switch s := state.Load(); {
			case subscribed > expect:
				return lost(errReconnected)
			case subscribed == expect:
				restored()
				if s == nil {
					w.opts.Logger.Info("INFO is not allowed: a SWAPDB and a server that is replaced unnoticed are found only when sessions are read again")
					break
				}
				again := moves.watched(s.runID, time.Now(), w.opts.Heartbeat)
				polls.Go(func() { give(w.poll(ctx, client, mode, s, again)) })
			}
		case *redis.Pong:
			if sent, ok := p.answer(m.Payload); ok {
				w.handler.Alive(sent.Add(leaseBeats * w.opts.Heartbeat))
			}
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

// subscribe asks for what is reported in a mode, and says how many
// confirmations there will be.
func (w *watch) subscribe(ctx context.Context, c *redis.Client, mode WatchMode, db int) (ps *redis.PubSub, confirmations int) {
	if mode == WatchTracking {
		return c.Subscribe(ctx, invalidations), 1
	}
	patterns := w.patterns(db)
	return c.PSubscribe(ctx, patterns...), len(patterns)
}

// patterns are those of the channels of the key events that are wanted.
func (w *watch) patterns(db int) []string {
	patterns := make([]string, len(w.prefixes))
	for i, p := range w.prefixes {
		patterns[i] = keyspacePrefix(db) + escapeGlob(p) + "*"
	}
	return patterns
}

func keyspacePrefix(db int) string { return fmt.Sprintf("__keyspace@%d__:", db) }

// poll asks from time to time for the state of the server that sessions are
// read from, until it is not as it was, or it is time to read everything again.
// That it cannot be asked means nothing:
// the pulse of the connection itself tells whether the server is there.
func (w *watch) poll(ctx context.Context, client *redis.Client, mode WatchMode, old *serverState, again time.Time) error {
	interval := pollBeats * w.opts.Heartbeat
	reader := client.WithTimeout(interval)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			if !again.IsZero() && now.After(again) {
				return errSettling
			}
		}
		asking, cancel := context.WithTimeout(ctx, interval)
		s, err := readState(asking, reader, mode)
		cancel()
		if err == nil && s != nil {
			if err := s.since(old); err != nil {
				return err
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
