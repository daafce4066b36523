package stores_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/stores"
)

var (
	_ stores.Toucher = (*stores.Redis)(nil)
	_ stores.Toucher = (*stores.Sharded)(nil)
	_ stores.Toucher = (*stores.SavePath)(nil)
	_ stores.Toucher = (*stores.Memory)(nil)
)

// left reads how long a key lives; -1 without an end, -2 if it is not there.
func left(t *testing.T, s stores.Store, k stores.Key) time.Duration {
	t.Helper()
	got, err := s.Fetch(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	if !got[0].Found {
		return -2
	}
	return got[0].TTL
}

// about: some time passes before a lifetime is read.
func about(got, want time.Duration) bool {
	return got == want || got > 0 && got <= want && got > want-30*time.Second
}

func TestTouch(t *testing.T) {
	server := partstest.Redis(t)
	kinds := map[string]func(t *testing.T, ttls map[string]time.Duration) stores.Toucher{
		"redis": func(t *testing.T, ttls map[string]time.Duration) stores.Toucher {
			client := newClient(t, redisOptions(t, server.URL))
			for key, ttl := range ttls {
				if err := client.Set(t.Context(), key, "value", ttl).Err(); err != nil {
					t.Fatal(err)
				}
			}
			return newRedis(t, client, patient)
		},
		"memory": func(_ *testing.T, ttls map[string]time.Duration) stores.Toucher {
			m := stores.NewMemory()
			for key, ttl := range ttls {
				m.Set(key, []byte("value"), ttl)
			}
			return m
		},
		"sharded": func(t *testing.T, ttls map[string]time.Duration) stores.Toucher {
			m := stores.NewMemory()
			for key, ttl := range ttls {
				m.Set(strings.Replace(key, "s:", "other:", 1), []byte("value"), ttl)
			}
			prefix := "other:"
			s, err := stores.NewSharded(stores.Shard{Store: m, Prefix: &prefix})
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
	}
	for kind, newStore := range kinds {
		t.Run(kind, func(t *testing.T) {
			s := newStore(t, map[string]time.Duration{
				"s:ending": time.Minute, "s:ending_LOCK": time.Minute, "s:long": 2 * time.Hour, "s:forever": 0,
			})
			for _, c := range []struct {
				id   string
				ttl  time.Duration
				want time.Duration
			}{
				{"ending", time.Hour, time.Hour},
				{"ending", 90 * time.Minute, 90 * time.Minute},
				{"ending", time.Second, 90 * time.Minute},
				{"long", time.Hour, 2 * time.Hour},
				{"long", 0, 2 * time.Hour},
				{"long", -time.Hour, 2 * time.Hour},
				{"forever", time.Hour, -1},
				{"missing", time.Hour, -2},
			} {
				k := stores.Key{Prefix: "s:", ID: c.id}
				if err := s.Touch(t.Context(), k, c.ttl); err != nil {
					t.Errorf("%s for %v: %v", c.id, c.ttl, err)
				}
				if got := left(t, s, k); !about(got, c.want) {
					t.Errorf("%s for %v: lives for %v, want %v", c.id, c.ttl, got, c.want)
				}
			}
			if got := left(t, s, stores.Key{Prefix: "s:", ID: "ending_LOCK"}); !about(got, time.Minute) {
				t.Errorf("the lock lives for %v", got)
			}
		})
	}
	t.Run("a hash", func(t *testing.T) {
		client := newClient(t, redisOptions(t, server.URL))
		do(t, client, "HSET s:hash a 1", "EXPIRE s:hash 60")
		s, k := newRedis(t, client, patient), stores.Key{Prefix: "s:", ID: "hash", Hash: true}
		if err := s.Touch(t.Context(), k, time.Hour); err != nil || !about(left(t, s, k), time.Hour) {
			t.Errorf("%v, lives for %v", err, left(t, s, k))
		}
	})
	t.Run("a shard that cannot", func(t *testing.T) {
		s, err := stores.NewSharded(stores.Shard{Store: struct{ stores.Store }{stores.NewMemory()}})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Touch(t.Context(), stores.Key{ID: "x"}, time.Hour); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("error %v, want ErrUnsupported", err)
		}
	})
}

// A session that is deleted while it is touched stays deleted.
func TestTouchRacesDelete(t *testing.T) {
	client := newClient(t, redisOptions(t, partstest.Redis(t).URL))
	s := newRedis(t, client, patient)
	k := stores.Key{Prefix: "s:", ID: "x"}
	for range 300 {
		do(t, client, "SET s:x value EX 100")
		var both sync.WaitGroup
		for range 4 {
			both.Go(func() {
				if err := s.Touch(t.Context(), k, time.Hour); err != nil {
					t.Error(err)
				}
			})
		}
		both.Go(func() {
			if err := client.Del(context.Background(), k.String()).Err(); err != nil {
				t.Error(err)
			}
		})
		both.Wait()
		if n, err := client.Exists(t.Context(), k.String()).Result(); n != 0 || err != nil {
			t.Fatalf("the session is there again, %v", err)
		}
	}
}

func TestTouchOutage(t *testing.T) {
	const id = "8ATkNW1g3rInD1isL8QhJY42Gy5L2puJ"
	k := stores.Key{Prefix: "sess:", ID: id}
	check := func(t *testing.T, err error, want string) {
		t.Helper()
		if err == nil || !strings.HasPrefix(err.Error(), "stores: ") || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), id) {
			t.Errorf("error %v, want one with %q and without the id", err, want)
		}
	}
	t.Run("no scripts", func(t *testing.T) {
		p := partstest.Redis(t, "--rename-command", "EVALSHA", "")
		s := newRedis(t, newClient(t, redisOptions(t, p.URL)), patient)
		check(t, s.Touch(t.Context(), k, time.Hour), "unknown command")
	})
	t.Run("no right to run scripts", func(t *testing.T) {
		opts := redisOptions(t, partstest.Redis(t).URL)
		do(t, newClient(t, opts), "ACL SETUSER reader on nopass ~* +@read +client +hello")
		opts.Username, opts.Password = "reader", "x"
		check(t, newRedis(t, newClient(t, opts), patient).Touch(t.Context(), k, time.Hour), "NOPERM")
	})
	t.Run("down", func(t *testing.T) {
		p := partstest.Redis(t)
		s := newRedis(t, newClient(t, redisOptions(t, p.URL)), nil)
		p.Kill()
		check(t, s.Touch(t.Context(), k, time.Hour), "")
	})
	for _, obeys := range []bool{false, true} {
		t.Run("hung", func(t *testing.T) {
			p := partstest.Redis(t)
			opts := redisOptions(t, p.URL)
			opts.ContextTimeoutEnabled, opts.ReadTimeout = obeys, time.Second
			client := redis.NewClient(opts)
			if err := client.Ping(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			if err := p.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			check(t, newRedis(t, client, &stores.RedisOptions{Timeout: 50 * time.Millisecond}).Touch(t.Context(), k, time.Hour), "deadline exceeded")
			if err := p.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			if err := client.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := stores.NewMemory().Touch(ctx, k, time.Hour); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
}

// What connect-redis sets when a request changes nothing, by the value alone.
func TestExpressLifetime(t *testing.T) {
	for _, c := range []struct {
		name, value string
		want        time.Duration // of the key, which has a minute left
	}{
		{"no maxAge", `{"cookie":{}}`, 10 * time.Hour},
		{"null", `{"cookie":{"originalMaxAge":null,"expires":null}}`, 10 * time.Hour},
		{"falsy", `{"cookie":{"originalMaxAge":false}}`, 10 * time.Hour},
		{"half an hour", `{"cookie":{"originalMaxAge":1800000}}`, 30 * time.Minute},
		{"expires has passed", `{"cookie":{"originalMaxAge":1800000,"expires":"2020-01-01T00:00:00.000Z"}}`, 30 * time.Minute},
		{"part of a second", `{"cookie":{"originalMaxAge":119000.5}}`, 2 * time.Minute},
		{"shorter than what is left", `{"cookie":{"originalMaxAge":1000}}`, time.Minute},
		{"zero", `{"cookie":{"originalMaxAge":0}}`, time.Minute},
		{"negative", `{"cookie":{"originalMaxAge":-1}}`, time.Minute},
		{"no number", `{"cookie":{"originalMaxAge":"1800000"}}`, time.Minute},
		{"an object", `{"cookie":{"originalMaxAge":{}}}`, time.Minute},
		{"no cookie", `{"originalMaxAge":1800000}`, time.Minute},
		{"cookie is null", `{"cookie":null}`, time.Minute},
		{"no session", `null`, time.Minute},
		{"damaged", `{"cookie":{"originalMaxAge":1800000}`, time.Minute},
		{"empty", ``, time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := stores.NewMemory()
			m.Set("sess:x", []byte(c.value), time.Minute)
			ks := stores.ExpressKeyspace()
			ks.Lifetime = 10 * time.Hour
			if err := ks.Touch(t.Context(), m, "x"); err != nil {
				t.Fatal(err)
			}
			if got := left(t, m, ks.Keys("x")[0]); !about(got, c.want) {
				t.Errorf("lives for %v, want %v", got, c.want)
			}
		})
	}
	t.Run("beyond any date", func(t *testing.T) {
		m := stores.NewMemory()
		m.Set("sess:x", []byte(`{"cookie":{"originalMaxAge":1e300}}`), time.Minute)
		ks := stores.ExpressKeyspace()
		if err := ks.Touch(t.Context(), m, "x"); err != nil || left(t, m, ks.Keys("x")[0]) < 292*365*24*time.Hour {
			t.Errorf("%v, lives for %v", err, left(t, m, ks.Keys("x")[0]))
		}
	})
}

func TestKeyspaceTouch(t *testing.T) {
	prefixes := []string{"first:", "second:", "third:"}
	for _, c := range []struct {
		name     string
		lifetime time.Duration
		before   map[string]time.Duration // by prefix; 0 is no end
		want     map[string]time.Duration
	}{
		{"the first", time.Hour, map[string]time.Duration{"first:": time.Minute}, map[string]time.Duration{"first:": time.Hour, "second:": -2, "third:": -2}},
		{"an alternative", time.Hour, map[string]time.Duration{"second:": time.Minute}, map[string]time.Duration{"first:": -2, "second:": time.Hour, "third:": -2}},
		{"the one that counts", time.Hour, map[string]time.Duration{"second:": time.Minute, "third:": time.Minute}, map[string]time.Duration{"second:": time.Hour, "third:": time.Minute}},
		{"no end", time.Hour, map[string]time.Duration{"first:": 0, "second:": time.Minute}, map[string]time.Duration{"first:": -1, "second:": time.Minute}},
		{"nowhere", time.Hour, nil, map[string]time.Duration{"first:": -2, "second:": -2, "third:": -2}},
		{"a stack that extends nothing", 0, map[string]time.Duration{"first:": time.Minute}, map[string]time.Duration{"first:": time.Minute}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := stores.NewMemory()
			for prefix, ttl := range c.before {
				m.Set(prefix+"x", []byte("value"), ttl)
			}
			ks := stores.LaravelKeyspace(nil)
			ks.Prefix, ks.Alternatives, ks.Lifetime = prefixes[0], prefixes[1:], c.lifetime
			if err := ks.Touch(t.Context(), m, "x"); err != nil {
				t.Fatal(err)
			}
			for prefix, want := range c.want {
				if got := left(t, m, stores.Key{Prefix: prefix, ID: "x"}); !about(got, want) {
					t.Errorf("%s lives for %v, want %v", prefix, got, want)
				}
			}
		})
	}
	ks := stores.PHPKeyspace()
	ks.Lifetime = -1
	if err := ks.Validate(); err == nil || !strings.Contains(err.Error(), "Lifetime is negative") {
		t.Errorf("Validate: %v", err)
	}
}
