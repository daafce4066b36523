package stores_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/internal/vectors"
	"github.com/sessionbridge/sessionbridge/stores"
)

func ptr[T any](v T) *T { return &v }

func TestParseSavePath(t *testing.T) {
	tcp := func(addr string) stores.SavePathServer {
		return stores.SavePathServer{Network: "tcp", Addr: addr, Weight: 1}
	}
	with := func(s stores.SavePathServer, change func(s *stores.SavePathServer)) stores.SavePathServer {
		change(&s)
		return s
	}
	for _, c := range []struct {
		path string
		want []stores.SavePathServer
		err  string
	}{
		{path: "tcp://127.0.0.1:6398", want: []stores.SavePathServer{tcp("127.0.0.1:6398")}},
		{path: `"tcp://localhost"`, want: []stores.SavePathServer{tcp("localhost:6379")}},
		{path: "'localhost:6380'", want: []stores.SavePathServer{tcp("localhost:6380")}},
		{path: "tcp://[::1]:6380/", want: []stores.SavePathServer{tcp("[::1]:6380")}},
		{path: "tcp://[::1]", want: []stores.SavePathServer{tcp("[::1]:6379")}},
		{path: "tcp://10.0.0.1:6379?database=2&prefix=sess:&timeout=2.5&weight=1", want: []stores.SavePathServer{
			with(tcp("10.0.0.1:6379"), func(s *stores.SavePathServer) {
				s.Database, s.Prefix, s.Timeout = 2, ptr("sess:"), 2500*time.Millisecond
			})}},
		{path: "tcp://h:1?weight=1&prefix=A:, tcp://h:2?weight=2&prefix=B:\ttcp://h:3", want: []stores.SavePathServer{
			with(tcp("h:1"), func(s *stores.SavePathServer) { s.Prefix = ptr("A:") }),
			with(tcp("h:2"), func(s *stores.SavePathServer) { s.Prefix, s.Weight = ptr("B:"), 2 }),
			tcp("h:3"),
		}},
		{path: "tcp://h:1?prefix=", want: []stores.SavePathServer{with(tcp("h:1"), func(s *stores.SavePathServer) { s.Prefix = ptr("") })}},
		{path: "tcp://h:1?prefix=a%3Ab+c%zz", want: []stores.SavePathServer{with(tcp("h:1"), func(s *stores.SavePathServer) { s.Prefix = ptr("a:b c%zz") })}},
		{path: "tcp://h:1?auth=p%26w", want: []stores.SavePathServer{with(tcp("h:1"), func(s *stores.SavePathServer) { s.Password = "p&w" })}},
		{path: "tcp://h:1?auth[]=u&auth[]=p", want: []stores.SavePathServer{with(tcp("h:1"), func(s *stores.SavePathServer) { s.Username, s.Password = "u", "p" })}},
		{path: "tcp://h:1?auth[user]=u&auth[pass]=p", want: []stores.SavePathServer{with(tcp("h:1"), func(s *stores.SavePathServer) { s.Username, s.Password = "u", "p" })}},
		{path: "tcp://h:1?auth[pass]=p&auth[user]=u", want: []stores.SavePathServer{with(tcp("h:1"), func(s *stores.SavePathServer) { s.Username, s.Password = "u", "p" })}},
		{path: "tls://h:1?read_timeout=1&persistent=1", want: []stores.SavePathServer{with(tcp("h:1"), func(s *stores.SavePathServer) { s.TLS, s.ReadTimeout = true, time.Second })}},
		{path: "unix:///run/redis.sock?database=3", want: []stores.SavePathServer{{Network: "unix", Addr: "/run/redis.sock", Weight: 1, Database: 3}}},
		{path: "/run/redis.sock", want: []stores.SavePathServer{{Network: "unix", Addr: "/run/redis.sock", Weight: 1}}},
		{path: "", err: "tcp://127.0.0.1:6379"},
		{path: " , ", err: "tcp://127.0.0.1:6379"},
		{path: "tcp://", err: "server 1: it has no host"},
		{path: "tcp://h:1, tcp://h:port", err: "server 2: it has no host"},
		{path: "tcp://h:99999", err: "no host and port"},
		{path: "unix://", err: "no path"},
		{path: "tcp://h?weight=0", err: "weight"},
		{path: "tcp://h?weight=x", err: "weight"},
		{path: "tcp://h?database=-1", err: "database"},
		{path: "tcp://h?timeout=NaN", err: "timeout"},
		{path: "seed[]=h:1&seed[]=h:2", err: "rediscluster"},
		{path: "tcp://h?auth=secret&weight=secret", err: "weight"},
	} {
		t.Run(c.path, func(t *testing.T) {
			got, err := stores.ParseSavePath(c.path)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "secret") {
					t.Errorf("ParseSavePath = %v, want something with %q", err, c.err)
				}
				return
			}
			if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
				t.Errorf("ParseSavePath (-want +got), %v:\n%s", err, diff)
			}
		})
	}
}

