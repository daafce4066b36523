package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// config says how large and how long everything is.
type config struct {
	Sockets   int
	Before    time.Duration // in which sockets log out before the fault
	Outage    time.Duration // how long a fault lasts that has no end of its own
	After     time.Duration // in which sockets log out after it
	Down      time.Duration // after which Sentinel or the cluster takes a node to be down
	MaxStale  time.Duration // of the service; zero for the default
	Heartbeat time.Duration // of the watcher; zero for the default
}

const (
	lastMoments = 3 * time.Millisecond // before a fault, in which a few log out
	calm        = time.Second          // how long it is watched whether anything else happens
	freshLogins = 20                   // who log in and out when all is over
	webPool     = 64                   // connections of the web application
	overtime    = 10 * time.Second     // how long a broken promise is watched
)

// run measures one fault.
func run(ctx context.Context, f fault, cfg config) (_ result, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	st, err := f.stage(ctx, cfg)
	if err != nil {
		return result{}, err
	}
	defer st.stop()
	web := st.client(clientOptions{poolSize: webPool, retries: -1})
	defer web.Close()
	svc, err := startService(st.client(clientOptions{}), cfg)
	if err != nil {
		return result{}, err
	}
	defer svc.stop()
	sockets, err := crowd(ctx, web, svc.url, 0, cfg.Sockets)
	defer func() { closeAll(sockets) }()
	if err != nil {
		return result{}, err
	}
	if err := replicated(ctx, web); err != nil {
		return result{}, err
	}
	if err := until(ctx, func() bool { sound, _, _ := svc.store.stream(); return sound }); err != nil {
		return result{}, fmt.Errorf("the service does not watch: %w", err)
	}

	logouts, finish := schedule(ctx, web, sockets, st, cfg)
	defer func() { cancel(); finish(0) }()
	if err := pause(ctx, cfg.Before); err != nil {
		return result{}, err
	}
	readsBefore := svc.store.reads.Load()
	_, _, lostBefore := svc.store.stream()
	s, err := st.strike(ctx)
	if err != nil {
		return result{}, err
	}
	finish(cfg.After)
	if st.heal != nil {
		if err := st.heal(ctx); err != nil {
			return result{}, err
		}
	}
	if err := ctx.Err(); err != nil {
		return result{}, err
	}

	// A client of before may still be bound to what Redis was then.
	now := st.client(clientOptions{poolSize: webPool})
	defer now.Close()
	there, err := sessions(ctx, now, sockets)
	if err != nil {
		return result{}, err
	}
	r := result{fault: f, promise: f.promise(cfg), sockets: len(sockets)}
	deadline := time.Now().Add(r.promise.later + overtime)
	for !atRest(sockets, there, svc) && time.Now().Before(deadline) {
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return result{}, err
		}
	}
	if err := pause(ctx, calm); err != nil {
		return result{}, err
	}
	r.reads = svc.store.reads.Load() - readsBefore
	sound, since, lost := svc.store.stream()
	r.interruptions = lost - lostBefore
	if r.interruptions > 0 && sound {
		r.restored = max(since.Sub(s.ended), 0)
	}
	if !sound {
		r.wrong = append(r.wrong, "changes are not reported again")
	}
	stale := cfg.MaxStale
	if stale == 0 {
		stale = defaultStale
	}
	for i, socket := range sockets {
		r.judge(socket, logouts[i], there[i], s, stale)
	}
	if err := r.reconnect(ctx, svc, sockets, there); err != nil {
		return result{}, err
	}
	return r, r.pushAgain(ctx, svc, now, cfg)
}

