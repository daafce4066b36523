package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"
)

// stormReads is the bar: so many sessions read at the most.
const stormReads = 100

// stormSettle is how long after the storm a socket may at most still be there
// that must not.
const stormSettle = 5 * time.Second

type stormScale struct {
	sockets int
	window  time.Duration // in which they reconnect
	logouts int           // meanwhile
}

// stormResult is what came of one storm.
type stormResult struct {
	name       string
	sockets    int
	dropped    int
	took       time.Duration
	reads      int64 // commands that read a session's value
	lifetimes  int64 // commands that read a session's lifetime
	loggedOut  int
	refused    int           // of those: came back too late
	ended      int           // of those: ended by the logout
	longest    time.Duration // from a logout to the end of the socket
	survived   int           // of those: still there
	wronglyOut int           // not logged out, and not connected in the end
}

// measureStorm cuts all connections and lets the clients come back, with the
// cache and without.
func measureStorm(ctx context.Context, scale stormScale) ([]stormResult, error) {
	var all []stormResult
	for _, s := range []struct {
		name  string
		cache int64
	}{{"cache", 0}, {"no cache", -1}} {
		r, err := storm(ctx, s.cache, scale)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		r.name = s.name
		all = append(all, *r)
	}
	return all, nil
}

func storm(ctx context.Context, cacheBytes int64, scale stormScale) (*stormResult, error) {
	if err := allowFiles(scale.sockets + filesSpare); err != nil {
		return nil, err
	}
	server, rdb, err := startRedis(ctx)
	if err != nil {
		return nil, err
	}
	defer server.Stop()
	defer rdb.Close()
	keys := newSecrets()
	svc, err := startService(ctx, &Config{Hook: HookBridge, RedisURL: server.URL,
		Stacks: []Stack{{"express", keys.express}}, CacheBytes: cacheBytes, Droppable: true})
	if err != nil {
		return nil, err
	}
	defer svc.stop()
	all, err := expressSessions(ctx, rdb, keys.express, scale.sockets)
	if err != nil {
		return nil, err
	}
	if cacheBytes >= 0 {
		if err := awaitCache(ctx, rdb, svc.address, all[0]); err != nil {
			return nil, err
		}
	}
	sockets, err := dialAll(ctx, svc.address, all)
	if err != nil {
		return nil, err
	}
	defer func() { closeAll(sockets) }()

	before, err := commandCounts(ctx, rdb)
	if err != nil {
		return nil, err
	}
	r := &stormResult{sockets: scale.sockets, loggedOut: scale.logouts}
	if err := svc.rpc.Call("Service.Drop", struct{}{}, &r.dropped); err != nil {
		return nil, err
	}
	for _, s := range sockets {
		e, err := s.wait(ctx, stormSettle)
		if err != nil {
			return nil, err
		}
		if e.err == nil {
			return nil, errors.New("a socket outlived its connection")
		}
	}
	began := time.Now()
	clients := make([]stormClient, scale.sockets)
	leaving := rand.Perm(scale.sockets)[:scale.logouts]
	for _, i := range leaving {
		clients[i].leaves = true
	}
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() { clients[i].come(ctx, svc.address, all[i].cookie, rand.N(scale.window)) })
	}
	for _, i := range leaving {
		wg.Go(func() { clients[i].logOut(ctx, rdb, all[i].key, rand.N(scale.window)) })
	}
	wg.Wait()
	r.took = time.Since(began)
	for i := range clients {
		c := &clients[i]
		sockets[i] = c.socket
		if err := errors.Join(c.failed, c.logoutErr); err != nil {
			return nil, err
		}
		if !c.leaves {
			if c.socket == nil {
				r.wronglyOut++
			}
			continue
		}
		if c.socket == nil {
			r.refused++
			continue
		}
		e, err := c.wait(ctx, stormSettle)
		switch {
		case err != nil:
			return nil, err
		case e.closeCode != 3000:
			r.survived++
		default:
			r.ended++
			r.longest = max(r.longest, e.close.Sub(c.leftAt))
		}
	}
	for i := range clients {
		if c := &clients[i]; !c.leaves && c.socket != nil {
			select {
			case <-c.ended:
				r.wronglyOut++
			default:
			}
		}
	}
	after, err := commandCounts(ctx, rdb)
	if err != nil {
		return nil, err
	}
	r.reads, r.lifetimes = readsBetween(before, after)
	return r, nil
}

