package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/internal/parts"
)

// logoutPause is the longest pause before a logout; on average it is half that.
const logoutPause = 20 * time.Millisecond

// The bars of a logout, from the web application's command to the close frame.
const (
	logoutP50 = 5 * time.Millisecond
	logoutP99 = 25 * time.Millisecond
)

// logoutScale says how much is measured.
type logoutScale struct {
	sockets  int           // connected beside those that are logged out
	writes   int           // of sessions, a second
	logouts  int           // for each application and way
	patience time.Duration // after which a logout is missed
}

// logoutLatency is what came of an application's logouts.
type logoutLatency struct {
	app     *webApp
	skipped error // the part is missing

	command string // that ended the first session
	// From before the web application's command goes to Redis: to its
	// invalidation message at a subscriber of the benchmark's own, to the
	// deauthenticated event, to the close frame.
	push, event, close []time.Duration
	missed             int // sockets that were not ended in time, or with another code
}

type logoutResult struct {
	apps          []logoutLatency
	writes        float64 // a second, as it came out
	wronglyClosed int     // sockets whose session was alive
}

// measureLogout logs out of each application while many other sockets are
// connected and many sessions are written.
func measureLogout(ctx context.Context, apps []webApp, scale logoutScale) (*logoutResult, error) {
	if err := allowFiles(scale.sockets + scale.logouts + filesSpare); err != nil {
		return nil, err
	}
	server, rdb, err := startRedis(ctx)
	if err != nil {
		return nil, err
	}
	defer server.Stop()
	defer rdb.Close()
	keys := newSecrets()
	svc, err := startService(ctx, &Config{Hook: HookBridge, RedisURL: server.URL, Stacks: keys.stacks()})
	if err != nil {
		return nil, err
	}
	defer svc.stop()
	others, err := expressSessions(ctx, rdb, keys.express, scale.sockets)
	if err != nil {
		return nil, err
	}
	crowd, err := dialAll(ctx, svc.address, others)
	if err != nil {
		return nil, err
	}
	defer closeAll(crowd)
	floor, err := startFloor(server.URL)
	if err != nil {
		return nil, err
	}
	defer floor.stop()
	load := startLoad(rdb, others, scale.writes)
	defer load.stop()

	r := &logoutResult{}
	for i := range apps {
		l, err := measureApp(ctx, &apps[i], keys, server.URL, svc.address, floor, scale)
		if err != nil {
			return nil, err
		}
		r.apps = append(r.apps, *l)
	}
	if r.writes, err = load.stop(); err != nil {
		return nil, err
	}
	for _, s := range crowd {
		select {
		case <-s.ended:
			r.wronglyClosed++
		default:
		}
	}
	return r, nil
}

func startRedis(ctx context.Context) (*parts.Process, *redis.Client, error) {
	server, err := parts.StartRedis(ctx)
	if err != nil {
		return nil, nil, err
	}
	opts, err := redis.ParseURL(server.URL)
	if err != nil {
		server.Stop()
		return nil, nil, err
	}
	return server, redis.NewClient(opts), nil
}

