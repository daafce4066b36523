package main

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/internal/parts"
)

// fault is one way in which things go wrong.
type fault struct {
	name, title string

	// stage starts the servers.
	stage func(context.Context, config) (*stage, error)

	// promise is what docs/faults.md says.
	promise func(config) promise
}

// promise is how long a socket may outlive its session.
type promise struct {
	before time.Duration // if it was over before the fault began
	later  time.Duration // if it was over from then on
}

// stage is a Redis and how it fails.
type stage struct {
	// client returns another client of it.
	client func(clientOptions) redis.UniversalClient

	// strike lets it fail, waits until it serves again, and says when that was.
	strike func(context.Context) (span, error)

	// heal, if set, waits until nothing is left of it.
	heal func(context.Context) error

	// lasts is about how long the fault takes.
	lasts time.Duration

	stop func()
}

// moment is over how long the logouts are spread when a fault takes no time.
const moment = time.Second

// clientOptions are what the web application's client has of its own.
type clientOptions struct {
	poolSize int
	retries  int
}

var faults = []fault{
	{"restart-empty", "Redis killed, restarted empty", restarted(false), outage},
	{"restart-data", "Redis killed, restarted with its data", restarted(true), outage},
	{"sigstop", "Redis hangs (SIGSTOP, SIGCONT)", hung(1), outage},
	{"sigstop-long", "Redis hangs for longer than MaxStale", hung(2), outage},
	{"reset", "connections reset every second", reset, pushed},
	{"flushall", "FLUSHALL", emptied("FLUSHALL"), pushed},
	{"swapdb", "SWAPDB", emptied("SWAPDB", 0, 1), polled},
	{"sentinel-kill", "Sentinel: master killed, replica promoted", sentinelKilled, outage},
	{"sentinel-hang", "Sentinel: master hangs, replica promoted", sentinelHung, split},
	{"sentinel-switch", "Sentinel: SENTINEL FAILOVER", sentinelSwitched, polled},
	{"sentinel-unseen", "Sentinel: replica promoted, old master alive", sentinelUnseen, polled},
	{"cluster-kill", "cluster: a master killed, replica promoted", clusterKilled, outage},
	{"cluster-move", "cluster: 1,000 slots moved", clusterMoved, polled},
}

// What is promised; docs/faults.md gives the reasons.
const (
	pushPromise    = time.Second
	pollPromise    = 3 * time.Second
	recoverPromise = 5 * time.Second
	stalePatience  = 5 * time.Second // bridge.Options.MaxStale
	defaultStale   = 30 * time.Second

	defaultHeartbeat = 500 * time.Millisecond
	settleBeats      = 120
)

func pushed(config) promise { return promise{pushPromise, pushPromise} }

func polled(config) promise { return promise{pollPromise, pollPromise} }

func outage(cfg config) promise {
	stale := cfg.MaxStale
	if stale == 0 {
		stale = defaultStale
	}
	return promise{stale + stalePatience, recoverPromise}
}

// split is the promise while two servers take themselves for the master: what is
// read may be the old one's until Sentinel demotes it.
func split(cfg config) promise {
	p := outage(cfg)
	heartbeat := cfg.Heartbeat
	if heartbeat == 0 {
		heartbeat = defaultHeartbeat
	}
	p.later += settleBeats * heartbeat
	return p
}

func options(addr string, o clientOptions) *redis.Options {
	return &redis.Options{Addr: addr, PoolSize: o.poolSize, MaxRetries: o.retries, ContextTimeoutEnabled: o.retries < 0}
}

// address returns host and port.
func address(p *parts.Process) string { return strings.TrimPrefix(p.URL, "redis://") }

func single(p *parts.Process) func(clientOptions) redis.UniversalClient {
	return func(o clientOptions) redis.UniversalClient { return redis.NewClient(options(address(p), o)) }
}

// pause waits for d, or returns ctx's error.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// restarted kills a server, and starts it again after the outage.
func restarted(data bool) func(context.Context, config) (*stage, error) {
	return func(ctx context.Context, cfg config) (*stage, error) {
		dir, err := os.MkdirTemp("", "faults")
		if err != nil {
			return nil, err
		}
		args := []string{"--dir", dir}
		if data {
			args = append(args, "--appendonly", "yes")
		}
		p, err := parts.StartRedis(ctx, args...)
		if err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
		addr := address(p)
		return &stage{
			client: single(p),
			strike: func(ctx context.Context) (span, error) {
				s := span{began: time.Now(), away: true}
				p.Kill()
				if err := pause(ctx, cfg.Outage); err != nil {
					return s, err
				}
				port, err := strconv.Atoi(addr[strings.LastIndexByte(addr, ':')+1:])
				if err != nil {
					return s, err
				}
				s.ended = time.Now()
				if p, err = parts.StartRedisAt(ctx, port, args...); err != nil {
					return s, err
				}
				if !data {
					s.wiped = s.ended
				}
				return s, nil
			},
			lasts: cfg.Outage,
			stop: func() {
				if p != nil {
					p.Stop()
				}
				_ = os.RemoveAll(dir)
			},
		}, nil
	}
}

// hung stops a server for some times the outage.
func hung(times int) func(context.Context, config) (*stage, error) {
	return func(ctx context.Context, cfg config) (*stage, error) {
		p, err := parts.StartRedis(ctx)
		if err != nil {
			return nil, err
		}
		return &stage{
			client: single(p),
			strike: func(ctx context.Context) (span, error) {
				s := span{began: time.Now(), away: true}
				if err := p.Signal(syscall.SIGSTOP); err != nil {
					return s, err
				}
				waited := pause(ctx, time.Duration(times)*cfg.Outage)
				s.ended = time.Now()
				return s, errors.Join(waited, p.Signal(syscall.SIGCONT))
			},
			lasts: time.Duration(times) * cfg.Outage,
			stop:  p.Stop,
		}, nil
	}
}

// reset has a server cut all its connections, again and again.
func reset(ctx context.Context, cfg config) (*stage, error) {
	p, err := parts.StartRedis(ctx)
	if err != nil {
		return nil, err
	}
	admin := redis.NewClient(options(address(p), clientOptions{}))
	return &stage{
		client: single(p),
		strike: func(ctx context.Context) (span, error) {
			s := span{began: time.Now()}
			tick := time.NewTicker(cfg.Outage / 20)
			defer tick.Stop()
			for time.Since(s.began) < cfg.Outage {
				for _, kind := range []string{"normal", "pubsub"} {
					if err := admin.ClientKillByFilter(ctx, "TYPE", kind).Err(); err != nil {
						return s, err
					}
				}
				select {
				case <-ctx.Done():
					return s, ctx.Err()
				case <-tick.C:
				}
			}
			s.ended = time.Now()
			return s, nil
		},
		lasts: cfg.Outage,
		stop:  func() { _ = admin.Close(); p.Stop() },
	}, nil
}

// emptied has a server forget all sessions by one command.
func emptied(command ...any) func(context.Context, config) (*stage, error) {
	return func(ctx context.Context, _ config) (*stage, error) {
		p, err := parts.StartRedis(ctx)
		if err != nil {
			return nil, err
		}
		admin := redis.NewClient(options(address(p), clientOptions{}))
		return &stage{
			client: single(p),
			strike: func(ctx context.Context) (span, error) {
				s := span{began: time.Now()}
				err := admin.Do(ctx, command...).Err()
				s.wiped, s.ended = s.began, time.Now()
				return s, err
			},
			lasts: moment,
			stop:  func() { _ = admin.Close(); p.Stop() },
		}, nil
	}
}
