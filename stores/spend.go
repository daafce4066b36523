package stores

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// Spend notes a key as spent, for ttl at least, and reports whether nobody had
// done so before. Of any number of calls at once, on any number of nodes, one
// gets true. Redis decides in one command, SET with NX and PX.
//
// An error says that the store could not be asked; whether the key is spent is
// then not known. A failover to a replica that has not seen the write makes the
// key spendable once more.
func (s *Redis) Spend(ctx context.Context, key string, ttl time.Duration) (first bool, err error) {
	if ttl < time.Millisecond {
		return false, errors.New("stores: a key is spent for a millisecond at least")
	}
	first, err = bounded(ctx, s, func(ctx context.Context) (bool, error) {
		// The client may send the command again, as the answer got lost: by
		// the mark it is seen that it was this call that came first.
		mark := rand.Text()
		err := s.client.SetArgs(ctx, key, mark, redis.SetArgs{Mode: "NX", TTL: ttl}).Err()
		if !errors.Is(err, redis.Nil) {
			return err == nil, err
		}
		found, err := s.client.Get(ctx, key).Result()
		if errors.Is(err, redis.Nil) {
			return false, nil // its time was over meanwhile
		}
		return err == nil && found == mark, err
	})
	if err != nil {
		return false, s.failure("writing to", err)
	}
	return first, nil
}

// bounded calls f with the store's deadline. If the client does not obey a
// context's deadline, f is left to the client's own timeouts when it has
// passed.
func bounded[T any](ctx context.Context, s *Redis, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if s.direct {
		return f(ctx)
	}
	type answer struct {
		value T
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		v, err := f(ctx)
		done <- answer{v, err}
	}()
	select {
	case a := <-done:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
