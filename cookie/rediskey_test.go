package cookie_test

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
	"github.com/sessionbridge/sessionbridge/stores"
)

// app is a stack that accepts the ids of PHP and of Express.
func app(name, prefix string) cookie.Stack {
	s := cookie.PHP()
	s.Name, s.Keyspace.Prefix, s.Keyspace.ID.Chars = name, prefix, s.Keyspace.ID.Chars+"_"
	return s
}

func newRedisKey(tb testing.TB, stacks ...*cookie.Authenticator) *cookie.KeyAuthenticator {
	tb.Helper()
	k, err := cookie.RedisKey(stacks...)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func TestRedisKeyRefuses(t *testing.T) {
	m := stores.NewMemory()
	a := newAuth(t, m, cookie.PHP())
	for name, c := range map[string]struct {
		stacks []*cookie.Authenticator
		want   string
	}{
		"nothing":   {nil, "at least one authenticator"},
		"nil":       {[]*cookie.Authenticator{a, nil}, "was the error of New checked"},
		"twice":     {[]*cookie.Authenticator{a, a}, `two stacks are called "php"`},
		"same name": {[]*cookie.Authenticator{a, newAuth(t, m, app("php", "x:"))}, `two stacks are called "php"`},
	} {
		if k, err := cookie.RedisKey(c.stacks...); k != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v, want an error with %q", name, k, err, c.want)
		}
	}
}

