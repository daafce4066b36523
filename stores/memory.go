package stores

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Memory is a [Store] inside the process, for tests and for applications that
// keep their sessions in it themselves. The zero value is not usable; see
// [NewMemory].
type Memory struct {
	mu   sync.RWMutex
	m    map[string]memoryValue
	name string
}

type memoryValue struct {
	value []byte
	until time.Time // zero: for ever
}

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
	v := memoryValue{value: bytes.Clone(value)}
	if ttl > 0 {
		v.until = time.Now().Add(ttl)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
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
		case !ok || !v.until.IsZero() && !now.Before(v.until):
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
