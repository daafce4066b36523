package main

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/internal/parts"
	"github.com/sessionbridge/sessionbridge/jwtmode"
	"github.com/sessionbridge/sessionbridge/stores"
)

// goCookie is the name that the Go application gives its session cookie.
const goCookie = "go-session"

// demo is everything that runs.
type demo struct {
	redis  *sessionRedis
	client *redis.Client
	auth   bridge.Authenticator
	bridge *bridge.Bridge
	tokens *tokens
	goApp  http.Handler

	apps    map[string]*parts.Process // by the stack's name
	missing map[string]string         // by the stack's name: what to install
}

// newDemo starts all that is on this machine. redisKind is as startRedis says.
func newDemo(ctx context.Context, redisKind string, log *slog.Logger) (d *demo, err error) {
	d = &demo{apps: map[string]*parts.Process{}, missing: map[string]string{}}
	if d.redis, err = startRedis(ctx, redisKind); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	opts, err := redis.ParseURL(d.redis.url)
	if err != nil {
		return nil, err
	}
	opts.ContextTimeoutEnabled = true
	d.client = redis.NewClient(opts)

	secret := rand.Text()
	php, err := parts.StartPHP(ctx, d.redis.url)
	if err := d.keep("php", php, err); err != nil {
		return nil, err
	}
	express, err := parts.StartExpress(ctx, d.redis.url, secret)
	if err := d.keep("express", express, err); err != nil {
		return nil, err
	}

	// From here on it is what any service would write.
	redisStore, err := stores.NewRedis(d.client, &stores.RedisOptions{Watch: stores.WatchOptions{Logger: log}})
	if err != nil {
		return nil, err
	}
	store, sweep := stores.Store(redisStore), time.Duration(0)
	if !d.redis.pushes {
		// None are asked for of a Redis that reports no changes.
		store, sweep = struct{ stores.Store }{redisStore}, 2*time.Second
	}
	phpAuth, err := cookie.New(store, cookie.PHP())
	if err != nil {
		return nil, err
	}
	expressAuth, err := cookie.New(store, cookie.Express(secret))
	if err != nil {
		return nil, err
	}
	goAuth, err := cookie.New(store, cookie.Gorilla(goCookie))
	if err != nil {
		return nil, err
	}
	keyAuth, err := cookie.RedisKey(phpAuth, expressAuth, goAuth)
	if err != nil {
		return nil, err
	}
	d.tokens = newTokens()
	jwtAuth, err := jwtmode.New(d.tokens.options())
	if err != nil {
		return nil, err
	}
	d.auth = bridge.First(jwtAuth, phpAuth, expressAuth, goAuth, keyAuth)
	// A page can show why it is refused only after the upgrade.
	d.bridge, err = bridge.New(d.auth, &bridge.Options{Logger: log, Sweep: sweep, RefuseAfterUpgrade: true})
	if err != nil {
		return nil, err
	}
	d.goApp, err = newGoApp(ctx, d.client)
	return d, err
}

// keep keeps an application that was started, or notes what it lacks.
func (d *demo) keep(stack string, p *parts.Process, err error) error {
	missing := (*parts.MissingError)(nil)
	switch {
	case errors.As(err, &missing):
		d.missing[stack] = missing.Get
	case err != nil:
		return err
	default:
		d.apps[stack] = p
	}
	return nil
}

func (d *demo) close() {
	for _, app := range d.apps {
		app.Stop()
	}
	if d.client != nil {
		_ = d.client.Close()
	}
	d.redis.stop()
}
