package stores_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/stores"
)

func redisStore(t *testing.T, c redis.UniversalClient) *stores.Redis {
	t.Helper()
	s, err := stores.NewRedis(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSpendOnce(t *testing.T) {
	server := partstest.Redis(t)
	nodes := []*stores.Redis{redisStore(t, client(t, server)), redisStore(t, client(t, server))}
	for round := range 20 {
		key := fmt.Sprintf("spent:%d", round)
		var firsts atomic.Int64
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				first, err := nodes[i%len(nodes)].Spend(t.Context(), key, time.Minute)
				if err != nil {
					t.Error(err)
				}
				if first {
					firsts.Add(1)
				}
			})
		}
		all.Wait()
		if firsts.Load() != 1 {
			t.Fatalf("%d of 100 were the first", firsts.Load())
		}
		if ttl := client(t, server).PTTL(t.Context(), key).Val(); ttl <= 0 || ttl > time.Minute {
			t.Fatalf("the key lives for %v", ttl)
		}
	}
}

// repeat sends every SET twice, as a client does whose first answer got lost.
type repeat struct{ redis.Hook }

func (repeat) DialHook(next redis.DialHook) redis.DialHook { return next }

func (repeat) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (repeat) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "set" {
			_ = next(ctx, cmd)
		}
		return next(ctx, cmd)
	}
}

func TestSpendWhoseAnswerIsLost(t *testing.T) {
	server := partstest.Redis(t)
	c := client(t, server)
	c.AddHook(repeat{})
	s := redisStore(t, c)
	var got []bool
	for range 2 {
		first, err := s.Spend(t.Context(), "spent", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, first)
	}
	if diff := cmp.Diff([]bool{true, false}, got); diff != "" {
		t.Error(diff)
	}
}

func TestMarksWhenRedisIsAway(t *testing.T) {
	server := partstest.Redis(t)
	s := redisStore(t, client(t, server))
	server.Kill()
	if first, err := s.Spend(t.Context(), "k", time.Minute); first || err == nil {
		t.Errorf("Spend = %v, %v; want an error", first, err)
	}
	if err := s.Revoke(t.Context(), "k", "1", time.Minute); err == nil {
		t.Error("Revoke gave no error")
	}
	if found, err := s.Revoked(t.Context(), "k"); found != nil || err == nil {
		t.Errorf("Revoked = %v, %v; want an error", found, err)
	}
}

func TestMarksNeedATime(t *testing.T) {
	c := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	t.Cleanup(func() { c.Close() })
	s := redisStore(t, c)
	if _, err := s.Spend(t.Context(), "k", 0); err == nil {
		t.Error("Spend took no time")
	}
	if err := s.Revoke(t.Context(), "k", "1", -time.Second); err == nil {
		t.Error("Revoke took a negative time")
	}
}

func TestRevoked(t *testing.T) {
	server := partstest.Redis(t)
	c := client(t, server)
	s := redisStore(t, c)
	if err := s.Revoke(t.Context(), "revoked:a", "1700000000", time.Minute); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range [][]any{{"SET", "revoked:empty", ""}, {"SADD", "revoked:set", "x"}} {
		if err := c.Do(t.Context(), cmd...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Revoked(t.Context(), "revoked:a", "revoked:none", "revoked:empty", "revoked:set")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"revoked:a": "1700000000", "revoked:empty": "", "revoked:set": ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if ttl := c.PTTL(t.Context(), "revoked:a").Val(); ttl <= 0 || ttl > time.Minute {
		t.Errorf("the entry lives for %v", ttl)
	}
}
