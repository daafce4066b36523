package main

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/internal/parts"
	"github.com/sessionbridge/sessionbridge/jwtmode"
	"github.com/sessionbridge/sessionbridge/stores"
)

//go:embed page
var pageFiles embed.FS

// goCookie is the name that the Go application gives its session cookie.
const goCookie = "go-session"

// demo is everything that runs.
type demo struct {
	redis  *miniredis.Miniredis
	client *redis.Client
	bridge *bridge.Bridge
	tokens *tokens
	goApp  http.Handler

	apps    map[string]*parts.Process // by the stack's name
	missing []string                  // what is not on this machine, a line each

	ctx  context.Context
	stop context.CancelFunc
	done chan struct{}
}

func newDemo(ctx context.Context, log *slog.Logger) (d *demo, err error) {
	d = &demo{apps: map[string]*parts.Process{}, done: make(chan struct{})}
	d.ctx, d.stop = context.WithCancel(context.WithoutCancel(ctx))
	if d.redis, err = miniredis.Run(); err != nil {
		d.stop()
		return nil, err
	}
	go d.passTime()
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	d.client = redis.NewClient(&redis.Options{Addr: d.redis.Addr(), ContextTimeoutEnabled: true})

	secret := rand.Text()
	redisURL := "redis://" + d.redis.Addr()
	if err := d.startApp(parts.StartPHP(ctx, redisURL)); err != nil {
		return nil, err
	}
	if err := d.startApp(parts.StartExpress(ctx, redisURL, secret)); err != nil {
		return nil, err
	}

	// From here on it is what any service would write.
	redisStore, err := stores.NewRedis(d.client, nil)
	if err != nil {
		return nil, err
	}
	// The built-in Redis reports no changes, so none are asked for.
	store := struct{ stores.Store }{redisStore}
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
	auth := bridge.First(jwtAuth, phpAuth, expressAuth, goAuth, keyAuth)
	d.bridge, err = bridge.New(auth, &bridge.Options{Logger: log, Sweep: 2 * time.Second})
	if err != nil {
		return nil, err
	}
	d.goApp, err = newGoApp(ctx, d.client)
	return d, err
}

// startApp keeps an application that was started, or notes what it lacks.
func (d *demo) startApp(p *parts.Process, err error) error {
	missing := (*parts.MissingError)(nil)
	switch {
	case errors.As(err, &missing):
		d.missing = append(d.missing, missing.Error())
	case err != nil:
		return err
	default:
		d.apps[p.Name] = p
	}
	return nil
}

// passTime lets keys expire: miniredis has no clock of its own.
func (d *demo) passTime() {
	defer close(d.done)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-d.ctx.Done():
			return
		case <-tick.C:
			d.redis.FastForward(time.Second)
		}
	}
}

func (d *demo) close() {
	for _, app := range d.apps {
		app.Stop()
	}
	d.stop()
	<-d.done
	if d.client != nil {
		_ = d.client.Close()
	}
	d.redis.Close()
}

// handler serves the page, the applications and the socket on one origin, as a
// reverse proxy in front of them would.
func (d *demo) handler() http.Handler {
	mux := http.NewServeMux()
	page, err := fs.Sub(pageFiles, "page")
	if err != nil {
		panic(err) // embedded at build time
	}
	mux.Handle("/", http.FileServerFS(page))
	mux.Handle("/go/", http.StripPrefix("/go", d.goApp))
	for name, app := range d.apps {
		target, err := url.Parse(app.URL)
		if err != nil {
			panic(err) // made from a port number
		}
		proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		}}
		mux.Handle("/"+name+"/", http.StripPrefix("/"+name, proxy))
	}
	mux.HandleFunc("GET /stacks", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"tokens": true, "missing": d.missing})
	})
	// Whoever is logged in by any stack may have a token.
	mux.Handle("POST /token", d.bridge.Middleware(http.HandlerFunc(d.tokens.issue)))
	mux.Handle("/ws", d.bridge.Handler(talk))
	return mux
}

// talk answers each message with who sent it.
func talk(c *bridge.Conn) {
	for {
		messageType, text, err := c.ReadMessage()
		if err != nil {
			return
		}
		if messageType != websocket.TextMessage {
			continue
		}
		id := c.Identity()
		if err := c.WriteJSON(map[string]string{"user": id.User, "via": id.Via, "echo": string(text)}); err != nil {
			return
		}
	}
}
