package main

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/internal/parts"
)

// failover is a stage of a master and a replica under Sentinel; strike lets it
// fail, and then it is waited until all Sentinels name the replica.
func failover(ctx context.Context, cfg config, away bool, strike func(context.Context, *parts.Sentinel) error, after func(*parts.Sentinel) error) (*stage, error) {
	set, err := parts.StartSentinel(ctx, cfg.Down)
	if err != nil {
		return nil, err
	}
	replica := admin(set, set.Replica)
	if err := until(ctx, func() bool {
		info, err := replica.InfoMap(ctx, "replication").Result()
		return err == nil && info["Replication"]["master_link_status"] == "up" && seesReplica(ctx, set)
	}); err != nil {
		_ = replica.Close()
		set.Stop()
		return nil, err
	}
	return &stage{
		client: func(o clientOptions) redis.UniversalClient {
			return redis.NewFailoverClient(&redis.FailoverOptions{MasterName: set.MasterName, SentinelAddrs: set.Addrs, Password: set.Password,
				PoolSize: o.poolSize, MaxRetries: o.retries, ContextTimeoutEnabled: o.retries < 0})
		},
		strike: func(ctx context.Context) (span, error) {
			s := span{began: time.Now(), away: away}
			if err := strike(ctx, set); err != nil {
				return s, err
			}
			err := until(ctx, func() bool { return named(ctx, set) == address(set.Replica) })
			s.ended = time.Now()
			if err == nil && after != nil {
				err = after(set)
			}
			return s, err
		},
		lasts: 2 * cfg.Down,
		stop:  func() { _ = replica.Close(); set.Stop() },
	}, nil
}

func admin(set *parts.Sentinel, p *parts.Process) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: address(p), Password: set.Password})
}

// seesReplica reports whether every Sentinel knows the replica and the other
// Sentinels; before, there can be no failover.
func seesReplica(ctx context.Context, set *parts.Sentinel) bool {
	for _, addr := range set.Addrs {
		c := redis.NewSentinelClient(&redis.Options{Addr: addr})
		m, err := c.Master(ctx, set.MasterName).Result()
		_ = c.Close()
		if err != nil || m["num-slaves"] != "1" || m["num-other-sentinels"] != "2" {
			return false
		}
	}
	return true
}

// until waits for a condition.
func until(ctx context.Context, holds func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("the servers did not come to the state that is wanted"))
	defer cancel()
	for !holds() {
		if pause(ctx, 20*time.Millisecond) != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// patience bounds how long servers may take to agree.
const patience = time.Minute

func sentinelKilled(ctx context.Context, cfg config) (*stage, error) {
	return failover(ctx, cfg, true, func(_ context.Context, set *parts.Sentinel) error {
		set.Master.Kill()
		return nil
	}, nil)
}

// sentinelHung lets the old master run again once the other has its place; it
// is over when Sentinel has made the old one a replica.
func sentinelHung(ctx context.Context, cfg config) (*stage, error) {
	var old *redis.Client
	st, err := failover(ctx, cfg, true, func(_ context.Context, set *parts.Sentinel) error {
		old = admin(set, set.Master)
		return set.Master.Signal(syscall.SIGSTOP)
	}, func(set *parts.Sentinel) error {
		return set.Master.Signal(syscall.SIGCONT)
	})
	if err != nil {
		return nil, err
	}
	st.heal = func(ctx context.Context) error {
		defer old.Close()
		return until(ctx, func() bool {
			role, err := old.Do(ctx, "ROLE").Slice()
			return err == nil && len(role) > 0 && role[0] == "slave"
		})
	}
	return st, nil
}

// named returns the address that all Sentinels give for the master; empty if
// they do not agree.
func named(ctx context.Context, set *parts.Sentinel) (agreed string) {
	for i, addr := range set.Addrs {
		c := redis.NewSentinelClient(&redis.Options{Addr: addr})
		answer, err := c.GetMasterAddrByName(ctx, set.MasterName).Result()
		_ = c.Close()
		if err != nil || len(answer) != 2 {
			return ""
		}
		switch master := net.JoinHostPort(answer[0], answer[1]); {
		case i == 0:
			agreed = master
		case master != agreed:
			return ""
		}
	}
	return agreed
}

func sentinelSwitched(ctx context.Context, cfg config) (*stage, error) {
	return failover(ctx, cfg, false, func(ctx context.Context, set *parts.Sentinel) error {
		c := redis.NewSentinelClient(&redis.Options{Addr: set.Addrs[0]})
		defer c.Close()
		return c.Failover(ctx, set.MasterName).Err()
	}, nil)
}

// sentinelUnseen cuts the Sentinels off from the master, and nobody else: the
// replica is promoted, and the old master goes on as if nothing had happened.
func sentinelUnseen(ctx context.Context, cfg config) (*stage, error) {
	return failover(ctx, cfg, false, func(ctx context.Context, set *parts.Sentinel) error {
		c := admin(set, set.Master)
		defer c.Close()
		if err := c.Do(ctx, "ACL", "SETUSER", set.User, "off").Err(); err != nil {
			return err
		}
		return c.ClientKillByFilter(ctx, "USER", set.User).Err()
	}, nil)
}
