package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/stores"
)

// service is the socket service under test.
type service struct {
	url    string // ws://…
	store  *observed
	bridge *bridge.Bridge
	client redis.UniversalClient
	server *http.Server
	served chan struct{}
}

func startService(client redis.UniversalClient, cfg config) (*service, error) {
	silent := slog.New(slog.DiscardHandler)
	redisStore, err := stores.NewRedis(client, &stores.RedisOptions{
		Watch: stores.WatchOptions{Heartbeat: cfg.Heartbeat, Logger: silent}})
	if err != nil {
		return nil, err
	}
	s := &service{store: &observed{Redis: redisStore}, client: client, served: make(chan struct{})}
	auth, err := cookie.New(s.store, cookie.PHP())
	if err != nil {
		return nil, err
	}
	if s.bridge, err = bridge.New(auth, &bridge.Options{MaxStale: cfg.MaxStale, Logger: silent}); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, s.bridge.Shutdown(context.Background()))
	}
	s.url = "ws://" + l.Addr().String()
	s.server = &http.Server{
		Handler:           s.bridge.Handler(func(c *bridge.Conn) { <-c.CloseRead().Done() }),
		ReadHeaderTimeout: 10 * time.Second,
	}
	go func() {
		defer close(s.served)
		_ = s.server.Serve(l)
	}()
	return s, nil
}

// stop ends the service; the sockets must be closed already or are now.
func (s *service) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = s.bridge.Shutdown(ctx) // nobody is left, or it has been long enough
	_ = s.server.Close()
	<-s.served
	_ = s.client.Close()
}

// observed is the store, and what can be seen of it from outside.
type observed struct {
	*stores.Redis

	reads atomic.Int64 // sessions that were read

	mu       sync.Mutex
	sound    bool
	lost     int // how often the stream of changes was lost
	restored time.Time
}

func (o *observed) Fetch(ctx context.Context, keys ...stores.Key) ([]stores.Record, error) {
	o.reads.Add(int64(len(keys)))
	return o.Redis.Fetch(ctx, keys...)
}

func (o *observed) Watch(ctx context.Context, prefixes []string, h stores.WatchHandler) error {
	return o.Redis.Watch(ctx, prefixes, observer{h, o})
}

type observer struct {
	stores.WatchHandler
	o *observed
}

func (h observer) Lost(reason error) {
	h.o.mu.Lock()
	if h.o.sound {
		h.o.sound = false
		h.o.lost++
	}
	h.o.mu.Unlock()
	h.WatchHandler.Lost(reason)
}

func (h observer) Restored(mode string) {
	h.o.mu.Lock()
	h.o.sound, h.o.restored = true, time.Now()
	h.o.mu.Unlock()
	h.WatchHandler.Restored(mode)
}

// stream says whether changes are being reported, since when, and how often
// that was interrupted.
func (o *observed) stream() (sound bool, since time.Time, lost int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sound, o.restored, o.lost
}
