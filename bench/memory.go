package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// The bars of an idle connection.
const (
	residentBar   = 6 << 10 // bytes
	goroutineBar  = 1.0
	indexBar      = 250 // bytes
	warmHandshake = 64  // connections before the first reading
	topSites      = 12
)

type memoryScale struct {
	sockets  int
	watched  time.Duration // how long they are left idle
	profiles string        // folder for a heap profile; empty: none
}

// footprint is what a connection costs, on average.
type footprint struct {
	name       string
	bars       int     // how many of the bars stand: on goroutines, on resident memory
	resident   float64 // bytes, once garbage is collected
	asLeft     float64 // bytes, as connecting left it
	heap       float64 // bytes
	stack      float64 // bytes
	goroutines float64
	idleCPU    float64 // of the whole process while all are idle, as a part of one CPU
}

type memoryResult struct {
	all   []footprint
	sites []Site // bytes a connection, the largest first; of the bridge
	index int64  // of those, what the index of sessions has
}

// measureMemory connects many clients to each server and leaves them idle.
func measureMemory(ctx context.Context, scale memoryScale) (*memoryResult, error) {
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
	all, err := expressSessions(ctx, rdb, keys.express, scale.sockets+warmHandshake)
	if err != nil {
		return nil, err
	}
	token, verify, err := newToken("HS256")
	if err != nil {
		return nil, err
	}
	express := crowd{"Cookie", cookies(all)}
	bearer := crowd{"Authorization", repeat("Bearer "+token, len(all))}
	anonymous := crowd{"Accept", repeat("*/*", len(all))}
	bridge := Config{Hook: HookBridge, RedisURL: server.URL, Stacks: []Stack{{"express", keys.express}}}
	smallStacks := bridge
	smallStacks.Debug = "adaptivestackstart=0"
	r := &memoryResult{}
	for _, m := range []struct {
		name   string
		config Config
		crowd  crowd
		bars   int
	}{
		{"bare gorilla", Config{Hook: HookBare}, express, 0},
		{"gorilla, small buffers", Config{Hook: HookLean}, express, 0},
		{"Bridge.Handler, Express cookie", bridge, express, 2},
		{"the same, GODEBUG=" + smallStacks.Debug, smallStacks, express, 2},
		{"Bridge.Handler, JWT", Config{Hook: HookBridge, Token: verify}, bearer, 2},
		{"Bridge.Handler, JWT, pending", Config{Hook: HookBridge, Token: verify,
			MaxPending: len(all), AuthTimeout: sessionLife}, anonymous, 1},
	} {
		f, err := measureFootprint(ctx, &m.config, m.crowd, scale)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		f.name, f.bars = m.name, m.bars
		r.all = append(r.all, *f)
	}
	bridge.SampleHeap = true
	r.sites, err = heapSites(ctx, &bridge, express, scale)
	for _, s := range r.sites {
		if isIndex(s.Function) {
			r.index += s.Bytes
		}
	}
	return r, err
}

// crowd is one header's value for each connection.
type crowd struct {
	header string
	values []string
}

func repeat(s string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = s
	}
	return all
}

// isIndex tells the functions that keep sessions and their connections in
// order.
func isIndex(function string) bool {
	return strings.HasPrefix(function, "bridge.(*index).") || strings.HasPrefix(function, "bridge.newIndex")
}

func measureFootprint(ctx context.Context, c *Config, all crowd, scale memoryScale) (*footprint, error) {
	svc, err := startService(ctx, c)
	if err != nil {
		return nil, err
	}
	defer svc.stop()
	conns, err := connect(ctx, svc.address, crowd{all.header, all.values[:warmHandshake]})
	hangUp(conns)
	if err != nil {
		return nil, err
	}
	if _, err := settledCPU(ctx, svc.pid); err != nil {
		return nil, err
	}
	before, err := svc.usage(true)
	if err != nil {
		return nil, err
	}
	residentBefore, err := resident(svc.pid)
	if err != nil {
		return nil, err
	}
	values := all.values[warmHandshake:]
	conns, err = connect(ctx, svc.address, crowd{all.header, values})
	defer hangUp(conns)
	if err != nil {
		return nil, err
	}
	if _, err := settledCPU(ctx, svc.pid); err != nil {
		return nil, err
	}
	left, err := resident(svc.pid)
	if err != nil {
		return nil, err
	}
	after, err := svc.usage(true)
	if err != nil {
		return nil, err
	}
	residentAfter, err := resident(svc.pid)
	if err != nil {
		return nil, err
	}
	idle, err := idleCPU(ctx, svc.pid, scale.watched)
	if err != nil {
		return nil, err
	}
	each := func(n int64) float64 { return float64(n) / float64(len(values)) }
	return &footprint{
		resident:   each(residentAfter - residentBefore),
		asLeft:     each(left - residentBefore),
		heap:       each(after.Heap - before.Heap),
		stack:      each(after.Stack - before.Stack),
		goroutines: each(int64(after.Goroutines - before.Goroutines)),
		idleCPU:    idle,
	}, nil
}

