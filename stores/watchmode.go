package stores

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// AllowedWatchMode asks a server which mode [WatchAuto] would take there for
// keys under the prefixes: [WatchTracking], [WatchKeyEvents], or [WatchSweep] if
// it allows no reports. The error says that it could not be asked.
func AllowedWatchMode(ctx context.Context, client *redis.Client, prefixes ...string) (WatchMode, error) {
	c := redis.NewClient(dedicated(*client.Options()))
	defer c.Close()
	mode, err := (&watch{prefixes: disjoint(prefixes)}).probe(ctx, c)
	if errors.Is(err, ErrNotWatchable) {
		return WatchSweep, nil
	}
	return mode, err
}

// notAllowed is what a server refuses, in its own words, and what to do.
type notAllowed string

func (n notAllowed) Error() string { return string(n) }

// refusedTo makes a notAllowed of an error by which the server refuses a
// command. Any other says that the server could not be asked.
func refusedTo(command string, err error) error {
	if !answered(err) || transient(err) {
		return err
	}
	return notAllowed(command + ": " + advised(err))
}

// probe returns the best mode that the server allows. The error wraps
// ErrNotWatchable if it allows none; any other says that the server could not
// be asked.
func (w *watch) probe(ctx context.Context, c *redis.Client) (WatchMode, error) {
	conn := c.Conn()
	defer conn.Close() // a subscription ends with the connection
	tracking := probeTracking(ctx, conn)
	if tracking == nil {
		return WatchTracking, nil
	}
	var no notAllowed
	if !errors.As(tracking, &no) {
		return "", tracking
	}
	events := probeKeyEvents(ctx, conn, w.patterns(c.Options().DB))
	if events == nil {
		return WatchKeyEvents, nil
	}
	if !errors.As(events, &no) {
		return "", events
	}
	return "", fmt.Errorf("%w: it must allow client tracking (%w) or keyspace events (%w)", ErrNotWatchable, tracking, events)
}

// probeTracking also subscribes to where the reports come, which is a right of
// its own.
func probeTracking(ctx context.Context, conn *redis.Conn) error {
	if err := track(ctx, conn, []string{"\x00none"}); err != nil {
		return refusedTo("CLIENT TRACKING", err)
	}
	return refusedTo("SUBSCRIBE "+invalidations, conn.Do(ctx, "SUBSCRIBE", invalidations).Err())
}

// probeKeyEvents asks whether events are enabled, and subscribes to the
// patterns: a right of its own.
func probeKeyEvents(ctx context.Context, conn *redis.Conn, patterns []string) error {
	const setting = "notify-keyspace-events"
	values, err := conn.Do(ctx, "CONFIG", "GET", setting).Slice()
	if err != nil {
		return refusedTo("CONFIG GET "+setting, err)
	}
	if len(values) < 2 {
		return notAllowed("the server has no setting " + setting)
	}
	flags, _ := values[1].(string)
	if !strings.Contains(flags, "K") || !strings.Contains(flags, "A") && !(strings.Contains(flags, "g") && strings.Contains(flags, "$") && strings.Contains(flags, "x")) {
		return notAllowed(fmt.Sprintf("%s is %q; add KA to it", setting, flags))
	}
	args := []any{"PSUBSCRIBE"}
	for _, p := range patterns {
		args = append(args, p)
	}
	return refusedTo("PSUBSCRIBE "+strings.Join(patterns, " "), conn.Do(ctx, args...).Err())
}
