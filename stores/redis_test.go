package stores_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/stores"
)

// roundTrips counts what a client sends.
type roundTrips struct{ pipelines, commands, single atomic.Int64 }

func (h *roundTrips) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *roundTrips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if !isSetup(cmd) {
			h.single.Add(1)
		}
		return next(ctx, cmd)
	}
}

func (h *roundTrips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if !isSetup(cmds[0]) {
			h.pipelines.Add(1)
			h.commands.Add(int64(len(cmds)))
		}
		return next(ctx, cmds)
	}
}

// isSetup reports whether a command is one by which a client sets up a
// connection, whenever it needs one.
func isSetup(cmd redis.Cmder) bool { return cmd.Name() == "hello" || cmd.Name() == "client" }

func redisOptions(t testing.TB, url string) *redis.Options {
	t.Helper()
	opts, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	return opts
}

func newClient(t testing.TB, opts *redis.Options) *redis.Client {
	t.Helper()
	client := redis.NewClient(opts)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func newRedis(t testing.TB, client redis.UniversalClient, opts *stores.RedisOptions) *stores.Redis {
	t.Helper()
	s, err := stores.NewRedis(client, opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// patient is for a server that answers, however busy the machine is.
var patient = &stores.RedisOptions{Timeout: 30 * time.Second}

// do runs commands on a server to prepare a test.
func do(t testing.TB, client redis.UniversalClient, commands ...string) {
	t.Helper()
	for _, c := range commands {
		var args []any
		for _, a := range strings.Fields(c) {
			args = append(args, strings.Trim(a, "'"))
		}
		if err := client.Do(t.Context(), args...).Err(); err != nil {
			t.Fatalf("%s: %v", c, err)
		}
	}
}

func TestRedisFetch(t *testing.T) {
	client := newClient(t, redisOptions(t, partstest.Redis(t).URL))
	do(t, client,
		"SET s:text value PX 60000",
		"SET s:forever value",
		"SET s:empty '' EX 60",
		"SET s:long value",
		"EXPIRE s:long 10000000000", // 317 years, more than a Duration holds
		"HSET s:hash a 1 b ''",
		"EXPIRE s:hash 60",
		"RPUSH s:list a",
		"SETRANGE s:limit 8388607 x",
		"SETRANGE s:over 8388608 x")
	limit := make([]byte, stores.MaxValue)
	limit[stores.MaxValue-1] = 'x'
	cases := []struct {
		name string
		key  stores.Key
		want stores.Record
	}{
		{"text", stores.Key{Prefix: "s:", ID: "text"}, stores.Record{Found: true, Value: []byte("value"), TTL: time.Minute}},
		{"no end", stores.Key{Prefix: "s:", ID: "forever"}, stores.Record{Found: true, Value: []byte("value"), TTL: -1}},
		{"an end beyond any Duration", stores.Key{Prefix: "s:", ID: "long"}, stores.Record{Found: true, Value: []byte("value"), TTL: -1}},
		{"empty string", stores.Key{Prefix: "s:", ID: "empty"}, stores.Record{Found: true, Value: []byte{}, TTL: time.Minute}},
		{"missing", stores.Key{Prefix: "s:", ID: "missing"}, stores.Record{}},
		{"missing hash", stores.Key{Prefix: "s:", ID: "missing", Hash: true}, stores.Record{}},
		{"hash", stores.Key{Prefix: "s:", ID: "hash", Hash: true}, stores.Record{Found: true, Fields: map[string]string{"a": "1", "b": ""}, TTL: time.Minute}},
		{"hash read as string", stores.Key{Prefix: "s:", ID: "hash"}, stores.Record{Found: true, Err: stores.ErrWrongType}},
		{"string read as hash", stores.Key{Prefix: "s:", ID: "text", Hash: true}, stores.Record{Found: true, Err: stores.ErrWrongType}},
		{"list", stores.Key{Prefix: "s:", ID: "list"}, stores.Record{Found: true, Err: stores.ErrWrongType}},
		{"as long as allowed", stores.Key{Prefix: "s:", ID: "limit"}, stores.Record{Found: true, Value: limit, TTL: -1}},
		{"a byte too long", stores.Key{Prefix: "s:", ID: "over"}, stores.Record{Found: true, Err: stores.ErrTooLarge}},
	}
	equal := cmp.Options{
		cmp.Comparer(func(a, b error) bool { return errors.Is(a, b) || errors.Is(b, a) }),
		cmp.Comparer(func(a, b []byte) bool { return bytes.Equal(a, b) }),
		// Some of a TTL passes before it is read.
		cmp.Comparer(func(a, b time.Duration) bool { return a == b || a > 0 && b > 0 && (a-b).Abs() < 10*time.Second }),
	}
	store := newRedis(t, client, patient)
	var all []stores.Key
	for _, c := range cases {
		all = append(all, c.key)
		t.Run(c.name, func(t *testing.T) {
			got, err := store.Fetch(t.Context(), c.key)
			if err != nil {
				t.Fatal(err)
			}
			if !cmp.Equal([]stores.Record{c.want}, got, equal) {
				got[0].Value = nil
				t.Errorf("record = %+v (without its value), want %+.200v", got[0], c.want)
			}
		})
	}
	t.Run("all at once, in order", func(t *testing.T) {
		counted := &roundTrips{}
		client.AddHook(counted)
		got, err := store.Fetch(t.Context(), all...)
		if err != nil || len(got) != len(all) {
			t.Fatalf("%d records, %v", len(got), err)
		}
		for i, c := range cases {
			if !cmp.Equal(c.want, got[i], equal) {
				t.Errorf("%s: another record", c.name)
			}
		}
		if p, n, s := counted.pipelines.Load(), counted.commands.Load(), counted.single.Load(); p != 1 || n != int64(2*len(all)) || s != 0 {
			t.Errorf("%d pipelines with %d commands, and %d commands beside, want 1, %d, 0", p, n, s, 2*len(all))
		}
	})
	t.Run("no keys", func(t *testing.T) {
		if got, err := store.Fetch(t.Context()); len(got) != 0 || err != nil {
			t.Errorf("= %v, %v", got, err)
		}
	})
}

// A value that is far too long costs no more than the limit on the wire.
func TestRedisDoesNotTransferWhatItRefuses(t *testing.T) {
	client := newClient(t, redisOptions(t, partstest.Redis(t).URL))
	do(t, client, "SETRANGE s:huge 100000000 x")
	sent := func() int {
		info, err := client.InfoMap(t.Context(), "stats").Result()
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(info["Stats"]["total_net_output_bytes"])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := sent()
	got, err := newRedis(t, client, patient).Fetch(t.Context(), stores.Key{Prefix: "s:", ID: "huge"})
	if err != nil || !errors.Is(got[0].Err, stores.ErrTooLarge) || got[0].Value != nil {
		t.Fatalf("error %v", err)
	}
	if n := sent() - before; n > stores.MaxValue+128<<10 {
		t.Errorf("%d bytes were sent for a limit of %d", n, stores.MaxValue)
	}
}

// What Redis answers instead of a value is an outage, and names no session.
func TestRedisRefusals(t *testing.T) {
	const id = "8ATkNW1g3rInD1isL8QhJY42Gy5L2puJ"
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"a command is disabled", []string{"--rename-command", "GETRANGE", ""}, "unknown command 'getrange'"},
		{"a later command is disabled", []string{"--rename-command", "PTTL", ""}, "unknown command 'pttl'"},
		{"a password is required", []string{"--requirepass", "secret"}, "NOAUTH"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := newClient(t, redisOptions(t, partstest.Redis(t, c.args...).URL))
			got, err := newRedis(t, client, patient).Fetch(t.Context(), stores.Key{Prefix: "sess:", ID: id})
			checkOutage(t, got, err)
			if err != nil && (!strings.Contains(strings.ToLower(err.Error()), strings.ToLower(c.want)) || strings.Contains(err.Error(), id)) {
				t.Errorf("error %q, want one with %q and without the id", err, c.want)
			}
		})
	}
}

func checkOutage(t *testing.T, got []stores.Record, err error) {
	t.Helper()
	if err == nil || got != nil || errors.Is(err, stores.ErrNotFound) || errors.Is(err, stores.ErrExpired) || errors.Is(err, stores.ErrNoUser) {
		t.Errorf("= %v, %v, want an outage", got, err)
	}
	if err != nil && !strings.HasPrefix(err.Error(), "stores: ") {
		t.Errorf("error %q does not name its step", err)
	}
}

func TestRedisDown(t *testing.T) {
	p := partstest.Redis(t)
	client := newClient(t, redisOptions(t, p.URL))
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	store := newRedis(t, client, &stores.RedisOptions{Timeout: 200 * time.Millisecond})
	p.Kill()
	got, err := store.Fetch(t.Context(), stores.Key{ID: "x"})
	checkOutage(t, got, err)
	ks := stores.ExpressKeyspace()
	session, err := ks.Load(t.Context(), store, "x")
	if session != nil || err == nil || errors.Is(err, stores.ErrNotFound) {
		t.Errorf("Load = %v, %v", session, err)
	}
}

func TestRedisContextCancelled(t *testing.T) {
	url := partstest.Redis(t).URL
	for _, obeys := range []bool{false, true} {
		t.Run("ContextTimeoutEnabled="+strconv.FormatBool(obeys), func(t *testing.T) {
			opts := redisOptions(t, url)
			opts.ContextTimeoutEnabled = obeys
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			got, err := newRedis(t, newClient(t, opts), nil).Fetch(ctx, stores.Key{ID: "x"})
			checkOutage(t, got, err)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want context.Canceled", err)
			}
		})
	}
}

func TestNewRedis(t *testing.T) {
	client := newClient(t, &redis.Options{Addr: net.JoinHostPort("127.0.0.1", "1")})
	for _, c := range []struct {
		name   string
		client redis.UniversalClient
		opts   *stores.RedisOptions
		want   string // "" is no error
	}{
		{"defaults", client, nil, ""},
		{"timeout", client, &stores.RedisOptions{Timeout: time.Minute}, ""},
		{"no client", nil, nil, "client is nil"},
		{"nil pointer", (*redis.Client)(nil), nil, "client is nil"},
		{"nil cluster", (*redis.ClusterClient)(nil), nil, "client is nil"},
		{"negative timeout", client, &stores.RedisOptions{Timeout: -1}, "Timeout is negative"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := stores.NewRedis(c.client, c.opts)
			if c.want == "" {
				if s == nil || err != nil {
					t.Errorf("= %v, %v", s, err)
				}
			} else if s != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("= %v, %v, want an error with %q", s, err, c.want)
			}
		})
	}
	a, b := newRedis(t, client, nil), newRedis(t, client, nil)
	if a.Name() == b.Name() || a.Name() == "" {
		t.Errorf("two stores are called %q and %q", a.Name(), b.Name())
	}
}