func TestRedisKey(t *testing.T) {
	const both, onlyPHP, onlyExpress = "bothbothbothbothbothboth", phpSID + ",-", sid + "_"
	m := stores.NewMemory()
	m.Set("PHPREDIS_SESSION:"+phpSID, []byte("user_id|i:7;"), time.Hour)
	m.Set("PHPREDIS_SESSION:"+onlyPHP, []byte("user_id|i:7;"), time.Hour)
	m.Set("PHPREDIS_SESSION:"+both, []byte("user_id|i:7;"), time.Hour)
	m.Set("PHPREDIS_SESSION:anonymousanonymousanonymous", nil, time.Hour)
	m.Set("sess:"+onlyExpress, []byte(login42), time.Hour)
	m.Set("sess:"+both, []byte(login42), time.Hour)
	m.Set("PHPREDIS_SESSION:"+phpSID+"_LOCK", []byte("user_id|i:7;"), time.Hour)
	s := &spy{Store: m}
	k := newRedisKey(t, newAuth(t, s, cookie.PHP()), newAuth(t, s, cookie.Express("secret")))
	message := func(m bridge.Message) *bridge.Handshake {
		h := handshake(t)
		h.Message = &m
		return h
	}
	for _, c := range []struct {
		name     string
		h        *bridge.Handshake
		want     verdict
		via, key string
		lookups  []string // the prefixes that were looked under, in one round trip
		says     string
	}{
		{"of PHP", rediskey(t, phpSID, ""), accepted, "php", phpSID, []string{"PHPREDIS_SESSION:", "sess:"}, ""},
		{"of PHP's form", rediskey(t, onlyPHP, ""), accepted, "php", onlyPHP, []string{"PHPREDIS_SESSION:"}, ""},
		{"of Express' form", rediskey(t, onlyExpress, ""), accepted, "express", onlyExpress, []string{"sess:"}, ""},
		{"named", rediskey(t, phpSID, "php"), accepted, "php", phpSID, []string{"PHPREDIS_SESSION:"}, ""},
		{"of another than named", rediskey(t, phpSID, "express"), noCredential, "", "", []string{"sess:"}, `no such session under "sess:"; if the user is logged in`},
		{"in both", rediskey(t, both, ""), rejected, "", "", []string{"PHPREDIS_SESSION:", "sess:"}, `must name the "stack"`},
		{"in both, named", rediskey(t, both, "express"), accepted, "express", both, []string{"sess:"}, ""},
		{"in neither", rediskey(t, strings.Repeat("x", 32), ""), noCredential, "", "", []string{"PHPREDIS_SESSION:", "sess:"}, `no such session under "PHPREDIS_SESSION:" or "sess:"; if the user is logged in`},
		{"nobody's", rediskey(t, "anonymousanonymousanonymous", ""), noCredential, "", "", []string{"PHPREDIS_SESSION:", "sess:"}, "nobody is logged in"},
		{"named wrongly", rediskey(t, phpSID, "laravel"), rejected, "", "", nil, "names a stack that is not configured"},
		{"named in another case", rediskey(t, phpSID, "PHP"), rejected, "", "", nil, "names a stack that is not configured"},
		{"of another form than the named's", rediskey(t, onlyPHP, "express"), rejected, "", "", nil, "not a session id"},
		{"empty", rediskey(t, "", ""), rejected, "", "", nil, "not a session id"},
		{"short", rediskey(t, "x", ""), rejected, "", "", nil, "not a session id"},
		{"long", rediskey(t, strings.Repeat("x", 1<<20), ""), rejected, "", "", nil, "not a session id"},
		{"lock key", rediskey(t, phpSID+"_LOCK", "php"), rejected, "", "", nil, "not a session id"},
		{"whole key", rediskey(t, "PHPREDIS_SESSION:"+phpSID, ""), rejected, "", "", nil, "not a session id: it is a whole key"},
		{"whole key of Express", rediskey(t, "sess:"+onlyExpress, ""), rejected, "", "", nil, "not a session id: it is a whole key"},
		{"signed cookie", rediskey(t, "s:"+sid+"."+signature("secret", sid), ""), rejected, "", "", nil, "not a session id: it is the cookie's value"},
		{"signed cookie, percent-encoded", rediskey(t, "s%3A"+sid+"."+url.QueryEscape(signature("secret", sid)), "express"), rejected, "", "", nil, "not a session id: it is the cookie's value"},
		{"forged cookie", rediskey(t, "s:"+sid+"."+signature("another", sid), ""), rejected, "", "", nil, "not a session id: its byte"},
		{"glob", rediskey(t, strings.Repeat("?", 32), ""), rejected, "", "", nil, "not a session id"},
		{"protocol", rediskey(t, phpSID+"\r\nFLUSHALL\r\n", ""), rejected, "", "", nil, "not a session id"},
		{"NUL", rediskey(t, phpSID+"\x00", ""), rejected, "", "", nil, "not a session id"},
		{"malformed", message(bridge.Message{Kind: bridge.MessageRedisKey, Malformed: true}), rejected, "", "", nil, "must be strings"},
		{"malformed with an id", message(bridge.Message{Kind: bridge.MessageRedisKey, SessionID: phpSID, Malformed: true}), rejected, "", "", nil, "must be strings"},
		{"token", message(bridge.Message{Kind: bridge.MessageToken, Token: phpSID}), noCredential, "", "", nil, "no message yet"},
		{"no message", handshake(t, "PHPSESSID="+phpSID), noCredential, "", "", nil, "no message yet"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.fetches = nil
			secret := ""
			if c.h.Message != nil && len(c.h.Message.SessionID) > 2 {
				secret = c.h.Message.SessionID
			}
			id, got, err := authenticate(t, k, c.h, secret)
			if got != c.want || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Fatalf("%s (%v), want %s with %q", got, err, c.want, c.says)
			}
			if id != nil && (id.Via != c.via || !strings.HasSuffix(id.Key, ":"+c.key)) {
				t.Errorf("identity by %q of key %q", id.Via, id.Key)
			}
			var looked []string
			for _, keys := range s.fetches {
				for _, key := range keys {
					looked = append(looked, key.Prefix)
				}
			}
			if len(s.fetches) > 1 || !slices.Equal(looked, c.lookups) {
				t.Errorf("looked under %q in %d round trips, want %q", looked, len(s.fetches), c.lookups)
			}
		})
	}
}

// Each store is asked once, and all at the same time.
func TestRedisKeySeveralStores(t *testing.T) {
	var arrived sync.WaitGroup
	arrived.Add(2)
	var trips [2]spy
	for i := range trips {
		trips[i] = spy{Store: stores.NewMemory(), before: func([]stores.Key) {
			arrived.Done()
			arrived.Wait() // for ever, if the other were asked afterwards
		}}
	}
	k := newRedisKey(t,
		newAuth(t, &trips[0], app("a", "a:")), newAuth(t, &trips[1], app("b", "b:")),
		newAuth(t, &trips[0], app("c", "c:")), newAuth(t, &trips[1], app("d", "d:")))
	trips[1].Store.(*stores.Memory).Set("d:"+phpSID, []byte("user_id|i:9;"), 0)
	id, _, err := authenticate(t, k, rediskey(t, phpSID, ""), phpSID)
	if err != nil || id.User != "9" || id.Via != "d" || !strings.HasPrefix(id.Key, trips[1].Name()+"/d-") || !strings.HasSuffix(id.Key, "/d:"+phpSID) {
		t.Errorf("= %+v, %v", id, err)
	}
	for i, want := range []string{"a: c:", "b: d:"} {
		if f := trips[i].fetches; len(f) != 1 || len(f[0]) != 2 || f[0][0].Prefix+" "+f[0][1].Prefix != want {
			t.Errorf("store %d was asked for %v, want %s", i, f, want)
		}
	}
}

