package compare

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"text/tabwriter"
	"time"

	"github.com/gorilla/websocket"
)

// Server is a row of the table.
type Server struct {
	Name    string
	Command []string // starts it; see Start
}

// Dial makes one connection to a server and goes with it as far as is measured.
type Dial func(ctx context.Context, addr string) (*websocket.Conn, error)

// Load is what each server is put to. All must be at least 1.
type Load struct {
	Handshakes int // for the CPU
	Held       int // connections, for the memory
	AtOnce     int // clients
}

// figures are what one server cost.
type figures struct {
	cpu    time.Duration // for each handshake
	rate   float64       // handshakes a second
	memory int64         // bytes for each connection
}

// Table measures servers one after another and writes what each costs, beside
// the ratio to the first.
func (l Load) Table(ctx context.Context, w io.Writer, dial Dial, servers ...Server) error {
	if l.Handshakes < 1 || l.Held < 1 || l.AtOnce < 1 {
		return errors.New("-n, -held and -c must be at least 1")
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "server\tCPU per handshake\t\thandshakes/s\tmemory per connection\t\t")
	var first figures
	for i, s := range servers {
		f, err := l.measure(ctx, s.Command, dial)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		if i == 0 {
			first = f
		}
		fmt.Fprintf(out, "%s\t%v\t%.2f\t%.0f\t%.1f KB\t%.2f\t\n", s.Name, f.cpu.Round(time.Microsecond), float64(f.cpu)/float64(first.cpu),
			f.rate, float64(f.memory)/1000, float64(f.memory)/float64(first.memory))
	}
	return out.Flush()
}

// measure starts a server and puts it to work, and another to see it grow.
func (l Load) measure(ctx context.Context, command []string, dial Dial) (f figures, err error) {
	if f.cpu, f.rate, err = l.measureTime(ctx, command, dial); err != nil {
		return f, err
	}
	f.memory, err = l.measureMemory(ctx, command, dial)
	return f, err
}

func (l Load) measureTime(ctx context.Context, command []string, dial Dial) (cpu time.Duration, rate float64, err error) {
	p, err := Start(exec.CommandContext(ctx, command[0], command[1:]...))
	if err != nil {
		return 0, 0, err
	}
	defer p.Stop()
	one := func() (*websocket.Conn, error) { return dial(ctx, p.Addr) }
	// What is set up, or compiled, once does not count.
	if _, err := Connect(l.Handshakes/4+1, l.AtOnce, false, one); err != nil {
		return 0, 0, err
	}
	before, err := p.CPU()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if _, err := Connect(l.Handshakes, l.AtOnce, false, one); err != nil {
		return 0, 0, err
	}
	took := time.Since(began)
	after, err := p.CPU()
	return (after - before) / time.Duration(l.Handshakes), float64(l.Handshakes) / took.Seconds(), err
}

func (l Load) measureMemory(ctx context.Context, command []string, dial Dial) (int64, error) {
	p, err := Start(exec.CommandContext(ctx, command[0], command[1:]...))
	if err != nil {
		return 0, err
	}
	defer p.Stop()
	before, err := p.Resident()
	if err != nil {
		return 0, err
	}
	open, err := Connect(l.Held, l.AtOnce, true, func() (*websocket.Conn, error) { return dial(ctx, p.Addr) })
	if err != nil {
		return 0, err
	}
	defer Close(open)
	after, err := p.Resident()
	return (after - before) / int64(l.Held), err
}
