// Command bench says what the Pusher adapter adds to a bare WebSocket, beside
// a server of Node's usual parts (ws, jsonwebtoken, Pusher's own library) doing
// the same in the same run:
//
//	go run ./pusher/bench
//
// Each server is a process of its own. A client upgrades, reads its socket id,
// has a private channel granted by a POST with a token of HS256, subscribes and
// waits for the answer; the bare server is one that answers without any of the
// work. CPU is what the server's process used for each of these; memory is by
// how much it grew for each connection that is held open. It reads both from
// /proc, so that it runs on Linux only.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"text/tabwriter"
	"time"
)

func main() {
	handshakes := flag.Int("n", 6000, "handshakes for the CPU")
	held := flag.Int("held", 3000, "connections held open for the memory")
	atOnce := flag.Int("c", 8, "clients at once")
	modules := flag.String("modules", filepath.Join("internal", "parts", "testdata", "node", "node_modules"), "where ws, jsonwebtoken and pusher are")
	serve := flag.String("serve", "", "be a server: bare or adapter (the program starts these itself)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if *serve != "" {
		err = beServer(ctx, *serve)
	} else {
		err = run(ctx, *handshakes, *held, *atOnce, *modules)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// figures are what one server cost.
type figures struct {
	cpu    time.Duration // for each handshake
	rate   float64       // handshakes a second
	memory int64         // bytes for each connection
}

func run(ctx context.Context, handshakes, held, atOnce int, modules string) error {
	if handshakes < 1 || held < 1 || atOnce < 1 {
		return errors.New("-n, -held and -c must be at least 1")
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	modules, err = filepath.Abs(modules)
	if err != nil {
		return err
	}
	script, remove, err := writeScript()
	if err != nil {
		return err
	}
	defer remove()
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "server\tCPU per handshake\t\thandshakes/s\tmemory per connection\t\t")
	var first figures
	for i, s := range []struct {
		name    string
		command []string
	}{
		{"bare gorilla", []string{self, "-serve", "bare"}},
		{"this adapter", []string{self, "-serve", "adapter"}},
		{"ws and pusher, Node", []string{"node", script, modules, string(secret), appKey, appSecret}},
	} {
		f, err := measure(ctx, s.command, handshakes, held, atOnce)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if i == 0 {
			first = f
		}
		fmt.Fprintf(out, "%s\t%v\t%.2f\t%.0f\t%.1f KB\t%.2f\t\n", s.name, f.cpu.Round(time.Microsecond), float64(f.cpu)/float64(first.cpu),
			f.rate, float64(f.memory)/1000, float64(f.memory)/float64(first.memory))
	}
	return out.Flush()
}

// measure starts a server and puts it to work, and another to see it grow.
func measure(ctx context.Context, command []string, handshakes, held, atOnce int) (f figures, err error) {
	if f.cpu, f.rate, err = measureTime(ctx, command, handshakes, atOnce); err != nil {
		return f, err
	}
	f.memory, err = measureMemory(ctx, command, held, atOnce)
	return f, err
}

func measureTime(ctx context.Context, command []string, handshakes, atOnce int) (cpu time.Duration, rate float64, err error) {
	p, err := start(ctx, command)
	if err != nil {
		return 0, 0, err
	}
	defer p.stop()
	// What is set up, or compiled, once does not count.
	if _, err := connect(ctx, p.addr, handshakes/4+1, atOnce, false); err != nil {
		return 0, 0, err
	}
	before, err := p.cpu()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if _, err := connect(ctx, p.addr, handshakes, atOnce, false); err != nil {
		return 0, 0, err
	}
	took := time.Since(began)
	after, err := p.cpu()
	return (after - before) / time.Duration(handshakes), float64(handshakes) / took.Seconds(), err
}

func measureMemory(ctx context.Context, command []string, held, atOnce int) (int64, error) {
	p, err := start(ctx, command)
	if err != nil {
		return 0, err
	}
	defer p.stop()
	before, err := p.resident()
	if err != nil {
		return 0, err
	}
	open, err := connect(ctx, p.addr, held, atOnce, true)
	if err != nil {
		return 0, err
	}
	defer func() {
		for _, ws := range open {
			_ = ws.Close()
		}
	}()
	after, err := p.resident()
	return (after - before) / int64(held), err
}
