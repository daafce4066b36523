package stores

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// Watch implements [Watchable]: the changes on all servers. It returns an error
// if one of them does not report changes.
func (s *Sharded) Watch(ctx context.Context, prefixes []string, h WatchHandler) error {
	ctx, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	u := &union{handler: h, nodes: map[string]*unionNode{}}
	ended := make(chan error, len(s.shards))
	type part struct {
		store    Watchable
		prefixes []string
		handler  WatchHandler
	}
	var parts []part
	for i, shard := range s.shards {
		w, ok := shard.Store.(Watchable)
		if !ok {
			return fmt.Errorf("%w: server %d of the list is a %T", ErrNotWatchable, i+1, shard.Store)
		}
		node, _ := u.join(ctx, strconv.Itoa(i))
		p := part{w, prefixes, node}
		if shard.Prefix != nil {
			p.prefixes, p.handler = []string{*shard.Prefix}, renamed{node, *shard.Prefix, prefixes}
		}
		parts = append(parts, p)
	}
	for _, p := range parts {
		all.Go(func() { ended <- p.store.Watch(ctx, p.prefixes, p.handler) })
	}
	for range parts {
		if err := <-ended; err != nil {
			return err
		}
	}
	return nil
}

// renamed reports keys under the prefixes of the keyspace, not that of their
// server.
type renamed struct {
	*unionNode
	prefix   string
	prefixes []string
}

func (r renamed) Changed(keys []string) {
	var names []string
	for _, k := range keys {
		if id, ok := strings.CutPrefix(k, r.prefix); ok {
			for _, p := range r.prefixes {
				names = append(names, p+id)
			}
		}
	}
	r.unionNode.Changed(names)
}
