package stores

import (
	"context"
	"errors"
	"time"
)

// Revoke writes an entry that says that something is revoked. Redis drops it
// after ttl.
func (s *Redis) Revoke(ctx context.Context, key, value string, ttl time.Duration) error {
	if ttl < time.Millisecond {
		return errors.New("stores: an entry is kept for a millisecond at least")
	}
	_, err := bounded(ctx, s, func(ctx context.Context) (any, error) {
		return s.client.Do(ctx, "SET", key, value, "PX", ttl.Milliseconds()).Result()
	})
	return s.failure("writing to", err)
}

// Revoked reads entries that [Redis.Revoke], or a web application, may have
// written, and returns those that are there, in one round trip. An error says
// that the store could not be asked.
func (s *Redis) Revoked(ctx context.Context, keys ...string) (map[string]string, error) {
	names := make([]Key, len(keys))
	for i, k := range keys {
		names[i] = Key{ID: k}
	}
	records, err := s.Fetch(ctx, names...)
	if err != nil {
		return nil, err
	}
	var found map[string]string
	for i, r := range records {
		if !r.Found {
			continue
		}
		if found == nil {
			found = map[string]string{}
		}
		// Of another type or too large: there all the same.
		found[keys[i]] = string(r.Value)
	}
	return found, nil
}

// Follow is [Redis.Watch] under the name that a store of revocations has it by:
// see jwtmode.RevocationStore.
func (s *Redis) Follow(ctx context.Context, prefixes []string, h WatchHandler) error {
	return s.Watch(ctx, prefixes, h)
}
