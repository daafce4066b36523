// Command sessionbridge is the doctor: it says in one line why a login is, or
// is not, recognised.
//
//	sessionbridge inspect --stack express --secret "$SECRET" \
//	    --redis redis://127.0.0.1:6379 --cookie 'connect.sid=s%3A…'
//
// It walks the way that the library itself walks: the cookie is found, opened,
// its id becomes a key, the key is read from Redis, the value is decoded, and
// the user is looked for in it. Each step is printed with what it saw, until
// one fails; then follows what is likely and what to try.
//
//	sessionbridge stacks
//
// prints one stack a line, with its settings and their defaults.
//
// The exit status is 0 if a user came out, 1 if none did, 2 for wrong usage and
// 3 if the store could not be reached. With 2 and 3 nothing is printed on
// standard output, and one line on standard error.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/redis/go-redis/v9"
)

// Exit statuses.
const (
	exitUser        = 0
	exitNoUser      = 1
	exitUsage       = 2
	exitUnreachable = 3
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// usageError says that the command line makes no sense.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// unreachableError says that the store could not be asked.
type unreachableError struct{ err error }

func (e *unreachableError) Error() string { return e.err.Error() }

func (e *unreachableError) Unwrap() error { return e.err }

type commands struct {
	Inspect inspectCommand `cmd:"" help:"Walk the steps from a cookie to its user, and say which one fails."`
	Stacks  stacksCommand  `cmd:"" help:"List the stacks, one a line, with their settings and defaults."`
}

type inspectCommand struct{ settings }

type stacksCommand struct{}

// exited carries the status of a --help through kong, which would end the
// process.
type exited int

// run is the whole command but for the process around it.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	redis.SetLogger(silence{})
	var c commands
	parser, err := kong.New(&c,
		kong.Name("sessionbridge"),
		kong.Description("Says why a login is, or is not, recognised."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.WithHyphenPrefixedParameters(true), // a secret may begin with one
	)
	if err != nil {
		return fail(stderr, &c.Inspect.settings, err)
	}
	defer func() {
		switch p := recover().(type) {
		case nil:
		case exited:
			code = int(p)
		default:
			panic(p)
		}
	}()
	command, err := parser.Parse(args)
	if err != nil {
		return fail(stderr, &c.Inspect.settings, parseError(err))
	}
	switch command.Command() {
	case "stacks":
		err = printStacks(stdout)
	default:
		code, err = inspect(ctx, &c.Inspect.settings, stdin, stdout)
	}
	if err != nil {
		return fail(stderr, &c.Inspect.settings, err)
	}
	return code
}

// parseError rewords those of kong's errors that quote an argument, which may
// be a part of a secret that was not put in quotes.
func parseError(err error) error {
	text := err.Error()
	for _, quoting := range []string{"unexpected argument", "unexpected flag argument"} {
		if strings.HasPrefix(text, quoting) {
			return usagef("%s; must a value with spaces or shell characters be put in quotes?", quoting)
		}
	}
	return usagef("%s; see sessionbridge --help", text)
}

// fail prints one line and returns the status that goes with an error.
func fail(stderr io.Writer, s *settings, err error) int {
	_, _ = fmt.Fprintln(stderr, "sessionbridge: "+s.redact(oneLine(err.Error())))
	if errors.As(err, new(*unreachableError)) {
		return exitUnreachable
	}
	return exitUsage
}

// silence keeps go-redis from writing lines of its own to standard error.
type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}