// awaitCache waits until a handshake reads nothing: a service that has just
// started keeps nothing before it is told of changes.
func awaitCache(ctx context.Context, rdb *redis.Client, address string, of session) error {
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); {
		before, err := commandCounts(ctx, rdb)
		if err != nil {
			return err
		}
		s, err := dial(ctx, address, of.cookie)
		if err != nil {
			return err
		}
		_ = s.ws.Close()
		after, err := commandCounts(ctx, rdb)
		if err != nil {
			return err
		}
		if values, lifetimes := readsBetween(before, after); values+lifetimes == 0 {
			return nil
		}
		if err := pause(ctx, settleInterval); err != nil {
			return err
		}
	}
	return fmt.Errorf("each handshake still reads its session after %v: nothing is cached", startTimeout)
}

// stormClient comes back after its connection was cut.
type stormClient struct {
	*socket // nil: refused, or not yet there
	failed  error

	leaves    bool
	leftAt    time.Time
	logoutErr error
}

func (c *stormClient) come(ctx context.Context, address, cookie string, after time.Duration) {
	if c.failed = pause(ctx, after); c.failed != nil {
		return
	}
	s, err := dial(ctx, address, cookie)
	refused, closed := (*refusedError)(nil), (*websocket.CloseError)(nil)
	switch {
	case err == nil:
		c.socket = s
	case errors.As(err, &refused) && refused.status == http.StatusUnauthorized: // right only if it leaves
	case c.leaves && errors.As(err, &closed): // logged out as it came
	default:
		c.failed = fmt.Errorf("coming back: %w", err)
	}
}

func (c *stormClient) logOut(ctx context.Context, rdb *redis.Client, key string, after time.Duration) {
	if pause(ctx, after) != nil {
		return // come says so
	}
	c.leftAt = time.Now()
	c.logoutErr = rdb.Del(ctx, key).Err()
}

// readsValue and readsLifetime are Redis' commands by which a session can be
// read. Nobody but the service reads while they are counted.
var (
	readsValue = map[string]bool{"get": true, "getrange": true, "substr": true, "getex": true, "mget": true, "dump": true,
		"hgetall": true, "hmget": true, "hget": true, "eval": true, "evalsha": true, "eval_ro": true, "evalsha_ro": true,
		"fcall": true, "fcall_ro": true}
	readsLifetime = map[string]bool{"ttl": true, "pttl": true, "expiretime": true, "pexpiretime": true, "exists": true, "strlen": true}
)

// readsBetween returns how often sessions were read between two countings.
func readsBetween(before, after map[string]int64) (values, lifetimes int64) {
	for name, n := range after {
		switch n -= before[name]; {
		case readsValue[name]:
			values += n
		case readsLifetime[name]:
			lifetimes += n
		}
	}
	return values, lifetimes
}

// commandCounts returns how often each command has been called.
func commandCounts(ctx context.Context, rdb *redis.Client) (map[string]int64, error) {
	info, err := rdb.Info(ctx, "commandstats").Result()
	if err != nil {
		return nil, err
	}
	counts := map[string]int64{}
	for line := range strings.Lines(info) {
		name, stats, ok := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		if !ok {
			continue
		}
		calls, _, _ := strings.Cut(stats, ",")
		if counts[name], err = strconv.ParseInt(calls, 10, 64); err != nil {
			return nil, fmt.Errorf("INFO commandstats: %w", err)
		}
	}
	if len(counts) == 0 {
		return nil, errors.New("INFO commandstats has no commands")
	}
	return counts, nil
}

func stormErr(all []stormResult) error {
	var errs []error
	for _, r := range all {
		if r.survived > 0 {
			errs = append(errs, fmt.Errorf("%s: %d sockets outlived a logout during the storm", r.name, r.survived))
		}
		if r.wronglyOut > 0 {
			errs = append(errs, fmt.Errorf("%s: %d sockets are missing after the storm", r.name, r.wronglyOut))
		}
	}
	return errors.Join(errs...)
}

func stormTable(all []stormResult) *table {
	t := &table{columns: []string{"service", "sockets", "came back within", "reads of values", "of lifetimes", "reads ÷ sockets",
		"logouts meanwhile", "refused", "ended", "longest", "survived", "wrongly out", "bar"}}
	for _, r := range all {
		bar := ""
		if r.name == "cache" {
			bar = against(r.reads, stormReads, true, fmt.Sprintf("reads < %d", stormReads))
		}
		t.add(r.name, fmt.Sprint(r.sockets), fmt.Sprintf("%.1f s", r.took.Seconds()), fmt.Sprint(r.reads), fmt.Sprint(r.lifetimes),
			fmt.Sprintf("%.4f", float64(r.reads)/float64(r.sockets)), fmt.Sprint(r.loggedOut), fmt.Sprint(r.refused), fmt.Sprint(r.ended),
			millis(r.longest), fmt.Sprint(r.survived), fmt.Sprint(r.wronglyOut), bar)
	}
	return t
}