// While one of the stores cannot be asked, it cannot be known that the session
// is in the other alone.
func TestRedisKeyOutage(t *testing.T) {
	up, down := stores.NewMemory(), errors.New("connection refused")
	up.Set("a:"+phpSID, []byte("user_id|i:9;"), 0)
	k := newRedisKey(t, newAuth(t, up, app("a", "a:")), newAuth(t, &spy{Store: stores.NewMemory(), err: down}, app("b", "b:")))
	if err := expect(t, k, rediskey(t, phpSID, ""), unknown, "", phpSID); !errors.Is(err, down) || !strings.HasPrefix(err.Error(), "rediskey: ") {
		t.Errorf("error %v", err)
	}
	expect(t, k, rediskey(t, phpSID, "a"), accepted, "9", phpSID)
	expect(t, k, rediskey(t, phpSID, "b"), unknown, "", phpSID)
}

// commands counts what a Redis client sends.
type commands struct{ single, pipelines atomic.Int64 }

func (c *commands) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *commands) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if !isSetup(cmd) {
			c.single.Add(1)
		}
		return next(ctx, cmd)
	}
}

func (c *commands) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if !isSetup(cmds[0]) {
			c.pipelines.Add(1)
		}
		return next(ctx, cmds)
	}
}

// isSetup reports whether a command is one by which a client sets up a
// connection, whenever it needs one.
func isSetup(cmd redis.Cmder) bool { return cmd.Name() == "hello" || cmd.Name() == "client" }

// On a real server: one pipeline for a login, nothing for an id that no stack
// has made.
func TestRoundTripsOnRedis(t *testing.T) {
	opts, err := redis.ParseURL(partstest.Redis(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(opts)
	t.Cleanup(func() { _ = client.Close() })
	for key, value := range map[string]string{"PHPREDIS_SESSION:" + phpSID: "user_id|i:7;", "sess:" + sid: login42} {
		if err := client.Set(t.Context(), key, value, time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
	}
	store, err := stores.NewRedis(client, &stores.RedisOptions{Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	count := &commands{}
	client.AddHook(count)
	php, express := newAuth(t, store, cookie.PHP()), newAuth(t, store, cookie.Express("secret"))
	k := newRedisKey(t, php, express)
	for _, c := range []struct {
		name      string
		a         bridge.Authenticator
		h         *bridge.Handshake
		want      verdict
		user      string
		pipelines int64
	}{
		{"PHP", php, handshake(t, "PHPSESSID="+phpSID), accepted, "7", 1},
		{"Express", express, handshake(t, "connect.sid="+encoded("secret", sid)), accepted, "42", 1},
		{"rediskey", k, rediskey(t, phpSID, ""), accepted, "7", 1},
		{"unknown rediskey", k, rediskey(t, strings.Repeat("x", 30), ""), noCredential, "", 1},
		{"no cookie", php, handshake(t), noCredential, "", 0},
		{"malformed PHPSESSID", php, handshake(t, "PHPSESSID="+phpSID+"_LOCK"), rejected, "", 0},
		{"forged connect.sid", express, handshake(t, "connect.sid="+encoded("other", sid)), rejected, "", 0},
		{"malformed rediskey", k, rediskey(t, "*", ""), rejected, "", 0},
		{"unknown stack", k, rediskey(t, phpSID, "x"), rejected, "", 0},
	} {
		count.single.Store(0)
		count.pipelines.Store(0)
		expect(t, c.a, c.h, c.want, c.user, phpSID, sid)
		if s, p := count.single.Load(), count.pipelines.Load(); s != 0 || p != c.pipelines {
			t.Errorf("%s: %d commands and %d pipelines, want 0 and %d", c.name, s, p, c.pipelines)
		}
	}
}
