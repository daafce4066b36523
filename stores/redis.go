package stores

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisOptions configure a [Redis] store. A nil *RedisOptions is safe.
type RedisOptions struct {
	// Timeout is the deadline of each lookup. Default 1 s.
	//
	// A go-redis client obeys it by itself if its ContextTimeoutEnabled is
	// set, which is the cheaper way. Without, the store stops waiting and
	// leaves the client to its own timeouts.
	Timeout time.Duration

	// Watch says how changes are learnt; see [Redis.Watch].
	Watch WatchOptions
}

// Redis is a [Store] over any go-redis client: single, sentinel, cluster or
// ring.
type Redis struct {
	client  redis.UniversalClient
	timeout time.Duration
	watch   WatchOptions
	direct  bool // the client obeys a context's deadline
	name    string

	node   func(ctx context.Context, key string) (string, error) // nil: there is one
	routed atomic.Bool                                           // node needs no answer from Redis any more
	dials  dials
	lanes  lanes
	large  chan struct{} // holds one for each large value that is being read
}

var redisStores atomic.Int64

// NewRedis returns a store over a client, which stays the caller's to close.
// It does not connect. It adds a hook to the client that notes why a connection
// cannot be made, for the errors of lookups.
func NewRedis(client redis.UniversalClient, opts *RedisOptions) (*Redis, error) {
	var o RedisOptions
	if opts != nil {
		o = *opts
	}
	switch v := reflect.ValueOf(client); {
	case !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil():
		return nil, errors.New("stores: the Redis client is nil")
	case o.Timeout < 0:
		return nil, errors.New("stores: Timeout is negative; leave it zero for 1 s")
	case o.Timeout == 0:
		o.Timeout = time.Second
	}
	s := &Redis{client: client, timeout: o.Timeout, watch: o.Watch, name: fmt.Sprintf("redis-%d", redisStores.Add(1)),
		large: make(chan struct{}, maxLargeReads)}
	switch c := client.(type) {
	case *redis.Client:
		s.direct = c.Options().ContextTimeoutEnabled
		c.AddHook(&s.dials)
	case *redis.ClusterClient:
		s.direct = c.Options().ContextTimeoutEnabled
		c.OnNewNode(func(node *redis.Client) { node.AddHook(&s.dials) })
		s.node = func(ctx context.Context, key string) (string, error) { return nodeAddr(c.MasterForKey(ctx, key)) }
	case *redis.Ring:
		s.direct = c.Options().ContextTimeoutEnabled
		c.OnNewNode(func(node *redis.Client) { node.AddHook(&s.dials) })
		s.node = func(_ context.Context, key string) (string, error) { return nodeAddr(c.GetShardClientForKey(key)) }
	}
	return s, nil
}

// Name returns a name that is unique in the process.
func (s *Redis) Name() string { return s.name }

// String says where the sessions are, for logs: the server's address and the
// database, without user and password.
func (s *Redis) String() string {
	switch c := s.client.(type) {
	case *redis.Client:
		if c.Options().Addr == "FailoverClient" { // what go-redis says for a master that Sentinel names
			return fmt.Sprintf("Sentinel's Redis, database %d", c.Options().DB)
		}
		return fmt.Sprintf("Redis at %s, database %d", c.Options().Addr, c.Options().DB)
	case *redis.ClusterClient:
		return "the Redis cluster at " + strings.Join(c.Options().Addrs, ", ")
	}
	return "Redis"
}

func nodeAddr(c *redis.Client, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return c.Options().Addr, nil
}

// Fetch implements [Store], with GETRANGE or HGETALL, and PTTL, in a pipeline.
//
// While a pipeline is under way to a node, further lookups wait for it to
// return and then share the next: many callers at once cost little more than
// one. If it takes more than 5 to 10 ms, a second is begun beside it. A lookup
// that waits notices up to 10 ms late that its context was cancelled; one that
// sends its own pipeline, by a client that obeys deadlines, goes by its deadline
// alone. A client's hooks see a pipeline that is shared with a context of the
// store's, not of a caller's.
//
// A string over 64 KiB takes a second round trip, of its own, so that it does
// not hold up others; of one that is longer than [MaxValue], no more than that
// is transferred. A hash is transferred as it is, before it is refused, and a
// lookup with one shares no pipeline.
func (s *Redis) Fetch(ctx context.Context, keys ...Key) ([]Record, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	records, err := s.fetch(ctx, keys)
	if err != nil {
		return nil, s.failure("reading from", err)
	}
	return records, nil
}

func (s *Redis) fetch(ctx context.Context, keys []Key) ([]Record, error) {
	if slices.ContainsFunc(keys, func(k Key) bool { return k.Hash }) {
		return s.alone(ctx, keys)
	}
	if s.node == nil {
		return s.shared(ctx, "", keys)
	}
	if !s.routed.Load() {
		// The client does not know yet which node has which keys; and to ask,
		// it may take longer than the deadline.
		records, err := s.alone(ctx, keys)
		if err == nil {
			s.routed.Store(true)
		}
		return records, err
	}
	return s.spread(ctx, keys)
}

// spread looks keys up that may be on several nodes, of which one that hangs
// must not hold up the lookups on the others.
func (s *Redis) spread(ctx context.Context, keys []Key) ([]Record, error) {
	type part struct {
		node  string
		keys  []Key
		whose []int
		err   error
	}
	var parts []*part
	for i, k := range keys {
		node, err := s.node(ctx, k.String())
		if err != nil {
			return nil, err
		}
		n := slices.IndexFunc(parts, func(p *part) bool { return p.node == node })
		if n < 0 {
			n = len(parts)
			parts = append(parts, &part{node: node})
		}
		parts[n].keys, parts[n].whose = append(parts[n].keys, k), append(parts[n].whose, i)
	}
	if len(parts) == 1 {
		return s.shared(ctx, parts[0].node, keys)
	}
	records := make([]Record, len(keys))
	var all sync.WaitGroup
	for _, p := range parts {
		all.Go(func() {
			got, err := s.shared(ctx, p.node, p.keys)
			p.err = err
			for j, r := range got {
				records[p.whose[j]] = r
			}
		})
	}
	all.Wait()
	for _, p := range parts {
		if p.err != nil {
			return nil, p.err
		}
	}
	return records, nil
}

// alone looks keys up in a pipeline of their own.
func (s *Redis) alone(ctx context.Context, keys []Key) ([]Record, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return recordsOf(s.ask(ctx, keys, MaxValue))
}
