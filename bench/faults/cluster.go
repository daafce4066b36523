package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/internal/parts"
)

const (
	masters    = 3
	movedSlots = 1000
)

// clustered is a stage of three masters with a replica each.
func clustered(ctx context.Context, cfg config, strike func(context.Context, *parts.Cluster) (span, error)) (*stage, error) {
	set, err := parts.StartCluster(ctx, masters, cfg.Down)
	if err != nil {
		return nil, err
	}
	var addrs []string
	for _, p := range set.Nodes {
		addrs = append(addrs, address(p))
	}
	for _, p := range set.Nodes {
		if err := until(ctx, func() bool { return settled(ctx, address(p)) }); err != nil {
			set.Stop()
			return nil, err
		}
	}
	return &stage{
		client: func(o clientOptions) redis.UniversalClient {
			return redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, PoolSize: o.poolSize, ContextTimeoutEnabled: o.retries < 0})
		},
		strike: func(ctx context.Context) (span, error) { return strike(ctx, set) },
		lasts:  2 * cfg.Down,
		stop:   set.Stop,
	}, nil
}

// clusterNodes returns a node's own view of the cluster.
func clusterNodes(ctx context.Context, addr string) ([][]string, error) {
	c := redis.NewClient(options(addr, clientOptions{}))
	defer c.Close()
	text, err := c.ClusterNodes(ctx).Result()
	if err != nil {
		return nil, err
	}
	var nodes [][]string // id, address, flags, master's id, …
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) >= 8 {
			nodes = append(nodes, fields)
		}
	}
	return nodes, nil
}

// settled reports whether a node sees all masters and their replicas at work.
func settled(ctx context.Context, addr string) bool {
	nodes, err := clusterNodes(ctx, addr)
	if err != nil {
		return false
	}
	c := redis.NewClient(options(addr, clientOptions{}))
	defer c.Close()
	info, err := c.Info(ctx, "replication").Result()
	if err != nil || strings.Contains(info, "role:slave") && !strings.Contains(info, "master_link_status:up") {
		return false
	}
	replicas := 0
	for _, n := range nodes {
		if strings.Contains(n[2], "slave") {
			replicas++
		}
	}
	return len(nodes) == 2*masters && replicas == masters && stateOK(ctx, addr)
}

func stateOK(ctx context.Context, addr string) bool {
	c := redis.NewClient(options(addr, clientOptions{}))
	defer c.Close()
	info, err := c.ClusterInfo(ctx).Result()
	return err == nil && strings.Contains(info, "cluster_state:ok")
}

// clusterKilled kills the first master.
func clusterKilled(ctx context.Context, cfg config) (*stage, error) {
	return clustered(ctx, cfg, func(ctx context.Context, set *parts.Cluster) (span, error) {
		dead := address(set.Nodes[0])
		nodes, err := clusterNodes(ctx, dead)
		if err != nil {
			return span{}, err
		}
		i := slices.IndexFunc(nodes, func(n []string) bool { return strings.Contains(n[2], "myself") })
		if i < 0 || len(nodes[i]) < 9 {
			return span{}, errors.New("the first node has no slots")
		}
		slots := nodes[i][8]
		s := span{began: time.Now(), away: true}
		set.Nodes[0].Kill()
		// Until every other node knows who has its slots.
		for _, p := range set.Nodes[1:] {
			err = errors.Join(err, until(ctx, func() bool {
				nodes, err := clusterNodes(ctx, address(p))
				return err == nil && stateOK(ctx, address(p)) && slices.ContainsFunc(nodes, func(n []string) bool {
					return len(n) > 8 && n[8] == slots && !strings.HasPrefix(n[1], dead)
				})
			}))
		}
		s.ended = time.Now()
		return s, err
	})
}

// clusterMoved moves slots from the first master to the second, with the
// sessions in them.
func clusterMoved(ctx context.Context, cfg config) (*stage, error) {
	return clustered(ctx, cfg, func(ctx context.Context, set *parts.Cluster) (span, error) {
		ids := make([]string, 2)
		for i := range ids {
			c := redis.NewClient(options(address(set.Nodes[i]), clientOptions{}))
			id, err := c.Do(ctx, "CLUSTER", "MYID").Text()
			_ = c.Close()
			if err != nil {
				return span{}, err
			}
			ids[i] = id
		}
		s := span{began: time.Now()}
		out, err := exec.CommandContext(ctx, "redis-cli", "--cluster", "reshard", address(set.Nodes[0]), "--cluster-from", ids[0],
			"--cluster-to", ids[1], "--cluster-slots", strconv.Itoa(movedSlots), "--cluster-yes").CombinedOutput()
		s.ended = time.Now()
		if err != nil {
			return s, fmt.Errorf("redis-cli --cluster reshard: %w\n%s", err, out)
		}
		return s, nil
	})
}
