package stores

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// Shard is one of the servers that phpredis spreads sessions over.
type Shard struct {
	// Store is the server's sessions; it must be set.
	Store Store

	// Weight is the server's share; 0 stands for 1.
	Weight int

	// Prefix, if it is not nil, takes the place of the keyspace's prefix.
	Prefix *string
}

// Sharded is a [Store] over several, of which each session is in one.
type Sharded struct {
	shards []Shard
	total  uint32
	name   string
}

var shardedStores atomic.Int64

// NewSharded returns a store that chooses among shards, in the order of
// session.save_path, as phpredis does (redis_session.c, redis_pool_get_sock):
// by the first four bytes of the session id. Like phpredis it never falls back
// to another server.
func NewSharded(shards ...Shard) (*Sharded, error) {
	if len(shards) == 0 {
		return nil, errors.New("stores: no servers")
	}
	s := &Sharded{name: fmt.Sprintf("sharded-%d", shardedStores.Add(1))}
	for _, shard := range shards {
		if shard.Weight == 0 {
			shard.Weight = 1
		}
		if shard.Store == nil {
			return nil, errors.New("stores: a server has no Store")
		}
		if shard.Weight < 0 || shard.Weight > maxWeight {
			return nil, fmt.Errorf("stores: a server's weight is %d; phpredis takes 1 to %d", shard.Weight, maxWeight)
		}
		s.shards = append(s.shards, shard)
		s.total += uint32(shard.Weight)
	}
	return s, nil
}

// maxWeight keeps the sum of weights far from overflowing.
const maxWeight = 1 << 16

// Name returns a name that is unique in the process.
func (s *Sharded) Name() string { return s.name }

// String says where the sessions are, for logs.
func (s *Sharded) String() string {
	if len(s.shards) == 1 {
		if only, ok := s.shards[0].Store.(fmt.Stringer); ok {
			return only.String()
		}
	}
	return fmt.Sprintf("%d servers", len(s.shards))
}

// Key returns a key as the server has it that its session is on.
func (s *Sharded) Key(k Key) Key {
	if p := s.shards[s.shard(k.ID)].Prefix; p != nil {
		k.Prefix = *p
	}
	return k
}

// shard returns the index of the server that a session is on. phpredis adds
// each server of the list at its head, and so goes through it from the end.
func (s *Sharded) shard(id string) int {
	var first [4]byte // an id that is shorter is filled up with zeros
	copy(first[:], id)
	// phpredis reads the bytes as the machine does; all that PHP is common on
	// are little-endian.
	pos := uint32(first[0]) | uint32(first[1])<<8 | uint32(first[2])<<16 | uint32(first[3])<<24
	pos %= s.total
	for i := len(s.shards) - 1; i > 0; i-- {
		w := uint32(s.shards[i].Weight)
		if pos < w {
			return i
		}
		pos -= w
	}
	return 0
}

// Fetch implements [Store], in one round trip to each server that is asked.
func (s *Sharded) Fetch(ctx context.Context, keys ...Key) ([]Record, error) {
	type batch struct {
		keys  []Key
		whose []int
		err   error
	}
	batches := make([]batch, len(s.shards))
	for i, k := range keys {
		b := &batches[s.shard(k.ID)]
		b.keys, b.whose = append(b.keys, s.Key(k)), append(b.whose, i)
	}
	records := make([]Record, len(keys))
	var all sync.WaitGroup
	for i := range batches {
		b := &batches[i]
		if len(b.keys) == 0 {
			continue
		}
		all.Go(func() {
			got, err := s.shards[i].Store.Fetch(ctx, b.keys...)
			if b.err = err; err != nil {
				return
			}
			for j, r := range got {
				records[b.whose[j]] = r
			}
		})
	}
	all.Wait()
	for i := range batches {
		if batches[i].err != nil {
			return nil, batches[i].err
		}
	}
	return records, nil
}
