package stores

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// WatchMode is how changes in Redis are learnt.
type WatchMode string

// The modes of [WatchOptions].
const (
	// WatchAuto takes the first of the others that the server allows.
	WatchAuto WatchMode = ""

	// WatchTracking is CLIENT TRACKING in broadcast mode: every change of a
	// key under the watched prefixes is reported, flushes and renames too. It
	// costs Redis some microseconds for each write and service.
	WatchTracking WatchMode = "tracking"

	// WatchKeyEvents is keyspace notifications, which must be enabled in the
	// server: notify-keyspace-events with K, g, $, x and e, "KA" say. A flush
	// is not reported; it is found as a SWAPDB is, see [Redis.Watch].
	WatchKeyEvents WatchMode = "keyevents"

	// WatchSweep is no push at all: sessions are read again from time to time.
	WatchSweep WatchMode = "sweep"
)

// WatchOptions configure [Redis.Watch]. The zero value is the default.
type WatchOptions struct {
	// Mode is how changes are learnt. Default WatchAuto.
	Mode WatchMode

	// Heartbeat is how often the connection that reports changes is tried;
	// if two go unanswered it is taken to be lost. At every second one the
	// server is asked for its state. Default 500 ms.
	Heartbeat time.Duration

	// Logger gets a line when watching begins, is lost, and begins again.
	// Default slog.Default().
	Logger *slog.Logger
}

// WatchHandler is told what happens to the watched keys. The methods are called
// one after the other for each Redis node, but concurrently for several nodes,
// and must not block for long.
//
// It is an alias, so that this package and bridge need not import each other:
// bridge.Follower, which has the same methods, is the same type.
type WatchHandler = interface {
	// Changed: these keys may have changed, or be gone: read them again.
	Changed(keys []string)

	// Alive: everything that happened until now was reported, and this holds
	// until then.
	Alive(until time.Time)

	// Lost: from now on changes may be missed.
	Lost(reason error)

	// Restored: from now on changes are reported again. What happened since
	// the last Lost, or before the first Restored, is not known: read
	// everything again.
	//
	// The mode is how, one of the [WatchMode] that the server allows.
	Restored(mode string)
}

const (
	leaseBeats       = 3 // how many heartbeats an answer holds for
	pollBeats        = 2 // how many heartbeats pass until the server's state is asked for again
	defaultHeartbeat = 500 * time.Millisecond
	minWatchRetry    = 50 * time.Millisecond
	maxWatchRetry    = time.Second
	topologyInterval = time.Second
	invalidations    = "__redis__:invalidate"
)

// Watchable is a [Store] that reports changes.
type Watchable interface {
	Store

	// Watch reports changes of the keys under the prefixes until ctx ends,
	// and then returns nil; or an error if the store cannot.
	Watch(ctx context.Context, prefixes []string, h WatchHandler) error
}

// ErrNotWatchable says that the server allows none of the modes that were
// asked for.
var ErrNotWatchable = errors.New("stores: Redis does not report changes")

// Watch reports changes of the keys under the prefixes until ctx ends, and
// then returns nil. It returns an error that wraps [ErrNotWatchable] if the
// server allows no push, if none is wanted, or if the client may read from
// replicas, which can be behind what their master has reported.
//
// What Redis reports to nobody (a SWAPDB, a change of roles, and that the
// client has moved on to another server while the old one still answers) is
// found by asking the server that sessions are read from for INFO, with every
// second heartbeat; WatchHandler.Lost and Restored follow. A user who may not
// use INFO learns of these only by sweeps.
//
// A cluster or ring is watched node by node, and asked for its nodes once a
// second.
func (s *Redis) Watch(ctx context.Context, prefixes []string, h WatchHandler) error {
	opts := s.watch
	if opts.Heartbeat <= 0 {
		opts.Heartbeat = defaultHeartbeat
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	w := &watch{opts: opts, prefixes: disjoint(prefixes), handler: h}
	switch c := s.client.(type) {
	case *redis.Client:
		return w.node(ctx, c)
	case *redis.ClusterClient:
		if c.Options().ReadOnly {
			return fmt.Errorf("%w: the cluster's client reads from replicas; leave ReadOnly, RouteByLatency and RouteRandomly unset", ErrNotWatchable)
		}
		return w.nodes(ctx, c.ForEachMaster)
	case *redis.Ring:
		return w.nodes(ctx, c.ForEachShard)
	}
	return fmt.Errorf("%w: the client is a %T, not a go-redis client, cluster or ring", ErrNotWatchable, s.client)
}

// disjoint drops prefixes that another one covers: Redis refuses overlaps.
func disjoint(prefixes []string) []string {
	sorted := slices.Compact(slices.Sorted(slices.Values(prefixes)))
	var kept []string
	for _, p := range sorted {
		if len(kept) == 0 || !strings.HasPrefix(p, kept[len(kept)-1]) {
			kept = append(kept, p)
		}
	}
	return kept
}

type watch struct {
	opts     WatchOptions
	prefixes []string
	handler  WatchHandler
}
