// Command demo shows the whole of it on one machine:
//
//	go run ./examples/demo          a page to log in, open sockets and log out
//	go run ./examples/demo -check   the same without a browser, as a table
//
// It brings its own Redis (miniredis, inside the process) and a Go web
// application. Where PHP with its redis extension, or Node with the example's
// packages, is on the machine, it also starts the real applications of
// examples/php and examples/express on that same Redis.
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
	"syscall"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address of the page")
	check := flag.Bool("check", false, "log in by each stack without a browser, print a table, and exit 0 only if all of it is right")
	verbose := flag.Bool("v", false, "log each refusal and each end (always on without -check)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	level := slog.LevelInfo
	if *check && !*verbose {
		*listen, level = "127.0.0.1:0", slog.LevelError+1 // the refusals are in the table
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	if err := run(ctx, *listen, *check, log); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, listen string, check bool, log *slog.Logger) error {
	d, err := newDemo(ctx, log)
	if err != nil {
		return err
	}
	defer d.close()
	for _, missing := range d.missing {
		fmt.Println(missing)
	}
	fmt.Println("the built-in Redis reports no changes: a logout reaches its sockets within 2 s, with a real Redis at once")
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("%w; -listen 127.0.0.1:0 takes a free port", err)
	}
	srv := &http.Server{Handler: d.handler(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()

	url := "http://" + listener.Addr().String()
	if check {
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
