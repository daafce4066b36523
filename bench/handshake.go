package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sessionbridge/sessionbridge/internal/parts"
)

// The bars of a handshake's CPU time, as a ratio to the bare one.
const (
	cachedBar   = 1.25
	uncachedBar = 1.6
)

// handshakeSessions is how many sessions take turns.
const handshakeSessions = 500

// rush is how many handshakes are under way at once where many are.
const rush = 256

type handshakeScale struct {
	rounds     int
	handshakes int    // of each variant in each round
	profiles   string // folder for CPU profiles; empty: none
}

// variant is one server that is measured.
type variant struct {
	name    string
	bar     float64 // 0: none
	config  *Config // nil: the Node program
	header  string
	values  []string // of the header, in turn
	atOnce  int      // handshakes
	skipped error

	address string
	pid     int
	service *serviceProcess
	stop    func()

	runs []run // one in each round
	bare []run // the bare server's, each right before
}

// run is some handshakes with one server.
type run struct {
	cpu  float64 // of the server for one handshake, in seconds
	rate float64 // handshakes a second
}

// measureHandshakes has the servers take turns, round after round, and the bare
// one right before each other: what else the machine does falls on both.
func measureHandshakes(ctx context.Context, scale handshakeScale) ([]*variant, error) {
	if err := allowFiles(filesSpare + rush); err != nil {
		return nil, err
	}
	server, rdb, err := startRedis(ctx)
	if err != nil {
		return nil, err
	}
	defer server.Stop()
	defer rdb.Close()
	keys := newSecrets()
	express, err := expressSessions(ctx, rdb, keys.express, handshakeSessions)
	if err != nil {
		return nil, err
	}
	php, err := phpSessions(ctx, rdb, handshakeSessions)
	if err != nil {
		return nil, err
	}
	expressCookies, phpCookies := cookies(express), cookies(php)
	expressStack, phpStack := []Stack{{"express", keys.express}}, []Stack{{"php", ""}}
	all := []*variant{
		{name: bareVariant, config: &Config{Hook: HookBare}, header: "Cookie", values: expressCookies},
		{name: "Express cookie, cached", bar: cachedBar, header: "Cookie", values: expressCookies,
			config: &Config{Hook: HookBridge, Stacks: expressStack, OmitEvents: true}},
		{name: "Express cookie", bar: uncachedBar, header: "Cookie", values: expressCookies,
			config: &Config{Hook: HookBridge, Stacks: expressStack, OmitEvents: true, CacheBytes: -1}},
		{name: "PHP cookie", bar: uncachedBar, header: "Cookie", values: phpCookies,
			config: &Config{Hook: HookBridge, Stacks: phpStack, OmitEvents: true, CacheBytes: -1}},
	}
	for _, v := range all[2:] {
		rushing := *v
		rushing.name, rushing.atOnce = fmt.Sprintf("%s, %d at once", v.name, rush), rush
		all = append(all, &rushing)
	}
	for _, algorithm := range []string{"HS256", "RS256", "ES256", "EdDSA"} {
		token, verify, err := newToken(algorithm)
		if err != nil {
			return nil, err
		}
		all = append(all, &variant{name: "JWT " + algorithm, header: "Authorization", values: []string{"Bearer " + token},
			config: &Config{Hook: HookBridge, Token: verify, OmitEvents: true}})
	}
	all = append(all, &variant{name: nodeVariant, header: "Cookie", values: expressCookies})
	for _, v := range all {
		v.atOnce = cmp.Or(v.atOnce, dialing)
		if err := v.start(ctx, server.URL, keys); err != nil {
			return nil, fmt.Errorf("%s: %w", v.name, err)
		}
		if v.skipped == nil {
			defer v.stop()
		}
	}

	// The first round fills caches and pools, and is not counted.
	bare := all[0]
	for round := range scale.rounds + 1 {
		for _, v := range all[1:] {
			if v.skipped != nil {
				continue
			}
			beside, err := bare.run(ctx, scale.handshakes, v.atOnce)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", bare.name, err)
			}
			r, err := v.run(ctx, scale.handshakes, v.atOnce)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", v.name, err)
			}
			if round > 0 {
				v.runs, v.bare = append(v.runs, r), append(v.bare, beside)
				if v.atOnce == bare.atOnce {
					bare.runs, bare.bare = append(bare.runs, beside), append(bare.bare, beside)
				}
			}
		}
	}
	if scale.profiles != "" {
		for _, v := range all {
			if err := v.profile(ctx, scale); err != nil {
				return nil, fmt.Errorf("%s: %w", v.name, err)
			}
		}
	}
	return all, nil
}

const (
	bareVariant = "bare gorilla"
	nodeVariant = "Node: ws, express-session, connect-redis"
)

func cookies(all []session) []string {
	values := make([]string, len(all))
	for i, s := range all {
		values[i] = s.cookie
	}
	return values
}

