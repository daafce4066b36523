package stores

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
)

// gate is a client's hook that holds pipelines back until it is opened.
type gate struct {
	open      chan struct{}
	held      atomic.Int64
	pipelines atomic.Int64
	commands  atomic.Int64
	whose     atomic.Value // the callerKey of the last pipeline's context
}

// callerKey is a context's key for a caller's name.
type callerKey struct{}

func (g *gate) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (g *gate) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (g *gate) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if name := cmds[0].Name(); name != "getrange" && name != "hgetall" {
			return next(ctx, cmds) // of the client's own
		}
		g.pipelines.Add(1)
		g.commands.Add(int64(len(cmds)))
		caller, _ := ctx.Value(callerKey{}).(string)
		g.whose.Store(caller)
		g.held.Add(1)
		<-g.open
		return next(ctx, cmds)
	}
}

const laneTimeout = 30 * time.Second // far beyond what a test takes on a busy machine

// newGated returns a store whose lane is full: maxPipelines are held back.
func newGated(t *testing.T, url string, timeout time.Duration) (*Redis, *gate, *sync.WaitGroup) {
	t.Helper()
	opts, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(opts)
	t.Cleanup(func() { _ = client.Close() })
	g := &gate{open: make(chan struct{})}
	client.AddHook(g)
	s, err := NewRedis(client, &RedisOptions{Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	var first sync.WaitGroup
	began := time.Now()
	for i := range maxPipelines {
		first.Go(func() { _, _ = s.Fetch(t.Context(), Key{ID: "first"}) })
		poll(t, "a pipeline under way", func() bool { return g.held.Load() == int64(i+1) })
	}
	if took := time.Since(began); took > timeout/2 {
		t.Fatalf("pipelines beside one that hangs began after %v, not in about %v", took, patience)
	}
	return s, g, &first
}

func poll(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(laneTimeout)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("waited in vain for " + what)
		}
	}
}

func (s *Redis) waiters() (n int) {
	s.lanes.mu.Lock()
	defer s.lanes.mu.Unlock()
	for _, l := range s.lanes.m {
		for _, b := range l.waiting {
			n += len(b.lookups)
		}
	}
	return n
}

// pipelines returns how many are under way.
func (s *Redis) pipelines() (n int) {
	s.lanes.mu.Lock()
	defer s.lanes.mu.Unlock()
	for _, l := range s.lanes.m {
		n += l.busy
	}
	return n
}

