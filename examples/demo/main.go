// Command demo shows the whole of it on one machine:
//
//	go run ./examples/demo          a page to log in, open sockets and log out
//	go run ./examples/demo -check   the same without a browser, as a table
//
// It starts a redis-server of its own if there is one on the PATH, and brings
// a built-in Redis if not. It has a Go web application, and where PHP with its
// redis extension, or Node with the example's packages, is on the machine, it
// also starts the real applications of examples/php and examples/express on
// that same Redis.
//
// With -url, -check tries what runs elsewhere, and with -goapp the command is
// the Go web application alone; docker-compose uses it so.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

type config struct {
	listen, url, redis, redisURL string
	check, goApp, probe, verbose bool
}

func main() {
	var c config
	flag.StringVar(&c.listen, "listen", "127.0.0.1:8080", "address of the page")
	flag.StringVar(&c.redis, "redis", "auto", "where the sessions are: server, a redis-server of the demo's own; builtin, inside the process; auto, the first that is there")
	flag.BoolVar(&c.check, "check", false, "log in by each stack without a browser, print a table, and exit 0 only if all of it is right")
	flag.StringVar(&c.url, "url", "", "with -check: where the applications and the socket service run; JWT_SECRET in the environment, if they take tokens")
	flag.BoolVar(&c.goApp, "goapp", false, "be the Go web application alone, below /go/, on the Redis at -redis-url")
	flag.StringVar(&c.redisURL, "redis-url", "redis://127.0.0.1:6379", "with -goapp: where the sessions are")
	flag.BoolVar(&c.probe, "healthcheck", false, "ask the -goapp that listens on -listen how it is, and exit")
	flag.BoolVar(&c.verbose, "v", false, "log each refusal and each end (always on without -check)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := c.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func (c config) run(ctx context.Context) error {
	level := slog.LevelInfo
	if c.check && !c.verbose {
		c.listen, level = "127.0.0.1:0", slog.LevelError+1 // the refusals are in the table
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("unexpected argument %q; every setting is a flag, see -h", flag.Arg(0))
	case c.probe:
		return probe(ctx, c.listen)
	case c.goApp:
		return serveGoApp(ctx, c.listen, c.redisURL)
	case c.check && c.url != "":
		return checkElsewhere(ctx, os.Stdout, strings.TrimSuffix(c.url, "/"), os.Getenv("JWT_SECRET"))
	case c.url != "":
		return errors.New("-url is for -check")
	}
	return c.serve(ctx, log)
}

// serve starts everything, and checks it or waits until it is stopped.
func (c config) serve(ctx context.Context, log *slog.Logger) (err error) {
	// First of all, as this is what fails most often.
	listener, err := net.Listen("tcp", c.listen)
	if err != nil {
		return fmt.Errorf("%w; -listen 127.0.0.1:0 takes a free port", err)
	}
	d, err := newDemo(ctx, c.redis, log)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer d.close()
	fmt.Println("redis:  ", d.redis.about)
	if len(d.missing) > 0 {
		fmt.Println("missing:", missingLine(d.missing))
	}
	srv := &http.Server{Handler: d.handler(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()

	url := "http://" + listener.Addr().String()
	if c.check {
		err = d.check(ctx, os.Stdout, url)
	} else {
		fmt.Printf("\n  %s\n\nLog in as alice, bob or zero, password demo; stop with Ctrl-C.\n", url)
		select {
		case <-ctx.Done():
		case err = <-served:
		}
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	return errors.Join(err, d.bridge.Shutdown(drain), srv.Shutdown(drain))
}

// missingLine says in one line which applications are not shown, and why.
func missingLine(missing map[string]string) string {
	var parts []string
	for stack, get := range missing {
		parts = append(parts, stack+": "+get)
	}
	slices.Sort(parts)
	return strings.Join(parts, "; ")
}
