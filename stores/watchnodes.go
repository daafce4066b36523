package stores

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// nodes watches each node of a cluster or ring, since a node reports its own
// keys only, and follows the topology.
func (w *watch) nodes(ctx context.Context, each func(context.Context, func(context.Context, *redis.Client) error) error) error {
	ctx, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	u := &union{handler: w.handler, nodes: map[string]*unionNode{}}
	refused := make(chan error, 1)
	tick := time.NewTicker(topologyInterval)
	defer tick.Stop()
	for {
		var mu sync.Mutex // each calls concurrently
		found := map[string]*redis.Client{}
		err := each(ctx, func(_ context.Context, c *redis.Client) error {
			mu.Lock()
			defer mu.Unlock()
			found[c.Options().Addr] = c
			return nil
		})
		if err == nil {
			for addr := range u.gone(found) {
				w.opts.Logger.Info("a node has left", "node", addr)
			}
			for addr, client := range found {
				n, nodeCtx := u.join(ctx, addr)
				if n == nil {
					continue
				}
				node := &watch{opts: w.opts, prefixes: w.prefixes, handler: n}
				all.Go(func() {
					if err := node.node(nodeCtx, client); err != nil {
						select {
						case refused <- err:
						default:
						}
					}
				})
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-refused:
			return err
		case <-tick.C:
		}
	}
}

// union makes one stream of those of several nodes: it is sound while all of
// them are.
type union struct {
	handler WatchHandler

	mu    sync.Mutex
	nodes map[string]*unionNode
	sound bool
	mode  string // that of the node that was restored last
}

type unionNode struct {
	u     *union
	stop  context.CancelFunc
	sound bool
	until time.Time
}

// join adds a node. It returns nil if the node is known.
func (u *union) join(ctx context.Context, addr string) (*unionNode, context.Context) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.nodes[addr] != nil {
		return nil, nil
	}
	nodeCtx, stop := context.WithCancel(ctx)
	n := &unionNode{u: u, stop: stop}
	u.nodes[addr] = n
	u.judge(fmt.Errorf("the node %s has joined", addr))
	return n, nodeCtx
}

// gone drops the nodes that were not found.
func (u *union) gone(found map[string]*redis.Client) map[string]bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	dropped := map[string]bool{}
	for addr, n := range maps.All(u.nodes) {
		if _, ok := found[addr]; !ok {
			n.stop()
			delete(u.nodes, addr)
			dropped[addr] = true
		}
	}
	if len(dropped) > 0 {
		// What it held is on another node now, and may have changed on the way.
		u.sound = false
		u.handler.Lost(errTopology)
		u.judge(nil)
	}
	return dropped
}

var errTopology = fmt.Errorf("the cluster's topology changed")

// judge tells the handler what has become of the whole. The caller holds u.mu.
func (u *union) judge(reason error) {
	sound := len(u.nodes) > 0
	for _, n := range u.nodes {
		sound = sound && n.sound
	}
	switch {
	case sound && !u.sound:
		u.sound = true
		u.handler.Restored(u.mode)
	case !sound && u.sound:
		u.sound = false
		u.handler.Lost(reason)
	}
}

func (n *unionNode) Changed(keys []string) { n.u.handler.Changed(keys) }

func (n *unionNode) Alive(until time.Time) {
	n.u.mu.Lock()
	defer n.u.mu.Unlock()
	n.until = until
	for _, other := range n.u.nodes {
		if other.until.Before(until) {
			until = other.until
		}
	}
	if n.u.sound {
		n.u.handler.Alive(until)
	}
}

func (n *unionNode) Lost(reason error) {
	n.u.mu.Lock()
	defer n.u.mu.Unlock()
	n.sound = false
	if !n.u.sound {
		n.u.handler.Lost(reason) // even the first time
		return
	}
	n.u.judge(reason)
}

func (n *unionNode) Restored(mode string) {
	n.u.mu.Lock()
	defer n.u.mu.Unlock()
	wasSound := n.sound
	n.sound, n.u.mode = true, mode
	n.until = time.Now().Add(time.Second)
	if wasSound && n.u.sound {
		// A flush: lost and restored in one.
		n.u.handler.Lost(errFlushed)
		n.u.sound = false
	}
	n.u.judge(nil)
}
