package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/stores/php"
)

// candidate is a stack that the cookies allow, and the cookie that does.
type candidate struct {
	entry  *entry
	cookie string
	shape  shape
}

// auto walks every stack that the cookie's name and shape allow. It returns
// the walk that fits, or came furthest, and all the others.
func (in *inspection) auto(ctx context.Context) (best *walked, tried []*walked, err error) {
	var look shape // of best
	var unreachable error
	for _, c := range in.candidates() {
		w, err := in.try(ctx, c)
		if errors.As(err, new(*unreachableError)) {
			unreachable = err // one that needs no store may fit
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if w == nil {
			continue
		}
		tried = append(tried, w)
		if best == nil || w.step > best.step || w.step == best.step && c.shape > look {
			best, look = w, c.shape
		}
	}
	if unreachable != nil && (best == nil || best.step != stepDone) {
		return nil, nil, unreachable
	}
	if best == nil {
		best = &walked{way: &way{entry: auto}, step: stepCookie, err: in.noCandidate()}
	}
	return best, tried, nil
}

func (s *settings) noCandidate() error {
	if s.CookieName != nil {
		return fmt.Errorf("%w %q that has the shape of any stack's", cookie.ErrNoCookie, *s.CookieName)
	}
	return fmt.Errorf("%w that has the name or the shape of any stack's", cookie.ErrNoCookie)
}

// candidates lists the stacks that are worth a try: first those whose cookie
// has the stack's own name, then those whose cookie has only its shape.
func (s *settings) candidates() (list []candidate) {
	if !s.opens() {
		for _, e := range registry {
			list = append(list, candidate{entry: e, cookie: e.example.Cookie})
		}
		return list
	}
	named := map[*entry]bool{}
	if s.CookieName == nil {
		list = s.namedCandidates()
		for _, c := range list {
			named[c.entry] = true
		}
	}
	for _, c := range cookies(s.jar) {
		if s.CookieName != nil && c.name != *s.CookieName {
			continue
		}
		for _, e := range registry {
			if !named[e] && e.fits(c, s.jar, c.named() || s.CookieName != nil) {
				list = append(list, candidate{e, c.name, e.shape(c, s.jar)})
			}
		}
	}
	return list
}

// namedCandidates lists the stacks whose cookie has the stack's own name. Where
// several have the same, those whose shape it has count alone.
func (s *settings) namedCandidates() (list []candidate) {
	own := map[string]bool{}
	for _, e := range registry {
		name := s.cookieName(e)
		value, ok := s.jar.Get(name)
		if !ok || name == "" {
			continue
		}
		c := candidate{e, name, e.shape(namedCookie{name, value}, s.jar)}
		list = append(list, c)
		own[name] = own[name] || c.shape == ownShape
	}
	return slices.DeleteFunc(list, func(c candidate) bool { return c.shape == noShape && own[c.cookie] })
}

// try walks one candidate; nil if the flags do not suit it.
func (in *inspection) try(ctx context.Context, c candidate) (best *walked, err error) {
	if in.SavePath != nil && c.entry.takes&takesSavePath == 0 {
		return nil, nil
	}
	if in.Handler != "" && len(c.entry.handlers) > 0 && !slices.Contains(c.entry.handlers, in.Handler) {
		return nil, nil
	}
	ways, err := in.ways(c.entry, c.cookie)
	if errors.As(err, new(*usageError)) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, way := range ways {
		var w *walked
		if err := way.stack.Opener.Validate(); in.opens() && err != nil {
			w = &walked{way: way, step: stepOpen, err: err}
			w.passed(stepCookie, "%q is there", c.cookie)
		} else if w, err = in.walk(ctx, way); err != nil {
			return nil, err
		} else if w, err = in.guessHandler(w); err != nil {
			return nil, err
		}
		if best == nil || w.step > best.step {
			best = w
		}
	}
	return best, nil
}

// guessHandler reads a value again, as what it looks like, if it is PHP's and
// no handler was named.
func (in *inspection) guessHandler(w *walked) (*walked, error) {
	if in.Handler != "" || w.step != stepDecode || len(w.way.entry.handlers) < len(phpHandlers) || w.record == nil {
		return w, nil
	}
	for _, h := range php.Guess(w.record.Value) {
		way := *w.way
		way.stack.Keyspace.Codec = in.phpCodec(h)
		again := *w
		again.way, again.err, again.seen = &way, nil, slices.Clone(w.seen)
		if n := len(again.seen); n > 0 && again.seen[n-1].step == stepLookup {
			again.seen = again.seen[:n-1]
		}
		if w, err := in.read(&again); err != nil || w.step > stepDecode {
			return w, err
		}
	}
	return w, nil
}
