package stores

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// BusOptions configure a [Bus]. A nil *BusOptions is safe.
type BusOptions struct {
	// Channel is the channel that messages are published on. Default
	// "sessionbridge:revoke".
	//
	// A stream named after it, with ":log" behind, keeps the last 1,000
	// messages of [Bus.Publish] for ten minutes, for nodes that were cut off
	// meanwhile.
	Channel string

	// Logger gets a line when the connection is lost. Default slog.Default().
	Logger *slog.Logger
}

// Bus carries messages between the nodes of a service by Redis' publish and
// subscribe: it is a bridge.Bus. Any other program may publish on its channel,
// too. It is safe for concurrent use.
type Bus struct {
	client redis.UniversalClient
	opts   BusOptions
}

const (
	defaultChannel = "sessionbridge:revoke"
	busLogLength   = 1000
	busLogTime     = 10 * time.Minute
	busBeat        = time.Second
	busPatience    = 3 * time.Second // without an answer the connection is lost
	busRetryMin    = 50 * time.Millisecond
	busRetryMax    = 2 * time.Second
)

// NewBus returns a bus over a client, which stays the caller's to close. It
// does not connect.
func NewBus(client redis.UniversalClient, opts *BusOptions) (*Bus, error) {
	b := &Bus{client: client}
	if opts != nil {
		b.opts = *opts
	}
	if v := reflect.ValueOf(client); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, errors.New("stores: the Redis client is nil")
	}
	if b.opts.Channel == "" {
		b.opts.Channel = defaultChannel
	}
	if b.opts.Logger == nil {
		b.opts.Logger = slog.Default()
	}
	return b, nil
}

func (b *Bus) log() string { return b.opts.Channel + ":log" }

// Publish sends a message to all that follow, and keeps it for those that are
// cut off at the moment. What is published has the message's id in the stream
// before it and a space between them, so that nobody receives it twice.
func (b *Bus) Publish(ctx context.Context, message []byte) error {
	pipe := b.client.Pipeline()
	add := pipe.XAdd(ctx, &redis.XAddArgs{Stream: b.log(), MaxLen: busLogLength, Approx: true, Values: []any{"message", message}})
	pipe.PExpire(ctx, b.log(), busLogTime)
	_, _ = pipe.Exec(ctx) // add has the error that matters
	payload := message
	if id, err := add.Result(); err == nil {
		payload = fmt.Appendf(nil, "%s %s", id, message)
	}
	if err := b.client.Publish(ctx, b.opts.Channel, payload).Err(); err != nil {
		return fmt.Errorf("stores: publishing: %w", err)
	}
	if err := add.Err(); err != nil {
		return fmt.Errorf("stores: published, but not kept for nodes that are cut off: %w", err)
	}
	return nil
}

// Follow calls receive with each message until ctx ends, and then returns nil.
// A connection that is lost is made anew; what [Bus.Publish] sent meanwhile, or
// since Follow was called if there was no connection yet, is received then, but
// what another program published is not. The connection is not read from while
// receive runs.
func (b *Bus) Follow(ctx context.Context, receive func(message []byte)) error {
	f := &busFollower{Bus: b, receive: receive, began: time.Now()}
	retry := busRetryMin
	told := false
	for {
		err := f.follow(ctx, func() { retry, told = busRetryMin, false })
		if ctx.Err() != nil {
			return nil
		}
		if !told {
			b.opts.Logger.Warn("messages of other nodes may come late", slog.String("channel", b.opts.Channel), slog.String("reason", err.Error()+remedy(err)))
			told = true
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retry):
		}
		retry = min(2*retry, busRetryMax)
	}
}

// busFollower remembers which messages of [Bus.Publish] it has received.
type busFollower struct {
	*Bus
	receive func([]byte)
	began   time.Time
	since   int64               // Redis' time when it began, in ms; 0 as long as it is not known
	seen    map[string]struct{} // ids; more than the log has, in both maps
	former  map[string]struct{} // of which the older part is forgotten
}

// follow receives messages over one connection until it is lost.
func (f *busFollower) follow(ctx context.Context, connected func()) error {
	sub := f.client.Subscribe(ctx, f.opts.Channel)
	defer sub.Close()
	// Only closing the connection wakes a reader at once.
	defer context.AfterFunc(ctx, func() { _ = sub.Close() })()
	heard := time.Now()
	for {
		m, err := sub.ReceiveTimeout(ctx, busBeat)
		timeout := net.Error(nil)
		switch {
		case err == nil:
		case !errors.As(err, &timeout) || !timeout.Timeout() || time.Since(heard) > busPatience:
			return err
		default:
			if err := sub.Ping(ctx); err != nil {
				return err
			}
			continue
		}
		switch m := m.(type) {
		case *redis.Subscription:
			// From here on nothing is missed, so what was before can be read.
			if err := f.catchUp(ctx); err != nil {
				return err
			}
			connected()
		case *redis.Message:
			id, message := splitID(m.Payload)
			if id == "" || f.note(id) { // of what others publish, equal messages are several
				f.receive([]byte(message))
			}
		}
		heard = time.Now() // receive may have taken its time
	}
}

// splitID splits what is published into the id in the stream, which only
// messages of [Bus.Publish] have, and the message.
func splitID(payload string) (id, message string) {
	id, message, ok := strings.Cut(payload, " ")
	ms, n, dash := strings.Cut(id, "-")
	if !ok || !dash || ms == "" || n == "" || strings.Trim(ms+n, "0123456789") != "" {
		return "", payload
	}
	return id, message
}

// catchUp receives what was published while there was no connection, but
// nothing from before the time of the log or of the follower.
func (f *busFollower) catchUp(ctx context.Context) error {
	type answer struct {
		now     time.Time
		entries []redis.XMessage
		err     error
	}
	done := make(chan answer, 1)
	go func() { // a server that hangs must not keep Follow from returning
		var a answer
		if a.now, a.err = f.client.Time(ctx).Result(); a.err == nil {
			a.entries, a.err = f.client.XRangeN(ctx, f.log(), "-", "+", 2*busLogLength).Result()
		}
		done <- a
	}()
	var a answer
	select {
	case a = <-done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if a.err != nil {
		return fmt.Errorf("stores: reading the messages that were kept: %w", a.err)
	}
	if f.since == 0 {
		f.since = a.now.Add(-time.Since(f.began)).UnixMilli()
	}
	since := max(f.since, a.now.Add(-busLogTime).UnixMilli())
	for _, e := range a.entries {
		ms, _, _ := strings.Cut(e.ID, "-")
		at, err := strconv.ParseInt(ms, 10, 64)
		if text, ok := e.Values["message"].(string); ok && err == nil && at > since && f.note(e.ID) {
			f.receive([]byte(text))
		}
	}
	return nil
}

// note remembers a message, and reports whether it is new.
func (f *busFollower) note(id string) bool {
	if f.seen == nil || len(f.seen) >= 2*busLogLength {
		f.seen, f.former = map[string]struct{}{}, f.seen
	}
	_, seen := f.seen[id]
	_, before := f.former[id]
	f.seen[id] = struct{}{}
	return !seen && !before
}
