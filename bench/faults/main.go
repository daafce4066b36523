// Command faults measures what becomes of live sockets while their Redis, or
// the way to it, fails, and prints a Markdown table:
//
//	go run ./bench/faults [-sockets 2000] [-fault sigstop,flushall]
//
// For each fault it starts the Redis servers, the service with its default
// options, and the sockets, each with a session of its own. Half of the sockets
// log out around the fault: a fifth of these before it, some of them in its
// last milliseconds, three fifths while it lasts and a fifth after it. A logout
// that Redis does not answer is tried again until it does.
//
// docs/faults.md says what the columns mean and what is promised.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9/logging"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := command(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

// full is what the table in docs/faults.md is measured with.
var full = config{
	Sockets: 2000,
	Before:  2 * time.Second,
	Outage:  20 * time.Second,
	After:   3 * time.Second,
	Down:    5 * time.Second,
}

func command(ctx context.Context, args []string, out, progress io.Writer) error {
	cfg := full
	flags := flag.NewFlagSet("faults", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.IntVar(&cfg.Sockets, "sockets", cfg.Sockets, "how many sockets there are; 10 at least")
	names := make([]string, len(faults))
	for i, f := range faults {
		names[i] = f.name
	}
	only := flags.String("fault", "", "the faults to measure, comma-separated, of "+strings.Join(names, ", ")+" (default all)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case cfg.Sockets < 10:
		return fmt.Errorf("-sockets is %d; 10 is the least", cfg.Sockets)
	}
	chosen := faults
	if *only != "" {
		chosen = nil
		for name := range strings.SplitSeq(*only, ",") {
			i := slices.Index(names, name)
			if i < 0 {
				return fmt.Errorf("there is no fault %q; there are %s", name, strings.Join(names, ", "))
			}
			chosen = append(chosen, faults[i])
		}
	}
	logging.Disable() // go-redis: that a server is away is no news here
	writeHeader(out)
	bad := 0
	for _, f := range chosen {
		fmt.Fprintf(progress, "%s: %s\n", f.name, f.title)
		r, err := run(ctx, f, cfg)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		r.writeRow(out)
		for _, failing := range r.failures() {
			bad++
			fmt.Fprintf(progress, "%s: %s\n", f.name, failing)
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d promises were not kept", bad)
	}
	return nil
}