func (v *variant) start(ctx context.Context, redisURL string, keys secrets) error {
	if v.config == nil {
		p, err := startNode(ctx, redisURL, keys.express)
		if missing := (*parts.MissingError)(nil); errors.As(err, &missing) {
			v.skipped = missing
			return nil
		}
		if err != nil {
			return err
		}
		v.address, v.pid, v.stop = strings.TrimPrefix(p.url, "http://"), p.pid, p.stop
		return nil
	}
	v.config.RedisURL = redisURL
	s, err := startService(ctx, v.config)
	if err != nil {
		return err
	}
	v.address, v.pid, v.stop, v.service = s.address, s.pid, s.stop, s
	return nil
}

// run does n handshakes, so many at once, and drops each connection as soon as
// it is upgraded, without a close frame.
func (v *variant) run(ctx context.Context, n, atOnce int) (run, error) {
	requests := make([][]byte, len(v.values))
	for i, value := range v.values {
		requests[i] = upgradeRequest(v.address, v.header, value)
	}
	before, err := cpuTime(v.pid)
	if err != nil {
		return run{}, err
	}
	began := time.Now()
	err = concurrently(ctx, n, atOnce, func(ctx context.Context, i int) error {
		c, err := handshake(ctx, v.address, requests[i%len(requests)])
		if err != nil {
			return err
		}
		return c.Close()
	})
	if err != nil {
		return run{}, err
	}
	took := time.Since(began)
	after, err := settledCPU(ctx, v.pid)
	return run{(after - before).Seconds() / float64(n), float64(n) / took.Seconds()}, err
}

const (
	settleInterval = 20 * time.Millisecond
	settleSlack    = 500 * time.Microsecond // in each interval: a heartbeat, a timer
	settlePatience = 2 * time.Second
)

// settledCPU waits until a process has nothing left to do, and returns its CPU
// time.
func settledCPU(ctx context.Context, pid int) (time.Duration, error) {
	last, err := cpuTime(pid)
	for deadline := time.Now().Add(settlePatience); err == nil && time.Now().Before(deadline); {
		if err = pause(ctx, settleInterval); err != nil {
			break
		}
		var now time.Duration
		now, err = cpuTime(pid)
		calm := now-last < settleSlack
		last = now
		if calm {
			break
		}
	}
	return last, err
}

func (v *variant) profile(ctx context.Context, scale handshakeScale) error {
	if v.service == nil {
		return nil
	}
	if err := v.service.rpc.Call("Service.StartProfile", struct{}{}, &struct{}{}); err != nil {
		return err
	}
	if _, err := v.run(ctx, scale.handshakes*scale.rounds, v.atOnce); err != nil {
		return err
	}
	var profile []byte
	if err := v.service.rpc.Call("Service.StopProfile", struct{}{}, &profile); err != nil {
		return err
	}
	return writeProfile(scale.profiles, v.name+".cpu", profile)
}

func writeProfile(folder, name string, profile []byte) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	name = strings.NewReplacer(" ", "-", ",", "", ":", "").Replace(strings.ToLower(name))
	return os.WriteFile(filepath.Join(folder, name+".pprof"), profile, 0o644)
}

// over divides what is of one server by what is of another in the same round.
func over(runs, others []run, of func(run) float64) (ratios []float64) {
	for i := range min(len(runs), len(others)) {
		ratios = append(ratios, of(runs[i])/of(others[i]))
	}
	return ratios
}

func cpuOf(r run) float64  { return r.cpu }
func rateOf(r run) float64 { return r.rate }

func medianOf(runs []run, of func(run) float64) float64 {
	var values []float64
	for _, r := range runs {
		values = append(values, of(r))
	}
	return median(values)
}

func handshakeTable(all []*variant) *table {
	t := &table{columns: []string{"server", "CPU a handshake", "÷ bare", "quartiles", "÷ Node", "handshakes/s", "÷ bare", "bar"}}
	node := all[len(all)-1]
	for _, v := range all {
		if v.skipped != nil {
			t.add(v.name, "not measured: "+v.skipped.Error(), "", "", "", "", "", "")
			continue
		}
		ratios := over(v.runs, v.bare, cpuOf)
		cpu := median(ratios)
		bar, overNode := "", ""
		duration := time.Duration(medianOf(v.runs, cpuOf) * float64(time.Second))
		if v.bar > 0 {
			bar = against(cpu, v.bar, false, "≤ "+ratio(v.bar))
		}
		if node.skipped == nil && v.atOnce == node.atOnce { // Node's cost is another at another load
			overNode = ratio(medianOf(v.runs, cpuOf) / medianOf(node.runs, cpuOf))
		}
		t.add(v.name, micros(duration), ratio(cpu), ratio(quantile(ratios, 0.25))+" to "+ratio(quantile(ratios, 0.75)),
			overNode, fmt.Sprintf("%.0f", medianOf(v.runs, rateOf)), ratio(median(over(v.runs, v.bare, rateOf))), bar)
	}
	return t
}