func measureApp(ctx context.Context, app *webApp, keys secrets, redisURL, address string, floor *floor, scale logoutScale) (*logoutLatency, error) {
	l := &logoutLatency{app: app}
	tap, err := newTap(redisURL)
	if err != nil {
		return nil, err
	}
	defer tap.close()
	url, stop, err := app.start(ctx, tap.url, keys)
	if missing := (*parts.MissingError)(nil); errors.As(err, &missing) {
		l.skipped = missing
		return l, nil
	}
	if err != nil {
		return nil, err
	}
	defer stop()

	type login struct {
		*visitor
		*socket
		key string
	}
	logins := make([]login, scale.logouts)
	defer func() {
		for _, v := range logins {
			closeAll([]*socket{v.socket})
		}
	}()
	for i := range logins {
		v, err := newVisitor(ctx, app, url)
		if err != nil {
			return nil, err
		}
		logins[i] = login{visitor: v, key: tap.stored()}
		if logins[i].socket, err = dial(ctx, address, v.cookie()); err != nil {
			return nil, fmt.Errorf("%s: after the login: %w", app.name, err)
		}
	}
	for _, v := range logins {
		if err := pause(ctx, rand.N(logoutPause)); err != nil {
			return nil, err
		}
		tap.forget(v.key)
		told := floor.expect(v.key)
		if err := v.visit(ctx, app.logout); err != nil {
			return nil, err
		}
		change, ok := tap.change(v.key)
		if !ok {
			return nil, fmt.Errorf("%s: %s changed no session", app.name, app.action)
		}
		if l.command == "" {
			l.command = change.command
		}
		e, err := v.wait(ctx, scale.patience)
		if err != nil {
			return nil, err
		}
		if e.closeCode != 3000 || e.code != "session_ended" {
			l.missed++
			continue
		}
		l.event = append(l.event, e.event.Sub(change.at))
		l.close = append(l.close, e.close.Sub(change.at))
		select {
		case at := <-told:
			l.push = append(l.push, at.Sub(change.at))
		case <-time.After(scale.patience):
			return nil, errors.New("the benchmark's own subscriber was told of no change")
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return l, nil
}

// wait returns how the socket ended; the zero end if it has not in time.
func (s *socket) wait(ctx context.Context, patience time.Duration) (e end, err error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case e = <-s.ended:
	case <-timer.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	return e, err
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// floor is told of changes by Redis, as the service is, and does nothing with
// them: no service can be faster.
type floor struct {
	stop func()

	mu       sync.Mutex
	expected map[string]chan<- time.Time // by the key
}

func startFloor(redisURL string) (*floor, error) {
	store, closeStore, err := openStore(redisURL)
	if err != nil {
		return nil, err
	}
	var prefixes []string
	for _, s := range newSecrets().stacks() {
		stack, err := s.stack()
		if err != nil {
			return nil, errors.Join(err, closeStore())
		}
		prefixes = append(append(prefixes, stack.Keyspace.Prefix), stack.Keyspace.Alternatives...)
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &floor{expected: map[string]chan<- time.Time{}}
	done := make(chan error, 1)
	restored := make(chan struct{}, 1)
	go func() { done <- store.Watch(ctx, prefixes, floorHandler{f, restored}) }()
	f.stop = sync.OnceFunc(func() {
		cancel()
		<-done
		_ = closeStore()
	})
	select {
	case <-restored:
		return f, nil
	case err = <-done:
		done <- nil
	case <-time.After(startTimeout):
		err = errors.New("no watch of Redis within the time it may take to start")
	}
	f.stop()
	return nil, err
}

// expect returns a channel that gets the time at which the next change of a key
// is reported.
func (f *floor) expect(key string) <-chan time.Time {
	told := make(chan time.Time, 1)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.expected[key] = told
	return told
}

type floorHandler struct {
	*floor
	restored chan struct{}
}

func (f floorHandler) Changed(keys []string) {
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, k := range keys {
		if told := f.expected[k]; told != nil {
			told <- now
			delete(f.expected, k)
		}
	}
}
func (floorHandler) Alive(time.Time) {}
func (floorHandler) Lost(error)      {}
func (f floorHandler) Restored(string) {
	select {
	case f.restored <- struct{}{}:
	default:
	}
}

// load is what the web applications write while nobody logs out: of every four
// commands, two store a session and two extend one; one of each two is of a
// session with a socket.
type load struct {
	stop func() (rate float64, err error)
}

func startLoad(rdb *redis.Client, bound []session, rate int) *load {
	unbound := make([]session, len(bound))
	for i, s := range bound {
		unbound[i] = session{key: s.key + "-unbound", value: s.value}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var written atomic.Int64
	var failed error
	began, done := time.Now(), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for n := 0; ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			due := int(time.Since(began).Seconds() * float64(rate))
			if due <= n || len(bound) == 0 {
				continue
			}
			_, err := rdb.Pipelined(context.Background(), func(p redis.Pipeliner) error {
				for ; n < due; n++ {
					of := [][]session{bound, unbound}[n/2%2]
					s := of[rand.IntN(len(of))]
					if n%2 == 0 {
						p.Set(ctx, s.key, s.value, sessionLife)
					} else {
						p.Expire(ctx, s.key, sessionLife)
					}
					written.Add(1)
				}
				return nil
			})
			if err != nil {
				failed = err
				return
			}
		}
	}()
	return &load{sync.OnceValues(func() (float64, error) {
		cancel()
		<-done
		return float64(written.Load()) / time.Since(began).Seconds(), failed
	})}
}

// err says what must never happen.
func (r *logoutResult) err() error {
	var errs []error
	for _, l := range r.apps {
		if l.missed > 0 {
			errs = append(errs, fmt.Errorf("%s, %s: %d sockets were not ended by their logout", l.app.name, l.app.action, l.missed))
		}
	}
	if r.wronglyClosed > 0 {
		errs = append(errs, fmt.Errorf("%d sockets were ended although nobody had logged out", r.wronglyClosed))
	}
	return errors.Join(errs...)
}

func (r *logoutResult) table() *table {
	t := &table{columns: []string{"web application", "logout", "command", "logouts", "missed",
		"push p50", "p99", "event p50", "p99", "close p50", "p99", "max", "close ÷ push, p50", "bars"}}
	for _, l := range r.apps {
		if l.skipped != nil {
			t.add(l.app.name, l.app.action, "not measured: "+l.skipped.Error(), "", "", "", "", "", "", "", "", "", "", "")
			continue
		}
		p50, p99 := median(l.close), quantile(l.close, 0.99)
		t.add(l.app.name, l.app.action, l.command, fmt.Sprint(len(l.close)+l.missed), fmt.Sprint(l.missed),
			millis(median(l.push)), millis(quantile(l.push, 0.99)),
			millis(median(l.event)), millis(quantile(l.event, 0.99)),
			millis(p50), millis(p99), millis(quantile(l.close, 1)), ratio(float64(p50)/float64(max(median(l.push), 1))),
			against(p50, logoutP50, true, "p50 < 5 ms")+", "+against(p99, logoutP99, true, "p99 < 25 ms"))
	}
	return t
}
