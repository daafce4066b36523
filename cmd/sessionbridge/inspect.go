package main

import (
	"context"
	"errors"
	"io"

	"github.com/sessionbridge/sessionbridge/cookie"
)

// inspection is one run of inspect.
type inspection struct {
	*settings
	*servers
	unsearched error // why a server could not be searched for the session
}

func inspect(ctx context.Context, s *settings, stdin io.Reader, stdout io.Writer) (code int, err error) {
	e, err := find(s.Stack)
	if err != nil {
		return 0, err
	}
	if err := s.check(e, stdin); err != nil {
		return 0, err
	}
	in := &inspection{settings: s}
	if in.servers, err = s.connect(); err != nil {
		return 0, err
	}
	defer in.close()

	var w *walked
	var tried []*walked
	if e == auto {
		w, tried, err = in.auto(ctx)
	} else {
		w, err = in.explicit(ctx, e)
	}
	if err != nil {
		return 0, err
	}
	hints := in.hints(ctx, w)
	if s.JSON {
		err = s.report(w, hints).print(stdout)
	} else {
		logout := ""
		if w.step == stepDone && w.key != nil {
			logout = in.logout(ctx, w.key.Prefix)
		}
		err = s.printSteps(stdout, w, tried, hints, logout)
	}
	if err != nil {
		return 0, err
	}
	if w.step != stepDone {
		return exitNoUser, nil
	}
	return exitUser, nil
}

// explicit walks the stack that --stack names, in each way that it may be set
// up, and returns the walk that came furthest.
func (in *inspection) explicit(ctx context.Context, e *entry) (*walked, error) {
	ways, err := in.ways(e, in.cookieName(e))
	if err != nil {
		return nil, err
	}
	var best *walked
	for _, way := range ways {
		if in.opens() {
			if err := way.stack.Opener.Validate(); err != nil && !in.cookieMissing(way.stack) {
				return nil, usagef("%v", err)
			}
		}
		w, err := in.walk(ctx, way)
		if err != nil {
			return nil, err
		}
		if best == nil || w.step > best.step {
			best = w
		}
		if best.step == stepDone {
			break
		}
	}
	return best, nil
}

// opens reports whether the walk begins at the cookie.
func (s *settings) opens() bool { return s.value == nil && s.SessionID == nil }

// cookieName is the cookie to look for: of a stack's names the first one that
// was sent.
func (s *settings) cookieName(e *entry) string {
	if s.CookieName != nil {
		return *s.CookieName
	}
	for _, name := range append([]string{e.example.Cookie}, e.cookies...) {
		if _, ok := s.jar.Get(name); ok {
			return name
		}
	}
	return e.example.Cookie
}

// ways sets a stack up from the flags.
func (in *inspection) ways(e *entry, cookieName string) ([]*way, error) {
	stacks, err := e.ways(in.settings, cookieName)
	if err != nil {
		return nil, err
	}
	list := make([]*way, len(stacks))
	for i, stack := range stacks {
		list[i] = &way{entry: e, stack: in.set(stack), servers: in.servers}
	}
	return list, nil
}

// set applies the flags that every stack has.
func (s *settings) set(stack cookie.Stack) cookie.Stack {
	if s.Prefix != nil {
		stack.Keyspace.Prefix, stack.Keyspace.Alternatives = *s.Prefix, nil
	}
	if s.User != nil {
		stack.User = *s.User
	}
	return stack
}

// cookieMissing reports whether the walk ends before a secret is needed.
func (in *inspection) cookieMissing(s cookie.Stack) bool {
	_, err := s.Opener.Open(in.jar, s.Cookie)
	return errors.Is(err, cookie.ErrNoCookie)
}