// schedule has half of the sockets log out around a fault that begins after
// config.Before. The result has a nil for the others. finish is called when the
// fault is over and returns when all have logged out, within the time given.
func schedule(ctx context.Context, web redis.UniversalClient, sockets []*socket, st *stage, cfg config) (logouts []*logout, finish func(time.Duration)) {
	logouts = make([]*logout, len(sockets))
	var wg sync.WaitGroup
	over := make(chan struct{})
	var after time.Duration
	for i, who := range rand.Perm(len(sockets))[:len(sockets)/2] {
		l := &logout{key: keyPrefix + sockets[who].id, blank: i%4 == 0}
		logouts[who] = l
		var wait time.Duration
		last := false
		switch {
		case i%20 == 0:
			wait = cfg.Before - rand.N(lastMoments)
		case i%5 == 0:
			wait = rand.N(cfg.Before)
		case i%5 == 1:
			last = true
		default:
			wait = cfg.Before + rand.N(st.lasts)
		}
		wg.Go(func() {
			if last {
				select {
				case <-ctx.Done():
					return
				case <-over:
				}
				wait = rand.N(after)
			}
			if pause(ctx, wait) == nil {
				l.try(ctx, web)
			}
		})
	}
	var once sync.Once
	return logouts, func(d time.Duration) {
		once.Do(func() { after = max(d, 1); close(over) })
		wg.Wait()
	}
}

// replicated waits until replicas have what was written.
func replicated(ctx context.Context, web redis.UniversalClient) error {
	wait := func(ctx context.Context, c *redis.Client) error {
		info, err := c.InfoMap(ctx, "replication").Result()
		if err != nil || info["Replication"]["connected_slaves"] == "0" {
			return err
		}
		n, err := c.Wait(ctx, 1, patience).Result()
		if err == nil && n < 1 {
			err = errors.New("the replica does not follow")
		}
		return err
	}
	switch c := web.(type) {
	case *redis.ClusterClient:
		return c.ForEachMaster(ctx, wait)
	case *redis.Client:
		return wait(ctx, c)
	}
	return nil
}

// sessions reports for each socket whether its session is there, and the
// user's.
func sessions(ctx context.Context, web redis.UniversalClient, sockets []*socket) ([]bool, error) {
	there := make([]bool, len(sockets))
	return there, inParallel(len(sockets), func(i int) error {
		for attempt := 0; ; attempt++ {
			value, err := web.Get(ctx, keyPrefix+sockets[i].id).Result()
			if err == nil || errors.Is(err, redis.Nil) {
				there[i] = err == nil && value != anonymous
				return nil
			}
			if attempt == 10 || pause(ctx, attemptPause) != nil {
				return fmt.Errorf("reading the sessions: %w", err)
			}
		}
	})
}

// atRest reports whether the service has come to rest: it is told of changes,
// and no socket is without a session.
func atRest(sockets []*socket, there []bool, svc *service) bool {
	if sound, _, _ := svc.store.stream(); !sound {
		return false
	}
	for i, s := range sockets {
		if !there[i] && s.alive() {
			return false
		}
	}
	return true
}

// reconnect has those who are out connect again: with a session they must get
// in, without one they must not.
func (r *result) reconnect(ctx context.Context, svc *service, sockets []*socket, there []bool) error {
	var mu sync.Mutex
	return inParallel(len(sockets), func(i int) error {
		if sockets[i].alive() {
			return ctx.Err()
		}
		again, err := dial(ctx, svc.url, sockets[i].id)
		if err == nil {
			defer again.close()
		}
		mu.Lock()
		defer mu.Unlock()
		switch {
		case there[i] && err != nil:
			r.wrong = append(r.wrong, fmt.Sprintf("with a session, one cannot reconnect: %v", err))
		case !there[i] && !errors.Is(err, errRefused):
			r.wrong = append(r.wrong, fmt.Sprintf("without a session, reconnecting gives %v, want a refusal", err))
		}
		return ctx.Err()
	})
}

// pushAgain logs new users in and out: it must reach their sockets as ever.
func (r *result) pushAgain(ctx context.Context, svc *service, web redis.UniversalClient, cfg config) error {
	fresh, err := crowd(ctx, web, svc.url, cfg.Sockets, freshLogins)
	defer func() { closeAll(fresh) }()
	if err != nil {
		return err
	}
	for _, s := range fresh {
		if err := web.Del(ctx, keyPrefix+s.id).Err(); err != nil {
			return err
		}
		select {
		case <-s.done:
			if s.code != bridge.CodeSessionEnded {
				r.wrong = append(r.wrong, fmt.Sprintf("a logout after all ends a socket with %q: %v", s.code, s.err))
			}
		case <-time.After(pushPromise):
			r.wrong = append(r.wrong, "a logout after all does not reach the socket")
		}
	}
	return nil
}
