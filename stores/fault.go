package stores

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// failure says what could not be done, with which server, and what to try.
func (s *Redis) failure(doing string, err error) error {
	if err == nil {
		return nil
	}
	err = withoutArguments(err)
	if errors.Is(err, context.DeadlineExceeded) {
		err = &noAnswer{err, s.dials.lately(2 * s.timeout)}
	}
	return fmt.Errorf("stores: %s %s: %w%s", doing, s, err, remedy(err))
}

// noAnswer says that a deadline passed, and why if that is known: go-redis tries
// to connect until the deadline, and then tells of that alone.
type noAnswer struct{ err, dial error }

func (e *noAnswer) Error() string {
	if e.dial != nil {
		return "no answer in time: " + e.dial.Error()
	}
	return "no answer in time: " + e.err.Error()
}

func (e *noAnswer) Unwrap() []error {
	if e.dial != nil {
		return []error{e.err, e.dial}
	}
	return []error{e.err}
}

// withoutArguments leaves out the arguments that Redis repeats when it refuses
// a command as unknown: the session's id is among them.
func withoutArguments(err error) error {
	if text, _, ok := strings.Cut(err.Error(), ", with args"); ok {
		return errors.New(text)
	}
	return err
}

// remedies are what to try, by how Redis' answer begins.
var remedies = []struct{ answer, try string }{
	{"NOAUTH", "give the client the server's password, as in redis://:password@host:6379"},
	{"WRONGPASS", "the user name or the password is not one of this server's"},
	{"NOPERM", "give the client's user the right to it (ACL SETUSER)"},
	{"ERR DB index is out of range", "this server has no database of that number; take the application's"},
	{"ERR SELECT is not allowed in cluster mode", "a cluster has database 0 only"},
	{"MOVED", "this is a node of a cluster: make the client with redis.NewClusterClient"},
}

// advised returns what to log of an error of a client's: its words and what to
// try.
func advised(err error) string { return withoutArguments(err).Error() + remedy(err) }

// remedy returns what to try after an error of a client's, with a semicolon
// before it; "" if nothing better is known than what the error says.
func remedy(err error) string {
	for text := err.Error(); text != ""; {
		for _, r := range remedies {
			if strings.HasPrefix(text, r.answer) {
				return "; " + r.try
			}
		}
		// go-redis puts words of its own before the server's.
		_, text, _ = strings.Cut(text, ": ")
	}
	var dns *net.DNSError
	var silent *noAnswer
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "; nothing listens there: start Redis, or give its address (in a container, localhost is the container itself)"
	case errors.As(err, &dns):
		return "; give a host name that this machine can look up"
	case errors.As(err, &silent) && silent.dial == nil, errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return "; the server hangs, cannot be reached, or only one of the two speaks TLS (redis:// or rediss://)"
	}
	return ""
}

// dials notes why the client's last attempt to connect failed.
type dials struct{ last atomic.Pointer[dialFault] }

type dialFault struct {
	err error
	at  time.Time
}

// lately returns the error of an attempt that failed no longer than d ago, if
// none has succeeded since.
func (d *dials) lately(ago time.Duration) error {
	if f := d.last.Load(); f != nil && time.Since(f.at) < ago {
		return f.err
	}
	return nil
}

// DialHook implements redis.Hook.
func (d *dials) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err == nil {
			d.last.Store(nil)
		} else if ctx.Err() == nil {
			d.last.Store(&dialFault{err, time.Now()})
		}
		return conn, err
	}
}

// ProcessHook implements redis.Hook: commands go their way.
func (d *dials) ProcessHook(redis.ProcessHook) redis.ProcessHook { return nil }

// ProcessPipelineHook implements redis.Hook: pipelines go their way.
func (d *dials) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook { return nil }
