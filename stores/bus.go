package stores

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"reflect"
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
// cut off at the moment. Those take equal messages for one, so each needs
// something of its own.
func (b *Bus) Publish(ctx context.Context, message []byte) error {
	pipe := b.client.Pipeline()
	add := pipe.XAdd(ctx, &redis.XAddArgs{Stream: b.log(), MaxLen: busLogLength, Approx: true, Values: []any{"message", message}})
	pipe.PExpire(ctx, b.log(), busLogTime)
	publish := pipe.Publish(ctx, b.opts.Channel, message)
	_, err := pipe.Exec(ctx)
	switch {
	case publish.Err() != nil:
		return fmt.Errorf("stores: publishing: %w", publish.Err())
	case add.Err() != nil:
		return fmt.Errorf("stores: published, but not kept for nodes that are cut off: %w", add.Err())
	case err != nil:
		return fmt.Errorf("stores: publishing: %w", err)
	}
	return nil
}

// Follow calls receive with each message until ctx ends, and then returns nil.
// A connection that is lost is made anew; what [Bus.Publish] sent meanwhile is
// received then, but what another program published is not.
func (b *Bus) Follow(ctx context.Context, receive func(message []byte)) error {
	f := &busFollower{Bus: b, receive: receive}
	retry := busRetryMin
	for {
		err := f.follow(ctx, func() { retry = busRetryMin })
		if ctx.Err() != nil {
			return nil
		}
		b.opts.Logger.Warn("messages of other nodes may come late", slog.String("channel", b.opts.Channel), slog.String("reason", err.Error()))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retry):
		}
		retry = min(2*retry, busRetryMax)
	}
}

// busFollower remembers which messages it has received.
type busFollower struct {
	*Bus
	receive func([]byte)
	caught  bool // up with the log, at least once
	seen    map[[sha256.Size]byte]struct{}
	former  map[[sha256.Size]byte]struct{} // of which the older part is forgotten
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
			heard = time.Now()
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
			// Of what another program publishes, equal messages are several.
			f.note([]byte(m.Payload))
			f.receive([]byte(m.Payload))
		}
	}
}

// catchUp receives what was published while there was no connection. The first
// time there was nobody yet whom it could concern.
func (f *busFollower) catchUp(ctx context.Context) error {
	entries, err := f.client.XRangeN(ctx, f.log(), "-", "+", 2*busLogLength).Result()
	if err != nil {
		return fmt.Errorf("stores: reading the messages that were kept: %w", err)
	}
	for _, e := range entries {
		text, _ := e.Values["message"].(string)
		if message := []byte(text); f.note(message) && f.caught {
			f.receive(message)
		}
	}
	f.caught = true
	return nil
}

// note remembers a message, and reports whether it is new.
func (f *busFollower) note(message []byte) bool {
	if f.seen == nil || len(f.seen) >= 2*busLogLength {
		f.seen, f.former = map[[sha256.Size]byte]struct{}{}, f.seen
	}
	sum := sha256.Sum256(message)
	_, seen := f.seen[sum]
	_, before := f.former[sum]
	f.seen[sum] = struct{}{}
	return !seen && !before
}
