// Command socket is a WebSocket service that knows who is connected, from the
// login that a PHP, Express or Go web application keeps in Redis, or from a
// JWT. On /ws it tells each client who it is and echoes its text frames;
// /auth tells a proxy who is logged in, /centrifugo/connect tells Centrifugo, and
// /healthz answers 200 while Redis answers.
package main

import (
	"context"
	"encoding/json"
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

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/metrics"
	"github.com/sessionbridge/sessionbridge/stores"
)

// drainTime is how long connections may take to end on SIGTERM.
const drainTime = 10 * time.Second

func main() {
	cfg, err := parseConfig(os.Args[1:], os.LookupEnv)
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(0)
	case err != nil:
		fmt.Fprintln(os.Stderr, "socket:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if cfg.healthcheck {
		err = healthcheck(ctx, cfg.listen)
	} else {
		err = run(ctx, cfg)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "socket:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, then drains.
func run(ctx context.Context, cfg *config) error {
	opts, err := redis.ParseURL(cfg.redisURL)
	if err != nil {
		// The parser's own words quote the URL, password and all.
		return errors.New("REDIS_URL is not a Redis URL, such as redis://:password@localhost:6379/0; characters like / and # in the password are percent-encoded")
	}
	opts.ContextTimeoutEnabled = true
	redis.SetLogger(redisLog{})
	rdb := redis.NewClient(opts)
	defer rdb.Close()

	store, err := cfg.store(rdb)
	if err != nil {
		return err
	}
	stacks := cfg.stacks()
	auth, err := cfg.authenticator(store, stacks)
	if err != nil {
		return err
	}
	bus, err := stores.NewBus(rdb, nil)
	if err != nil {
		return err
	}
	bridgeOpts := &bridge.Options{
		AllowedOrigins: cfg.origins,
		Sweep:          cfg.sweep,
		MaxStale:       cfg.maxStale,
		CacheBytes:     cfg.cacheBytes,
		Touch:          cfg.touch,
		Bus:            bus,
	}
	var measured http.Handler
	if cfg.metrics != "" {
		registry := prometheus.NewRegistry()
		m, err := metrics.New(registry)
		if err != nil {
			return err
		}
		bridgeOpts.Observe, measured = m.Observe, promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	}
	b, err := bridge.New(auth, bridgeOpts)
	if err != nil {
		return err
	}

	mux := http.NewServeMux()
	mux.Handle("/ws", b.Handler(echo))
	mux.Handle("/auth", b.ForwardAuth())
	mux.Handle("/centrifugo/connect", b.CentrifugoConnect())
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		if err := rdb.Ping(ctx).Err(); err != nil {
			http.Error(w, "redis does not answer", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	listener, err := net.Listen("tcp", cfg.listen)
	if err != nil {
		return err
	}
	slog.Info("listening", "address", listener.Addr().String(), "redis", opts.Addr)
	failed := make(chan error, 2)
	go func() { failed <- srv.Serve(listener) }()
	if cfg.metrics != "" {
		inner := &http.Server{Addr: cfg.metrics, Handler: measured, ReadHeaderTimeout: 10 * time.Second}
		defer inner.Close()
		go func() { failed <- inner.ListenAndServe() }()
	}
	checkStore(ctx, store, stacks)

	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	slog.Info("draining", "connections", b.Len())
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	return errors.Join(b.Shutdown(drain), srv.Shutdown(drain))
}

// redisLog takes the client's own lines, several a second while Redis is away;
// what matters of them is in the errors, too.
type redisLog struct{}

func (redisLog) Printf(ctx context.Context, format string, v ...any) {
	slog.DebugContext(ctx, "redis client", "text", fmt.Sprintf(format, v...))
}

// echo answers each text frame with who sent it.
func echo(c *bridge.Conn) {
	for {
		messageType, frame, err := c.ReadMessage()
		if err != nil {
			return
		}
		if messageType != websocket.TextMessage {
			continue
		}
		id := c.Identity()
		answer := struct {
			User string          `json:"user"`
			Via  string          `json:"via"`
			Echo json.RawMessage `json:"echo"`
		}{id.User, id.Via, frame}
		if !json.Valid(frame) {
			answer.Echo, _ = json.Marshal(string(frame)) // a string: cannot fail
		}
		if err := c.WriteJSON(answer); err != nil {
			return
		}
	}
}

// healthcheck asks a running service on this machine how it is: a container
// without a shell has nothing else to ask with.
func healthcheck(ctx context.Context, listen string) error {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/healthz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the service answers %s", resp.Status)
	}
	return nil
}
