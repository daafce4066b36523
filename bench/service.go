package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/rpc"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/jwtmode"
	"github.com/sessionbridge/sessionbridge/stores"
)

// Hook is who upgrades a service's connections.
type Hook string

// The hooks.
const (
	HookBare   Hook = "bare"   // gorilla/websocket as it comes, read from inside the handler
	HookLean   Hook = "lean"   // gorilla/websocket with small buffers, read by a goroutine of its own
	HookBridge Hook = "bridge" // this library, by Bridge.Handler
)

// Config says what a service process serves. For the bare hooks the hook is
// all there is.
type Config struct {
	Hook     Hook
	RedisURL string
	Stacks   []Stack
	Token    *Token // instead of stacks

	// Of bridge.Options.
	CacheBytes  int64
	OmitEvents  bool
	MaxPending  int
	AuthTimeout time.Duration

	// Debug is the process' GODEBUG; empty: as inherited.
	Debug string

	// Droppable keeps the connections for Service.Drop, which is not free.
	Droppable bool

	// SampleHeap keeps account of what allocates, for Service.Heap.
	SampleHeap bool
}

// Stack is one of the library's, with what opens its cookies.
type Stack struct{ Name, Secret string }

func (s Stack) stack() (cookie.Stack, error) {
	switch s.Name {
	case "php":
		return cookie.PHP(), nil
	case "symfony":
		return cookie.Symfony(), nil
	case "express":
		return cookie.Express(s.Secret), nil
	case "laravel":
		return cookie.Laravel(s.Secret), nil
	case "go":
		return cookie.Gorilla(goCookie), nil
	}
	return cookie.Stack{}, fmt.Errorf("no stack is called %q", s.Name)
}

// Token is how JWTs are signed: the secret of HS256, or else a public key in
// PKIX form.
type Token struct {
	Algorithm string
	Key       []byte
}

func (t *Token) authenticator() (bridge.Authenticator, error) {
	o := jwtmode.Options{Algorithms: []string{t.Algorithm}, Key: t.Key}
	if t.Algorithm != "HS256" {
		key, err := x509.ParsePKIXPublicKey(t.Key)
		if err != nil {
			return nil, err
		}
		o.Key = key
	}
	return jwtmode.New(o)
}

// Usage is what a service process has in use.
type Usage struct {
	Heap, Stack int64 // bytes
	Goroutines  int
}

// Service is the other side of a service process, called by net/rpc over its
// standard input and output.
type Service struct {
	mu    sync.Mutex
	conns []net.Conn // every one since the last Drop

	profile bytes.Buffer
}

// serveStdio is a whole service process. It ends with its standard input, so
// that it outlives its parent under no circumstances.
func serveStdio() error {
	s := rpc.NewServer()
	if err := s.Register(&Service{}); err != nil {
		return err
	}
	s.ServeConn(stdio{os.Stdin, os.Stdout})
	return nil
}

type stdio struct {
	io.ReadCloser
	io.Writer
}

// Start serves, and returns the address.
func (s *Service) Start(c *Config, address *string) error {
	if c.SampleHeap {
		runtime.MemProfileRate = heapSampleRate
	}
	h, err := c.handler()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: h}
	if c.Droppable {
		srv.ConnState = s.remember
	}
	go func() { _ = srv.Serve(l) }() // until the process ends
	*address = l.Addr().String()
	return nil
}

func (s *Service) remember(c net.Conn, state http.ConnState) {
	if state == http.StateNew {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.conns = append(s.conns, c)
	}
}

// Drop cuts every connection, as a load balancer that restarts does.
func (s *Service) Drop(_ struct{}, n *int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		if c.Close() == nil {
			*n++
		}
	}
	s.conns = nil
	return nil
}

