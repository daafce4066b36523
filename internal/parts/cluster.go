package parts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Cluster is a Redis cluster.
type Cluster struct {
	// Nodes are its masters, and behind them as many replicas; which is whose
	// replica is the cluster's own choice.
	Nodes []*Process

	dir string
}

// StartCluster starts a cluster of some masters, three at least, with one
// replica each. A node that does not answer for nodeTimeout is taken to be down.
func StartCluster(ctx context.Context, masters int, nodeTimeout time.Duration) (_ *Cluster, err error) {
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		return nil, redisMissing()
	}
	c := &Cluster{}
	defer func() {
		if err != nil {
			c.Stop()
		}
	}()
	if c.dir, err = os.MkdirTemp("", "cluster"); err != nil {
		return nil, err
	}
	args := []string{"--cluster", "create"}
	for i := range 2 * masters {
		p, err := c.start(ctx, i, nodeTimeout)
		if err != nil {
			return nil, err
		}
		c.Nodes = append(c.Nodes, p)
		args = append(args, p.URL[len("redis://"):])
	}
	args = append(args, "--cluster-replicas", "1", "--cluster-yes")
	if out, err := exec.CommandContext(ctx, cli, args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("redis-cli %s: %w\n%s", strings.Join(args[:2], " "), err, out)
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, i int, nodeTimeout time.Duration) (*Process, error) {
	dir := filepath.Join(c.dir, strconv.Itoa(i))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	for range 3 { // somebody else may take a free port first
		var bus int // the usual one, 10,000 above the other, may be none
		if bus, err = freePort(); err != nil {
			return nil, err
		}
		var p *Process
		p, err = StartRedis(ctx, "--cluster-enabled", "yes", "--dir", dir, "--cluster-port", strconv.Itoa(bus),
			"--cluster-node-timeout", strconv.FormatInt(max(nodeTimeout.Milliseconds(), 1), 10), "--repl-diskless-sync-delay", "0")
		if err == nil || errors.As(err, new(*MissingError)) {
			return p, err
		}
	}
	return nil, err
}

// Stop ends all nodes.
func (c *Cluster) Stop() {
	for _, p := range c.Nodes {
		p.Kill() // gently, each would wait for its replica
	}
	_ = os.RemoveAll(c.dir)
}
