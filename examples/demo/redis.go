package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/sessionbridge/sessionbridge/internal/parts"
)

// sessionRedis is the Redis that the sessions are in: a redis-server of the
// demo's own, or the one inside the process.
type sessionRedis struct {
	url   string
	about string // one line: which it is, and what that means

	// pushes: it reports changes, so that a logout need not be looked for.
	pushes bool

	stop func()
}

// startRedis starts a redis-server if there is one on the PATH, and the
// built-in Redis otherwise. kind is "auto", "server" or "builtin".
func startRedis(ctx context.Context, kind string) (*sessionRedis, error) {
	switch kind {
	case "auto", "server":
		r, err := startServer(ctx)
		if kind == "auto" && errors.As(err, new(*parts.MissingError)) {
			return startBuiltin()
		}
		return r, err
	case "builtin":
		return startBuiltin()
	}
	return nil, fmt.Errorf("-redis is %q, not auto, server or builtin", kind)
}

func startServer(ctx context.Context) (*sessionRedis, error) {
	dir, err := os.MkdirTemp("", "sessionbridge-demo-")
	if err != nil {
		return nil, err
	}
	p, err := parts.StartRedis(ctx, "--dir", dir)
	if err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	return &sessionRedis{
		url:    p.URL,
		about:  "redis-server at " + p.URL + ", of the demo's own: it reports changes, so a logout reaches its sockets within milliseconds",
		pushes: true,
		stop: func() {
			p.Stop()
			_ = os.Remove(dir) // it has kept nothing in there
		},
	}, nil
}

func startBuiltin() (*sessionRedis, error) {
	server, err := miniredis.Run()
	if err != nil {
		return nil, err
	}
	done := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		passTime(server, done)
	}()
	return &sessionRedis{
		url:   "redis://" + server.Addr(),
		about: "the built-in Redis reports no changes, so a logout reaches its sockets within 2 s; with a redis-server on the PATH, at once",
		stop: func() {
			close(done)
			<-stopped
			server.Close()
		},
	}, nil
}

// passTime lets keys expire: miniredis has no clock of its own.
func passTime(server *miniredis.Miniredis, done <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			server.FastForward(time.Second)
		}
	}
}