// idleCPU returns which part of one CPU a process takes for a while.
func idleCPU(ctx context.Context, pid int, d time.Duration) (float64, error) {
	before, err := cpuTime(pid)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := pause(ctx, d); err != nil {
		return 0, err
	}
	after, err := cpuTime(pid)
	return float64(after-before) / float64(time.Since(began)), err
}

// heapSites finds out which functions allocated what is in use, in a process
// of its own: keeping account takes memory.
func heapSites(ctx context.Context, c *Config, all crowd, scale memoryScale) ([]Site, error) {
	svc, err := startService(ctx, c)
	if err != nil {
		return nil, err
	}
	defer svc.stop()
	var none, sites []Site
	if err := svc.rpc.Call("Service.Heap", struct{}{}, &none); err != nil {
		return nil, err
	}
	conns, err := connect(ctx, svc.address, all)
	defer hangUp(conns)
	if err != nil {
		return nil, err
	}
	if err := svc.rpc.Call("Service.Heap", struct{}{}, &sites); err != nil {
		return nil, err
	}
	if scale.profiles != "" {
		var profile []byte
		if err := svc.rpc.Call("Service.HeapProfile", struct{}{}, &profile); err != nil {
			return nil, err
		}
		if err := writeProfile(scale.profiles, "memory.heap", profile); err != nil {
			return nil, err
		}
	}
	bytes := map[string]int64{}
	for _, s := range none {
		bytes[s.Function] -= s.Bytes
	}
	for _, s := range sites {
		bytes[s.Function] += s.Bytes
	}
	sites = sites[:0]
	for f, n := range bytes {
		if n /= int64(len(all.values)); n > 0 {
			sites = append(sites, Site{f, n})
		}
	}
	if len(sites) == 0 {
		return nil, errors.New("nothing is allocated for a connection: the heap was not sampled")
	}
	slices.SortFunc(sites, func(a, b Site) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Function, b.Function))
	})
	return sites, nil
}

// connect opens the connections, which nobody reads.
func connect(ctx context.Context, address string, all crowd) ([]net.Conn, error) {
	conns := make([]net.Conn, len(all.values))
	err := concurrently(ctx, len(conns), dialing, func(ctx context.Context, i int) (err error) {
		conns[i], err = handshake(ctx, address, upgradeRequest(address, all.header, all.values[i]))
		return err
	})
	return conns, err
}

func hangUp(conns []net.Conn) {
	for _, c := range conns {
		if c != nil {
			_ = c.Close()
		}
	}
}

func (r *memoryResult) tables() []*table {
	t := &table{columns: []string{"server", "resident", "÷ bare", "as connecting leaves it", "heap", "stack", "goroutines", "CPU while idle", "bars"}}
	for _, f := range r.all {
		bars := []string{
			against(round(f.goroutines), goroutineBar, false, "goroutines ≤ 1"),
			against(f.resident, residentBar, false, "resident ≤ 6 KiB"),
		}[:f.bars]
		t.add(f.name, kib(f.resident), ratio(f.resident/r.all[0].resident), kib(f.asLeft), kib(f.heap), kib(f.stack), ratio(f.goroutines),
			fmt.Sprintf("%.1f %%", 100*f.idleCPU), strings.Join(bars, ", "))
	}
	where := &table{columns: []string{"allocated by", "bytes a connection", "bar"}}
	where.add("bridge.(*index), all of it", fmt.Sprint(r.index), against(r.index, indexBar, true, fmt.Sprintf("< %d", indexBar)))
	for _, s := range r.sites[:min(topSites, len(r.sites))] {
		where.add(s.Function, fmt.Sprint(s.Bytes), "")
	}
	return []*table{t, where}
}

// round leaves out the few goroutines that are not for a connection.
func round(goroutines float64) float64 { return float64(int(goroutines*100+0.5)) / 100 }

func kib(v float64) string { return fmt.Sprintf("%.1f KiB", v/1024) }
