package main

import (
	"context"
	"io"
	"net"
	"net/url"
	"sync"
	"time"
)

// tap stands between a web application and Redis, and notes when the
// application changes a session. It costs Redis nothing, and the time is that
// before a command goes on to Redis: no part of the way to the socket is left
// out.
type tap struct {
	url      string
	listener net.Listener
	upstream string

	mu      sync.Mutex
	conns   map[net.Conn]struct{}
	closed  bool
	last    string               // the key that was stored last
	changes map[string]tapChange // the first since forget, by the key
	wg      sync.WaitGroup
}

type tapChange struct {
	command string
	at      time.Time
}

// storing and ending are the commands by which stacks write and delete
// sessions. Those that only extend one (EXPIRE) are neither.
var (
	storing = map[string]bool{"SET": true, "SETEX": true, "PSETEX": true, "GETSET": true}
	ending  = map[string]bool{"DEL": true, "UNLINK": true, "GETDEL": true}
)

func newTap(redisURL string) (*tap, error) {
	u, err := url.Parse(redisURL)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &tap{url: "redis://" + l.Addr().String(), listener: l, upstream: u.Host,
		conns: map[net.Conn]struct{}{}, changes: map[string]tapChange{}}
	t.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			t.wg.Go(func() { t.serve(c) })
		}
	})
	return t, nil
}

func (t *tap) close() {
	_ = t.listener.Close()
	t.mu.Lock()
	t.closed = true
	for c := range t.conns {
		_ = c.Close()
	}
	t.mu.Unlock()
	t.wg.Wait()
}

// serve passes one connection on.
func (t *tap) serve(app net.Conn) {
	defer app.Close()
	server, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(context.Background(), "tcp", t.upstream)
	if err != nil {
		return // the application sees its connection closed
	}
	defer server.Close()
	if !t.hold(app, server) {
		return
	}
	defer t.release(app, server)
	t.wg.Go(func() {
		_, _ = io.Copy(app, server)
		_ = app.Close()
	})
	var at time.Time
	scanner := commandScanner{emit: func(name, key string) { t.note(name, key, at) }}
	buf := make([]byte, 64<<10)
	for {
		n, err := app.Read(buf)
		if n > 0 {
			at = time.Now()
			scanner.feed(buf[:n])
			if _, err := server.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (t *tap) hold(conns ...net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range conns {
		t.conns[c] = struct{}{}
	}
	return !t.closed
}

func (t *tap) release(conns ...net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range conns {
		delete(t.conns, c)
	}
}

func (t *tap) note(name, key string, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case storing[name]:
		t.last = key
	case !ending[name]:
		return
	}
	if _, ok := t.changes[key]; !ok {
		t.changes[key] = tapChange{name, at}
	}
}

// stored returns the key that was stored last.
func (t *tap) stored() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}

// forget makes the next change of a key the first.
func (t *tap) forget(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.changes, key)
}

// change returns the first change of a key since forget.
func (t *tap) change(key string) (tapChange, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, ok := t.changes[key]
	return c, ok
}
