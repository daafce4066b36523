package stores

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Toucher is a [Store] that can extend a session's life.
type Toucher interface {
	Store

	// Touch has a key live for ttl from now on, if it is there, has an end,
	// and would end before that; otherwise it does nothing, and that is no
	// error. So a session that is gone stays gone, one without an end keeps
	// none, and no life is shortened. An error says that the store could not
	// be asked.
	Touch(ctx context.Context, key Key, ttl time.Duration) error
}

// LifetimeCodec is a [Codec] of a stack that extends a session in the store
// alone, and leaves a deadline inside the value as it was. The deadline then
// counts only for a key that has no end in the store.
type LifetimeCodec interface {
	Codec

	// Lifetime returns for how long the stack extends the session on a request
	// that only reads it, not at all if that is zero or negative. ok is false
	// if the value does not say so: [Keyspace.Lifetime] counts then.
	Lifetime(value []byte) (ttl time.Duration, ok bool)
}

// Touch extends a session as its stack does on a request that only reads it:
// to the lifetime that the value itself says, or else to ks.Lifetime. Nothing
// happens if that is zero, and in the cases of [Toucher]. The value is not
// written. The id must have passed ks.ID.Check or [CheckSigned]. An error says
// that the store could not be asked.
func (ks *Keyspace) Touch(ctx context.Context, s Toucher, id string) error {
	if ks.Lifetime == 0 {
		return nil
	}
	keys := ks.Keys(id)
	key, ttl := keys[0], ks.Lifetime
	c, says := ks.Codec.(LifetimeCodec)
	if says || len(keys) > 1 {
		records, err := s.Fetch(ctx, keys...)
		if err != nil {
			return err
		}
		n := FirstFound(records)
		r := records[n]
		if !r.Found || r.Err != nil || r.TTL < 0 {
			return nil
		}
		key = keys[n]
		if says {
			if d, ok := c.Lifetime(r.Value); ok {
				ttl = d
			}
		}
	}
	if ttl <= 0 {
		return nil
	}
	return s.Touch(ctx, key, ttl)
}

// Touch implements [Toucher], with a script that runs on Redis 6 and later. It
// needs the right to run scripts (EVAL, EVALSHA), PTTL and PEXPIRE.
func (s *Redis) Touch(ctx context.Context, key Key, ttl time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	run := func() (struct{}, error) {
		return struct{}{}, touchScript.Run(ctx, s.client, []string{key.String()}, ttl.Milliseconds()).Err()
	}
	var err error
	if s.direct {
		_, err = run()
	} else {
		_, err = inTime(ctx, run)
	}
	return s.failure("extending a session in", err)
}

// touchScript: PTTL is -2 for a key that is not there and -1 for one without
// an end. PEXPIRE's own GT is of Redis 7.
var touchScript = redis.NewScript(`
local left = redis.call('PTTL', KEYS[1])
if left >= 0 and left < tonumber(ARGV[1]) then
	redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return 0`)

// Touch implements [Toucher].
func (s *Memory) Touch(ctx context.Context, key Key, ttl time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	now := time.Now()
	until := now.Add(ttl)
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.m[key.String()]
	if !ok || v.over(now) || v.until.IsZero() || !v.until.Before(until) {
		return nil
	}
	v.until = until
	s.m[key.String()] = v
	return nil
}

// Touch implements [Toucher]; the server that the session is on must be one,
// too.
func (s *Sharded) Touch(ctx context.Context, key Key, ttl time.Duration) error {
	t, ok := s.shards[s.shard(key.ID)].Store.(Toucher)
	if !ok {
		return fmt.Errorf("stores: extending a session: %w by its server's store", errors.ErrUnsupported)
	}
	return t.Touch(ctx, s.Key(key), ttl)
}
