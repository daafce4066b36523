package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/sessionbridge/sessionbridge/stores"
)

// lookupTimeout is how long the server may take for one answer, connecting
// included.
var lookupTimeout = 5 * time.Second

// servers are where sessions are looked up: one, or those of a save_path.
type servers struct {
	store   stores.Store
	clients []*redis.Client // to search when the lookup found nothing
	close   func() error
}

// connect sets up --save-path or --redis. It does not connect yet.
func (s *settings) connect() (*servers, error) {
	if s.SavePath != nil {
		return connectSavePath(*s.SavePath)
	}
	url := s.Redis
	if !strings.Contains(url, "://") {
		url = "redis://" + url
	}
	o, err := redis.ParseURL(url)
	if err != nil {
		// The error would quote the URL, password included.
		return nil, usagef("--redis is not a URL like redis://[user:password@]host:port/database")
	}
	client := redis.NewClient(careful(o))
	store, err := stores.NewRedis(client, &stores.RedisOptions{Timeout: lookupTimeout})
	if err != nil {
		return nil, err
	}
	return &servers{store, []*redis.Client{client}, client.Close}, nil
}

func connectSavePath(path string) (*servers, error) {
	list, err := stores.ParseSavePath(path)
	if err != nil {
		return nil, usagef("--save-path: %v", err)
	}
	store, err := stores.NewSavePath(path, &stores.RedisOptions{Timeout: lookupTimeout})
	if err != nil {
		return nil, usagef("--save-path: %v", err)
	}
	s := &servers{store: store}
	for _, server := range list {
		o := &redis.Options{
			Network: server.Network, Addr: server.Addr, DB: server.Database,
			Username: server.Username, Password: server.Password,
		}
		if server.TLS {
			host, _, _ := net.SplitHostPort(server.Addr)
			o.TLSConfig = &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
		}
		s.clients = append(s.clients, redis.NewClient(careful(o)))
	}
	s.close = func() error {
		err := store.Close()
		for _, c := range s.clients {
			err = errors.Join(err, c.Close())
		}
		return err
	}
	return s, nil
}

// keyOf returns a key as the server has it.
func (s *servers) keyOf(k stores.Key) stores.Key {
	if sharded, ok := s.store.(interface{ Key(stores.Key) stores.Key }); ok {
		return sharded.Key(k)
	}
	return k
}

// careful sets a client up to ask once, and to say at once if that fails.
func careful(o *redis.Options) *redis.Options {
	o.ContextTimeoutEnabled = true
	o.DialTimeout = lookupTimeout
	o.MaxRetries = -1
	o.DialerRetries = 1
	o.PoolSize = 1
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return o
}

// lifetime asks how long a key has to live; negative if it has no end.
func (s *servers) lifetime(ctx context.Context, k stores.Key) time.Duration {
	for _, client := range s.clients {
		// PTTL of go-redis hides the difference between -1 and -2.
		if ms, err := client.Do(ctx, "PTTL", k.String()).Int64(); err == nil && ms > -2 {
			return time.Duration(ms) * time.Millisecond
		}
	}
	return -1
}

// logout says how a logout from the session will be learnt; "" if that could
// not be found out.
func (s *servers) logout(ctx context.Context, prefix string) string {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	worst := stores.WatchTracking
	for _, client := range s.clients {
		mode, err := stores.AllowedWatchMode(ctx, client, prefix)
		switch {
		case err != nil:
			return ""
		case mode == stores.WatchSweep, mode == stores.WatchKeyEvents && worst != stores.WatchSweep:
			worst = mode
		}
	}
	switch worst {
	case stores.WatchTracking:
		return "reported by client tracking: the socket ends at once"
	case stores.WatchKeyEvents:
		return "reported by key events: the socket ends at once"
	}
	return "not reported by this Redis: the socket ends within 10 s; allow CLIENT TRACKING, or set notify-keyspace-events to KA"
}
