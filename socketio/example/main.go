// Command example is a chat over Socket.IO for those who are logged in to a web
// application:
//
//	go -C socketio run ./example
//
// The web application is the Go one in app.go, and its Redis is inside the
// process; one that runs elsewhere takes its place with -redis.
package main

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/zishang520/socket.io/servers/socket/v3"

	"github.com/sessionbridge/sessionbridge/bridge"
	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/socketio"
	"github.com/sessionbridge/sessionbridge/stores"
)

//go:embed index.html
var page []byte

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address of the page")
	redisURL := flag.String("redis", "", "URL of the sessions' Redis; default one inside the process")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *listen, *redisURL); err != nil {
		fmt.Fprintln(os.Stderr, "example:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, listen, redisURL string) error {
	client, closeRedis, err := openRedis(redisURL)
	if err != nil {
		return err
	}
	defer closeRedis()
	app, err := newApp(ctx, client)
	if err != nil {
		return err
	}
	store, err := stores.NewRedis(client, nil)
	if err != nil {
		return err
	}
	sessions, err := cookie.New(store, cookie.Gorilla(sessionCookie))
	if err != nil {
		return err
	}
	b, err := bridge.New(sessions, &bridge.Options{Sweep: 2 * time.Second})
	if err != nil {
		return err
	}

	io := socket.NewServer(nil, nil)
	if err := socketio.Use(io.Sockets(), b, nil); err != nil {
		return err
	}
	err = io.On("connection", func(args ...any) {
		s := args[0].(*socket.Socket)
		user := socketio.Identity(s).User
		_ = s.On("chat message", func(args ...any) { io.Emit("chat message", append([]any{user}, args...)...) })
	})
	if err != nil {
		return err
	}

	app.Handle("/socket.io/", socketio.Handler(io.ServeHandler(nil)))
	app.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(page) })
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", listener.Addr())
	srv := &http.Server{Handler: app, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = b.Shutdown(context.Background()); io.Close(nil); _ = srv.Close() })
	if err := srv.Serve(listener); ctx.Err() == nil {
		return err
	}
	return nil
}
