// Package compare measures what servers cost that do the same, each in a process
// of its own: CPU for each handshake, memory for each connection that is held.
// It reads both from /proc, so that it measures on Linux only.
package compare

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
)

// Program is a command that compares an adapter with a bare WebSocket and with
// the original server on Node.
type Program struct {
	// Handler makes the command's own servers: "bare" or "adapter".
	Handler func(kind string) (http.Handler, error)
	Dial    Dial
	Bare    string // the bare server's name in the table
	Node    Node
}

// Node is the original server.
type Node struct {
	Name    string   // in the table
	Script  []byte   // has the folder of its packages as its first argument
	Args    []string // the others
	Modules string   // says which packages these are, for the help
}

// Main runs the program with the flags of the command line, and exits with 1 if
// it fails.
func (p *Program) Main() {
	l := Load{}
	flag.IntVar(&l.Handshakes, "n", 6000, "handshakes for the CPU")
	flag.IntVar(&l.Held, "held", 3000, "connections held open for the memory")
	flag.IntVar(&l.AtOnce, "c", 8, "clients at once")
	modules := flag.String("modules", filepath.Join("internal", "parts", "testdata", "node", "node_modules"), "where "+p.Node.Modules)
	serve := flag.String("serve", "", "be a server: bare or adapter (the program starts these itself)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if *serve != "" {
		err = p.serve(ctx, *serve)
	} else {
		err = p.compare(ctx, l, *modules)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// serve is one of the command's own servers until ctx ends.
func (p *Program) serve(ctx context.Context, kind string) error {
	handler, err := p.Handler(kind)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ready + l.Addr().String())
	srv := &http.Server{Handler: handler}
	go func() { <-ctx.Done(); _ = srv.Close() }()
	return srv.Serve(l)
}

func (p *Program) compare(ctx context.Context, l Load, modules string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	modules, err = filepath.Abs(modules)
	if err != nil {
		return err
	}
	script, remove, err := p.Node.write()
	if err != nil {
		return err
	}
	defer remove()
	return l.Table(ctx, os.Stdout, p.Dial,
		Server{p.Bare, []string{self, "-serve", "bare"}},
		Server{"this adapter", []string{self, "-serve", "adapter"}},
		Server{p.Node.Name, append([]string{"node", script, modules}, p.Node.Args...)},
	)
}

// write puts the script where Node can read it.
func (n *Node) write() (path string, remove func(), err error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return "", nil, err
	}
	path = filepath.Join(dir, "server.cjs")
	if err := os.WriteFile(path, n.Script, 0o600); err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return path, func() { _ = os.RemoveAll(dir) }, nil
}
