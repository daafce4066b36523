package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"
)

// serveGoApp is the Go web application alone, until ctx ends.
func serveGoApp(ctx context.Context, listen, redisURL string) error {
	opts, err := redis.ParseURL(redisURL)
	if err != nil {
		// The parser's own words quote the URL, password and all.
		return errors.New("-redis-url is not a Redis URL, such as redis://localhost:6379")
	}
	opts.ContextTimeoutEnabled = true
	client := redis.NewClient(opts)
	defer client.Close()
	app, err := newGoApp(ctx, client)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/go/", http.StripPrefix("/go", app))
	srv := &http.Server{Addr: listen, Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.ListenAndServe() }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	return srv.Shutdown(drain)
}

// probe asks the application that listens on this machine how it is: a
// container without a shell has nothing else to ask with.
func probe(ctx context.Context, listen string) error {
	_, port, err := net.SplitHostPort(listen)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort("localhost", port)+"/go/healthz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the application answers %s", resp.Status)
	}
	return nil
}