func TestLookupsShareAPipeline(t *testing.T) {
	leak := goleak.IgnoreCurrent()
	t.Run("server", func(t *testing.T) {
		p := partstest.Redis(t)
		s, g, first := newGated(t, p.URL, laneTimeout)
		values := map[string]string{
			"short": "value", "empty": "", "as long as shared": strings.Repeat("x", firstRead),
			"longer": strings.Repeat("y", firstRead+1), "limit": strings.Repeat("z", MaxValue),
		}
		for name, v := range values {
			if err := s.client.Set(t.Context(), name, v, time.Hour).Err(); err != nil {
				t.Fatal(err)
			}
		}
		for _, err := range []error{
			s.client.SetRange(t.Context(), "over", MaxValue, "x").Err(),
			s.client.RPush(t.Context(), "list", "x").Err(),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		check := func(name string, r Record) error {
			want, ok := values[name]
			switch {
			case name == "over" && r.Found && r.Value == nil && errors.Is(r.Err, ErrTooLarge):
			case name == "list" && r.Found && r.Value == nil && errors.Is(r.Err, ErrWrongType):
			case ok && r.Found && r.Err == nil && string(r.Value) == want && r.TTL > 0 && r.TTL <= time.Hour:
			case name == "missing" && !r.Found && r.Err == nil:
			default:
				return fmt.Errorf("%s: found %v, %d bytes, error %v", name, r.Found, len(r.Value), r.Err)
			}
			return nil
		}
		names := []string{"short", "missing", "empty", "as long as shared", "list", "longer", "limit", "over"}
		var all sync.WaitGroup
		const callers = 300
		for i := range callers {
			all.Go(func() {
				name, other := "short", "missing"
				if i < len(names) {
					name, other = names[i], names[len(names)-1-i]
				}
				keys := []Key{{ID: name}}
				if i%10 == 0 {
					keys = append(keys, Key{ID: other})
				}
				got, err := s.Fetch(t.Context(), keys...)
				if err == nil && len(got) != len(keys) {
					err = fmt.Errorf("%d records for %d keys", len(got), len(keys))
				}
				for j := 0; err == nil && j < len(keys); j++ {
					err = check(keys[j].ID, got[j])
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		poll(t, "all callers", func() bool { return s.waiters() == callers })
		close(g.open)
		all.Wait()
		first.Wait()
		// 330 keys in pipelines of 128 keys; and the three long values once
		// more, one of which two callers read.
		shared, large := int64(3), int64(4)
		if n := g.pipelines.Load() - maxPipelines; n != shared+large {
			t.Errorf("%d pipelines, want %d", n, shared+large)
		}
		if n := g.commands.Load() - 2*maxPipelines; n != 2*(callers+callers/10+large) {
			t.Errorf("%d commands, want %d", n, 2*(callers+callers/10+large))
		}
	})
	goleak.VerifyNone(t, leak) // a store has no Close
}

// A pipeline that is one caller's has the values of its context, a trace say,
// whoever sends it; one that is shared has nobody's.
func TestPipelineHasItsCallersContext(t *testing.T) {
	s, g, first := newGated(t, partstest.Redis(t).URL, laneTimeout)
	as := func(name string) context.Context { return context.WithValue(t.Context(), callerKey{}, name) }
	var crowd sync.WaitGroup
	const callers = 5
	for range callers {
		crowd.Go(func() {
			if _, err := s.Fetch(as("one of many"), Key{ID: "x"}); err != nil {
				t.Error(err)
			}
		})
	}
	poll(t, "all callers", func() bool { return s.waiters() == callers })
	close(g.open)
	crowd.Wait()
	first.Wait()
	poll(t, "the lane", func() bool { return s.pipelines() == 0 })
	if got := g.whose.Load(); got != "" {
		t.Errorf("the pipeline of all has the context of %q", got)
	}
	for _, c := range []struct {
		caller  string
		crowded bool // what the lane was like before
	}{
		{"alone after a crowd", true},
		{"alone", false},
	} {
		if got := s.lanes.m[""].shared > 1; got != c.crowded {
			t.Fatalf("%s: the lane is crowded: %v, want %v", c.caller, got, c.crowded)
		}
		if _, err := s.Fetch(as(c.caller), Key{ID: "x"}); err != nil {
			t.Fatal(err)
		}
		if got := g.whose.Load(); got != c.caller {
			t.Errorf("the pipeline has the context of %q, want %q", got, c.caller)
		}
		poll(t, "the lane", func() bool { return s.pipelines() == 0 })
	}
}

// A caller that leaves is not asked for, and the others get what they want.
func TestLookupIsLeft(t *testing.T) {
	s, g, first := newGated(t, partstest.Redis(t).URL, laneTimeout)
	ctx, cancel := context.WithCancel(t.Context())
	var leavers, stayers sync.WaitGroup
	const each = 50
	for range each {
		leavers.Go(func() {
			if got, err := s.Fetch(ctx, Key{ID: "left"}); !errors.Is(err, context.Canceled) || got != nil {
				t.Errorf("= %v, %v, want context.Canceled", got, err)
			}
		})
		stayers.Go(func() {
			if got, err := s.Fetch(t.Context(), Key{ID: "stayed"}); err != nil || len(got) != 1 {
				t.Errorf("= %v, %v", got, err)
			}
		})
	}
	poll(t, "all callers", func() bool { return s.waiters() == 2*each })
	cancel()
	leavers.Wait() // while everything is still held back
	close(g.open)
	stayers.Wait()
	first.Wait()
	if n := g.commands.Load() - 2*maxPipelines; n != 2*each {
		t.Errorf("%d commands, want %d", n, 2*each)
	}
}

// Callers that wait do so for no longer than Timeout, and those who come later
// are not held up by a pipeline that hangs for longer.
func TestLookupTimesOutWaiting(t *testing.T) {
	const timeout = 2 * time.Second
	s, g, first := newGated(t, partstest.Redis(t).URL, timeout)
	began := time.Now()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if got, err := s.Fetch(t.Context(), Key{ID: "x"}); !errors.Is(err, context.DeadlineExceeded) || got != nil {
				t.Errorf("= %v, %v, want context.DeadlineExceeded", got, err)
			}
		})
	}
	all.Wait()
	// Not until the pipelines before them have timed out, and theirs as well.
	if took := time.Since(began); took > timeout*7/4 {
		t.Errorf("they waited for %v, want %v", took, timeout)
	}
	first.Wait() // nobody waits for those either, although they are held back
	poll(t, "the lane", func() bool {
		s.lanes.mu.Lock()
		defer s.lanes.mu.Unlock()
		return s.lanes.m[""].busy == 0
	})
	held := g.held.Load()
	all.Go(func() { _, _ = s.Fetch(t.Context(), Key{ID: "x"}) })
	poll(t, "the next pipeline", func() bool { return g.held.Load() > held })
	close(g.open)
	all.Wait()
}

// An error of the connection is one of all who share it.
func TestLookupsShareAnError(t *testing.T) {
	p := partstest.Redis(t)
	s, g, first := newGated(t, p.URL, laneTimeout)
	var all sync.WaitGroup
	const callers = 50
	for range callers {
		all.Go(func() {
			if got, err := s.Fetch(t.Context(), Key{ID: "x"}); err == nil || got != nil || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("= %v, %v, want an error of the connection", got, err)
			}
		})
	}
	poll(t, "all callers", func() bool { return s.waiters() == callers })
	p.Kill()
	close(g.open)
	all.Wait()
	first.Wait()
}

// A node of a cluster that hangs holds up nobody whose session is on another.
func TestHungNodeHoldsUpItsOwn(t *testing.T) {
	nodes := []redis.ClusterSlot{{Start: 0, End: 8191}, {Start: 8192, End: 16383}}
	hung, sound := partstest.Redis(t), partstest.Redis(t)
	for i, url := range []string{hung.URL, sound.URL} {
		opts, err := redis.ParseURL(url)
		if err != nil {
			t.Fatal(err)
		}
		nodes[i].Nodes = []redis.ClusterNode{{Addr: opts.Addr}}
	}
	client := redis.NewClusterClient(&redis.ClusterOptions{
		ClusterSlots:          func(context.Context) ([]redis.ClusterSlot, error) { return nodes, nil },
		ContextTimeoutEnabled: true,
		PoolSize:              128,
	})
	t.Cleanup(func() { _ = client.Close() })
	// Slots by CRC-16 of the key (Redis Cluster specification): "b" has 3300,
	// "a" 15495.
	onHung, onSound := Key{ID: "b"}, Key{ID: "a"}
	s, err := NewRedis(client, &RedisOptions{Timeout: laneTimeout})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Fetch(t.Context(), onHung, onSound); err != nil || len(got) != 2 {
		t.Fatal(got, err)
	}
	if err := hung.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	proceed := func() { _ = hung.Signal(syscall.SIGCONT) }
	t.Cleanup(proceed)
	var held sync.WaitGroup
	const callers = 20
	for i := range callers {
		held.Go(func() {
			keys := []Key{onHung}
			if i == 0 {
				keys = append(keys, onSound)
			}
			if got, err := s.Fetch(t.Context(), keys...); err != nil || len(got) != len(keys) {
				t.Errorf("on the node that hung: %v, %v", got, err)
			}
		})
		if i < maxPipelines {
			poll(t, "a pipeline under way", func() bool { return s.pipelines() == i+1 && s.waiters() == 0 })
		}
	}
	poll(t, "callers", func() bool { return s.waiters() == callers-maxPipelines })
	for range 10 {
		began := time.Now()
		if got, err := s.Fetch(t.Context(), onSound); err != nil || len(got) != 1 {
			t.Errorf("on the other node: %v, %v", got, err)
		}
		if took := time.Since(began); took > laneTimeout/2 {
			t.Errorf("on the other node: it took %v", took)
		}
	}
	if n := s.waiters(); n != callers-maxPipelines {
		t.Errorf("%d still wait for the node that hangs, want %d", n, callers-maxPipelines)
	}
	proceed()
	held.Wait()
}
