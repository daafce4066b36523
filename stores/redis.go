package stores

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
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
}

var redisStores atomic.Int64

// NewRedis returns a store over a client, which stays the caller's to close.
// It does not connect.
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
	s := &Redis{client: client, timeout: o.Timeout, watch: o.Watch, name: fmt.Sprintf("redis-%d", redisStores.Add(1))}
	switch c := client.(type) {
	case *redis.Client:
		s.direct = c.Options().ContextTimeoutEnabled
	case *redis.ClusterClient:
		s.direct = c.Options().ContextTimeoutEnabled
	case *redis.Ring:
		s.direct = c.Options().ContextTimeoutEnabled
	}
	return s, nil
}

// Name returns a name that is unique in the process.
func (s *Redis) Name() string { return s.name }

// Fetch implements [Store], with one pipeline of GETRANGE or HGETALL, and PTTL.
// Of a string that is longer than [MaxValue], no more than that is transferred;
// a hash is, before it is refused.
func (s *Redis) Fetch(ctx context.Context, keys ...Key) ([]Record, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if s.direct {
		return s.fetch(ctx, keys)
	}
	type answer struct {
		records []Record
		err     error
	}
	done := make(chan answer, 1)
	go func() {
		records, err := s.fetch(ctx, keys)
		done <- answer{records, err}
	}()
	select {
	case a := <-done:
		return a.records, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("stores: waiting for Redis: %w", ctx.Err())
	}
}

func (s *Redis) fetch(ctx context.Context, keys []Key) ([]Record, error) {
	type lookup struct {
		value  *redis.StringCmd
		fields *redis.MapStringStringCmd
		ttl    *redis.Cmd
	}
	lookups := make([]lookup, len(keys))
	pipe := s.client.Pipeline()
	for i, k := range keys {
		name := k.String()
		// GETRANGE rather than GET: no more than the limit is ever sent. It
		// answers a missing key with an empty string, which PTTL tells apart
		// from an empty session.
		if k.Hash {
			lookups[i].fields = pipe.HGetAll(ctx, name)
		} else {
			lookups[i].value = pipe.GetRange(ctx, name, 0, MaxValue)
		}
		lookups[i].ttl = pipe.Do(ctx, "PTTL", name) // go-redis' own PTTL overflows after 292 years
	}
	if _, err := pipe.Exec(ctx); err != nil && !isWrongType(err) {
		return nil, readError(err)
	}
	records := make([]Record, len(keys))
	for i, l := range lookups {
		r, err := Record{Found: true, TTL: -1}, error(nil)
		size := 0
		if l.fields != nil {
			r.Fields, err = l.fields.Result()
			for name, value := range r.Fields {
				size += len(name) + len(value)
			}
		} else {
			r.Value, err = l.value.Bytes()
			size = len(r.Value)
		}
		ms, ttlErr := l.ttl.Int64()
		switch {
		case isWrongType(err):
			records[i] = Record{Found: true, Err: ErrWrongType}
		case err != nil:
			return nil, readError(err)
		case ttlErr != nil:
			return nil, readError(ttlErr)
		case ms == -2:
		case size > MaxValue:
			records[i] = Record{Found: true, Err: ErrTooLarge}
		default:
			if ms >= 0 && ms <= maxMillis {
				r.TTL = time.Duration(ms) * time.Millisecond
			}
			records[i] = r
		}
	}
	return records, nil
}

// maxMillis is the longest lifetime that a Duration holds, 292 years.
const maxMillis = math.MaxInt64 / int64(time.Millisecond)

// readError leaves out the arguments that Redis repeats when it refuses a
// command as unknown: the session's id is among them.
func readError(err error) error {
	if text, _, ok := strings.Cut(err.Error(), ", with args"); ok {
		return errors.New("stores: reading from Redis: " + text)
	}
	return fmt.Errorf("stores: reading from Redis: %w", err)
}

func isWrongType(err error) bool {
	return err != nil && strings.HasPrefix(err.Error(), "WRONGTYPE")
}
