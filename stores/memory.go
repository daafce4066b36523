package stores

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// Memory is a [Store] inside the process, for tests and for applications that
// keep their sessions in it themselves. It keeps no hashes. The zero value is
// not usable; see [NewMemory].
type Memory struct {
	mu    sync.RWMutex
	m     map[string]memoryValue
	sweep int // with how many keys the next Set drops those whose time is over
	name  string
}

type memoryValue struct {
	value []byte
	until time.Time // zero: for ever
}

func (v memoryValue) over(now time.Time) bool { return !v.until.IsZero() && !now.Before(v.until) }

var memoryStores atomic.Int64

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{m: map[string]memoryValue{}, name: fmt.Sprintf("memory-%d", memoryStores.Add(1))}
}

// Name returns a name that is unique in the process.
func (s *Memory) Name() string { return s.name }

// Set keeps a value under a key, prefix included, for ttl; without end if ttl
// is zero or negative.
func (s *Memory) Set(key string, value []byte, ttl time.Duration) {
	now := time.Now()
	v := memoryValue{value: bytes.Clone(value)}
	if ttl > 0 {
		v.until = now.Add(ttl)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.m) >= s.sweep {
		maps.DeleteFunc(s.m, func(_ string, v memoryValue) bool { return v.over(now) })
		s.sweep = max(1024, 2*len(s.m))
	}
	s.m[key] = v
}

// Delete forgets a key.
func (s *Memory) Delete(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, key)
}

// Fetch implements [Store].
func (s *Memory) Fetch(ctx context.Context, keys ...Key) ([]Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	now := time.Now()
	records := make([]Record, len(keys))
	s.mu.RLock()
	defer s.mu.RUnlock()
	for i, k := range keys {
		v, ok := s.m[k.String()]
		switch {
		case !ok || v.over(now):
		case k.Hash:
			records[i] = Record{Found: true, Err: ErrWrongType}
		case len(v.value) > MaxValue:
			records[i] = Record{Found: true, Err: ErrTooLarge}
		case v.until.IsZero():
			records[i] = Record{Found: true, Value: v.value, TTL: -1}
		default:
			records[i] = Record{Found: true, Value: v.value, TTL: v.until.Sub(now)}
		}
	}
	return records, nil
}
