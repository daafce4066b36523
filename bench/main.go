package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"syscall"
	"time"
)

func main() {
	if os.Getenv(serviceVariable) != "" {
		if err := serveStdio(); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	o, err := parseOptions(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := o.run(ctx, os.Stdout); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options say what is measured and how much of it.
type options struct {
	names     []string
	logout    logoutScale
	storm     stormScale
	handshake handshakeScale
	memory    memoryScale
}

var measurements = []string{"logout", "storm", "handshake", "memory"}

// The scale of the bars, and of -quick.
var (
	wholeScale = options{
		logout:    logoutScale{sockets: 10_000, writes: 1000, logouts: 200, patience: 10 * time.Second},
		storm:     stormScale{sockets: 10_000, window: 10 * time.Second, logouts: 50},
		handshake: handshakeScale{rounds: 20, handshakes: 1500},
		memory:    memoryScale{sockets: 15_000, watched: 5 * time.Second},
	}
	quickScale = options{
		logout:    logoutScale{sockets: 50, writes: 100, logouts: 3, patience: 5 * time.Second},
		storm:     stormScale{sockets: 50, window: 500 * time.Millisecond, logouts: 5},
		handshake: handshakeScale{rounds: 2, handshakes: 100},
		memory:    memoryScale{sockets: 300, watched: 200 * time.Millisecond},
	}
)

func parseOptions(args []string) (*options, error) {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.Usage = func() {
		fmt.Fprintf(fs.Output(), "usage: bench [flags] [logout | storm | handshake | memory]…\n")
		fs.PrintDefaults()
	}
	quick := fs.Bool("quick", false, "measure very little, to see that everything works")
	sockets := fs.Int("sockets", 0, "connected sockets of logout and storm (10000)")
	writes := fs.Int("writes", 0, "session writes a second during logout (1000)")
	logouts := fs.Int("logouts", 0, "logouts of each web application (200)")
	rounds := fs.Int("rounds", 0, "rounds of handshake (20)")
	handshakes := fs.Int("handshakes", 0, "handshakes of each server in a round (1500)")
	idle := fs.Int("idle", 0, "idle connections of memory (15000)")
	profiles := fs.String("profiles", "", "folder for CPU and heap profiles of the services, taken after measuring")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	o := wholeScale
	if *quick {
		o = quickScale
	}
	for _, f := range []struct {
		name  string
		value int
		of    []*int
	}{
		{"sockets", *sockets, []*int{&o.logout.sockets, &o.storm.sockets}},
		{"writes", *writes, []*int{&o.logout.writes}},
		{"logouts", *logouts, []*int{&o.logout.logouts}},
		{"rounds", *rounds, []*int{&o.handshake.rounds}},
		{"handshakes", *handshakes, []*int{&o.handshake.handshakes}},
		{"idle", *idle, []*int{&o.memory.sockets}},
	} {
		if f.value < 0 {
			return nil, fmt.Errorf("-%s is negative", f.name)
		}
		for _, v := range f.of {
			if f.value > 0 {
				*v = f.value
			}
		}
	}
	o.storm.logouts = min(o.storm.logouts, o.storm.sockets)
	o.handshake.profiles, o.memory.profiles = *profiles, *profiles
	o.names = fs.Args()
	for _, name := range o.names {
		if !slices.Contains(measurements, name) {
			return nil, fmt.Errorf("%q is none of %v", name, measurements)
		}
	}
	if len(o.names) == 0 {
		o.names = measurements
	}
	return &o, nil
}

// run measures and prints. Its error says what could not be measured, or what
// came out that must never happen; a missed bar is only printed.
func (o *options) run(ctx context.Context, w io.Writer) error {
	fmt.Fprintf(w, "%s, %s/%s, GOMAXPROCS %d\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0))
	var errs []error
	for _, name := range o.names {
		measure := map[string]func(context.Context, io.Writer) error{
			"logout": o.runLogout, "storm": o.runStorm, "handshake": o.runHandshake, "memory": o.runMemory,
		}[name]
		if err := measure(ctx, w); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

func (o *options) runLogout(ctx context.Context, w io.Writer) error {
	r, err := measureLogout(ctx, webApps, o.logout)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "## logout\n\nFrom the web application's Redis command to the socket, with %d more sockets connected and %.0f session writes a second.\n\n",
		o.logout.sockets, r.writes)
	return errors.Join(r.table().writeTo(w), r.err())
}

func (o *options) runStorm(ctx context.Context, w io.Writer) error {
	all, err := measureStorm(ctx, o.storm)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "## storm\n\nAll connections are cut, and every client comes back within %v.\n\n", o.storm.window)
	return errors.Join(stormTable(all).writeTo(w), stormErr(all))
}

func (o *options) runHandshake(ctx context.Context, w io.Writer) error {
	all, err := measureHandshakes(ctx, o.handshake)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "## handshake\n\n%d at once, where no other number is said; medians of %d rounds of %d handshakes.\n\n", dialing, o.handshake.rounds, o.handshake.handshakes)
	return handshakeTable(all).writeTo(w)
}

func (o *options) runMemory(ctx context.Context, w io.Writer) error {
	r, err := measureMemory(ctx, o.memory)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "## memory\n\n%d idle connections, each cookie with a session of its own; for each connection:\n\n", o.memory.sockets)
	for _, t := range r.tables() {
		if err := t.writeTo(w); err != nil {
			return err
		}
	}
	return nil
}