// Usage tells what is in use. If collect is set, garbage is collected first
// and what is free given back to the system.
func (s *Service) Usage(collect bool, u *Usage) error {
	if collect {
		runtime.GC()
		debug.FreeOSMemory() // collects once more: finalizers and pools take two
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	*u = Usage{Heap: int64(m.HeapAlloc), Stack: int64(m.StackInuse), Goroutines: runtime.NumGoroutine()}
	return nil
}

// StartProfile begins to profile the CPU.
func (s *Service) StartProfile(struct{}, *struct{}) error {
	s.profile.Reset()
	return pprof.StartCPUProfile(&s.profile)
}

// StopProfile returns the profile.
func (s *Service) StopProfile(_ struct{}, profile *[]byte) error {
	pprof.StopCPUProfile()
	*profile = s.profile.Bytes()
	return nil
}

// HeapProfile returns a profile of the heap.
func (s *Service) HeapProfile(_ struct{}, profile *[]byte) error {
	runtime.GC()
	runtime.GC() // the profile is that of the collection before the last
	var b bytes.Buffer
	err := pprof.WriteHeapProfile(&b)
	*profile = b.Bytes()
	return err
}

func (c *Config) handler() (http.Handler, error) {
	switch c.Hook {
	case HookBare:
		return bare{}, nil
	case HookLean:
		return &lean{websocket.Upgrader{ReadBufferSize: 128, WriteBufferSize: 1024, WriteBufferPool: &sync.Pool{}}}, nil
	case HookBridge:
	default:
		return nil, fmt.Errorf("no hook is called %q", c.Hook)
	}
	auth, err := c.authenticator()
	if err != nil {
		return nil, err
	}
	b, err := bridge.New(auth, &bridge.Options{
		CacheBytes: c.CacheBytes, OmitEvents: c.OmitEvents, MaxPending: c.MaxPending, AuthTimeout: c.AuthTimeout, Logger: silent,
	})
	if err != nil {
		return nil, err
	}
	return b.Handler(func(c *bridge.Conn) { readAll(c) }), nil
}

var silent = slog.New(slog.DiscardHandler)

func (c *Config) authenticator() (bridge.Authenticator, error) {
	if c.Token != nil {
		return c.Token.authenticator()
	}
	if len(c.Stacks) == 0 {
		return nil, errors.New("a bridge needs stacks or a token")
	}
	store, _, err := openStore(c.RedisURL) // open until the process ends
	if err != nil {
		return nil, err
	}
	var chain []bridge.Authenticator
	for _, s := range c.Stacks {
		stack, err := s.stack()
		if err != nil {
			return nil, err
		}
		a, err := cookie.New(store, stack)
		if err != nil {
			return nil, err
		}
		chain = append(chain, a)
	}
	if len(chain) == 1 {
		return chain[0], nil
	}
	return bridge.First(chain...), nil
}

// openStore is a store as the README sets it up, and what closes its client.
func openStore(redisURL string) (*stores.Redis, func() error, error) {
	opts, err := redis.ParseURL(redisURL)
	if err != nil {
		return nil, nil, err
	}
	opts.ContextTimeoutEnabled = true
	client := redis.NewClient(opts)
	store, err := stores.NewRedis(client, &stores.RedisOptions{Watch: stores.WatchOptions{Logger: silent}})
	if err != nil {
		return nil, nil, errors.Join(err, client.Close())
	}
	return store, client.Close, nil
}

// bare is a WebSocket service that knows nobody.
type bare struct{}

func (bare) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ws, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
	if err != nil {
		return // answered
	}
	defer ws.Close()
	readAll(ws)
}

// lean is the same for many connections.
type lean struct{ upgrader websocket.Upgrader }

func (l *lean) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ws, err := l.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	go func() {
		defer ws.Close()
		readAll(ws)
	}()
}

// readAll reads until the connection ends. It has something on its stack, as a
// service's function has.
func readAll(c interface{ ReadMessage() (int, []byte, error) }) {
	var last [256]byte
	for {
		_, p, err := c.ReadMessage()
		if err != nil {
			return
		}
		copy(last[:], p)
	}
}

// serviceProcess is a running service.
type serviceProcess struct {
	process
	address string
	rpc     *rpc.Client
}

// startService runs a service in a process of its own, so that it shares
// neither the scheduler nor the garbage collector with what measures it.
func startService(ctx context.Context, c *Config) (*serviceProcess, error) {
	p, pipe, err := startSelf(c.Debug)
	if err != nil {
		return nil, err
	}
	s := &serviceProcess{process: p, rpc: rpc.NewClient(pipe)}
	call := s.rpc.Go("Service.Start", c, &s.address, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
		err = call.Error
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("starting a service: %w", err)
	}
	return s, nil
}

// stop ends the process and waits for it.
func (s *serviceProcess) stop() {
	_ = s.rpc.Close() // ends its standard input; ErrShutdown if it has died
	s.process.stop()
}

func (s *serviceProcess) usage(collect bool) (u Usage, err error) {
	return u, s.rpc.Call("Service.Usage", collect, &u)
}