// Which of two servers, of weight 1 and 2, a real phpredis chose.
func TestSharding(t *testing.T) {
	stock := []*stores.Memory{stores.NewMemory(), stores.NewMemory()}
	prefixes := []string{"A:", "B:"}
	s, err := stores.NewSharded(
		stores.Shard{Store: stock[0], Weight: 1, Prefix: &prefixes[0]},
		stores.Shard{Store: stock[1], Weight: 2, Prefix: &prefixes[1]},
	)
	if err != nil {
		t.Fatal(err)
	}
	ks := stores.PHPKeyspace()
	var keys []stores.Key
	for _, c := range vectors.Read[struct {
		ID     string
		Server int
	}](t, "sharding.json") {
		stock[c.Server].Set(prefixes[c.Server]+c.ID, []byte("user_id|s:18:\""+c.ID+"\";"), time.Hour)
		keys = append(keys, ks.Keys(c.ID)...)
		if got := s.Key(ks.Keys(c.ID)[0]).Prefix; got != prefixes[c.Server] {
			t.Errorf("%s: key with prefix %q, want %q", c.ID, got, prefixes[c.Server])
		}
	}
	records, err := s.Fetch(context.Background(), keys...)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range records {
		session, err := ks.Decode(r, time.Now())
		if err != nil {
			t.Errorf("%s: %v", keys[i].ID, err)
			continue
		}
		if user, err := stores.UserID(session, "user_id"); user != keys[i].ID || err != nil {
			t.Errorf("%s: the session of %q, %v", keys[i].ID, user, err)
		}
	}
}

func TestShardedNew(t *testing.T) {
	m := stores.NewMemory()
	for name, shards := range map[string][]stores.Shard{
		"none":     nil,
		"no store": {{}},
		"negative": {{Store: m, Weight: -1}},
		"huge":     {{Store: m, Weight: 1 << 30}},
	} {
		if _, err := stores.NewSharded(shards...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	a, err := stores.NewSharded(stores.Shard{Store: m})
	if err != nil {
		t.Fatal(err)
	}
	b, err := stores.NewSharded(stores.Shard{Store: m})
	if err != nil {
		t.Fatal(err)
	}
	if a.Name() == b.Name() || a.Name() == m.Name() {
		t.Errorf("names %q, %q, %q are not unique", a.Name(), b.Name(), m.Name())
	}
	m.Set("PHPREDIS_SESSION:ab", nil, 0) // shorter than the four bytes
	ks := stores.PHPKeyspace()
	if _, err := ks.Load(context.Background(), a, "ab"); err != nil {
		t.Errorf("a short id: %v", err)
	}
}

// The store over real connections: prefix, database, and no answer from one
// server, which is an error and never another server's "not found".
func TestSavePath(t *testing.T) {
	one, two := miniredis.RunT(t), miniredis.RunT(t)
	two.RequireAuth("pass word")
	s, err := stores.NewSavePath("tcp://"+one.Addr()+"?database=3&prefix=A:, tcp://"+two.Addr()+"?auth=pass+word", &stores.RedisOptions{Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	ks := stores.PHPKeyspace()
	const even, odd = "baaaaaaaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaaaaaaa" // 'b' is even: the last server
	if err := errors.Join(one.DB(3).Set("A:"+odd, "user_id|i:1;"), two.Set("PHPREDIS_SESSION:"+even, "user_id|i:2;")); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{odd: "1", even: "2"} {
		session, err := ks.Load(context.Background(), s, id)
		if err != nil {
			t.Fatal(err)
		}
		if user, err := stores.UserID(session, "user_id"); user != want || err != nil {
			t.Errorf("%s: user %q, %v, want %q", id, user, err, want)
		}
	}
	one.Close()
	if _, err := ks.Load(context.Background(), s, odd); err == nil || errors.Is(err, stores.ErrNotFound) {
		t.Errorf("with its server gone: %v, want an error that is not ErrNotFound", err)
	}
	if _, err := ks.Load(context.Background(), s, even); err != nil {
		t.Errorf("with the other server gone: %v", err)
	}
	if _, err := stores.NewSavePath("", nil); err == nil {
		t.Error("an empty save_path passes")
	}
}
