package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sessionbridge/sessionbridge/cookie"
	"github.com/sessionbridge/sessionbridge/stores"
)

// step is one step of the walk from a cookie to its user.
type step int

const (
	stepCookie step = iota
	stepOpen
	stepKey
	stepLookup
	stepDecode
	stepUser
	stepDone
)

var stepNames = [...]string{"cookie", "open", "key", "lookup", "decode", "user", "done"}

func (s step) String() string { return stepNames[s] }

// way is one stack as it is set up, and where it keeps its sessions.
type way struct {
	entry *entry
	stack cookie.Stack
	*servers
}

// walked is what a walk saw, as far as it came.
type walked struct {
	way  *way
	step step   // the one that failed, or stepDone
	err  error  // why; nil if done
	seen []seen // the steps that were passed

	opened  *cookie.Opened
	id      string
	keys    []stores.Key
	key     *stores.Key // the one that was found, or would be looked up first
	record  *stores.Record
	session *stores.Session
	user    string
}

// seen is what a step that was passed saw.
type seen struct {
	step step
	what string
}

func (w *walked) passed(s step, format string, args ...any) {
	w.seen = append(w.seen, seen{s, fmt.Sprintf(format, args...)})
}

func (w *walked) failed(s step, err error) (*walked, error) {
	w.step, w.err = s, err
	return w, nil
}

// walk goes the library's own way. Its error says that the store could not be
// asked; a refusal is part of what it returns.
func (s *settings) walk(ctx context.Context, way *way) (*walked, error) {
	w := &walked{way: way}
	if s.value != nil {
		if _, ok := way.stack.Keyspace.Codec.(stores.HashCodec); ok {
			// The value of a file is not a hash; the codec knows its text.
			way.stack.Keyspace.Codec = struct{ stores.Codec }{way.stack.Keyspace.Codec}
		}
		w.record = &stores.Record{Found: true, Value: s.value, TTL: -1}
		return s.read(w)
	}
	if s.SessionID != nil {
		w.id = *s.SessionID
		note := ""
		if err := way.stack.Keyspace.ID.Check(w.id); err != nil {
			note = "; in an unsigned cookie it would be refused: " + err.Error()
		}
		w.passed(stepOpen, "skipped: the id %s is given, %d bytes%s", cut(w.id), len(w.id), note)
	} else if err := s.open(w); err != nil {
		switch {
		case errors.Is(err, cookie.ErrNoCookie):
			return w.failed(stepCookie, s.rememberMe(err))
		case errors.Is(err, stores.ErrBadID):
			return w.failed(stepKey, err)
		}
		return w.failed(stepOpen, err)
	}
	if w.opened != nil && w.opened.Value != nil {
		w.record = &stores.Record{Found: true, Value: w.opened.Value, TTL: -1}
		return s.read(w)
	}
	w.keys = way.stack.Keyspace.Keys(w.id)
	asked := slices.Clone(w.keys)
	for i, k := range w.keys {
		w.keys[i] = way.keyOf(k)
	}
	w.key = &w.keys[0]
	shown := make([]string, len(w.keys))
	for i, k := range w.keys {
		shown[i] = showKey(k)
	}
	w.passed(stepKey, "%s", strings.Join(shown, " or "))

	records, err := way.store.Fetch(ctx, asked...)
	if err != nil {
		return nil, &unreachableError{err}
	}
	i := stores.FirstFound(records)
	w.key, w.record = &w.keys[i], &records[i]
	if errors.Is(w.record.Err, stores.ErrTooLarge) {
		w.record.TTL = way.lifetime(ctx, *w.key) // the store does not say it then
	}
	switch {
	case !w.record.Found:
		return w.failed(stepLookup, fmt.Errorf("no key %s", strings.Join(quoteAll(shown), " or ")))
	case errors.Is(w.record.Err, stores.ErrWrongType):
		return w.failed(stepLookup, w.record.Err)
	}
	return s.read(w)
}

// rememberMe adds that there is only a remember-me cookie, unless the opener
// said so: that cookie can be checked with the application's database alone.
func (s *settings) rememberMe(err error) error {
	if strings.Contains(err.Error(), "database") {
		return err
	}
	for _, c := range cookies(s.jar) {
		name := strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(c.name))
		if c.value != "" && (strings.HasPrefix(name, "rememberme") || strings.HasPrefix(name, "rememberuser") || strings.HasPrefix(name, "rememberweb")) {
			return fmt.Errorf("%w, only the remember-me cookie %q, which needs the application's database", err, c.name)
		}
	}
	return err
}

// open finds the cookie and opens it.
func (s *settings) open(w *walked) error {
	stack := &w.way.stack
	opened, err := stack.Opener.Open(s.jar, stack.Cookie)
	if errors.Is(err, cookie.ErrNoCookie) {
		return err
	}
	w.passed(stepCookie, "%q is there", stack.Cookie)
	if err != nil {
		return err
	}
	w.opened, w.id = &opened, opened.ID
	if opened.Value != nil {
		w.id = ""
		w.passed(stepOpen, "the cookie holds the session, %d bytes", len(opened.Value))
		return nil
	}
	signed := ""
	if opened.Signed {
		signed = "signed "
		err = stores.CheckSigned(opened.ID)
	} else {
		err = stack.Keyspace.ID.Check(opened.ID)
	}
	w.passed(stepOpen, "the %sid %s, %d bytes", signed, cut(opened.ID), len(opened.ID))
	return err
}

// read decodes what is there and finds its user.
func (s *settings) read(w *walked) (*walked, error) {
	session, err := w.way.stack.Keyspace.Decode(*w.record, s.now)
	switch {
	case errors.Is(err, stores.ErrNotFound):
		return w.failed(stepLookup, emptyValueError{err})
	case errors.Is(err, stores.ErrWrongType):
		return w.failed(stepLookup, err)
	}
	if w.key != nil {
		w.passed(stepLookup, "%s: %s, %s", showKey(*w.key), size(w.record), lifetime(w.record.TTL))
	}
	if err != nil {
		return w.failed(stepDecode, err)
	}
	w.session = session
	note := ""
	if n, ok := session.Values.(interface{ note() string }); ok {
		note = "; " + n.note()
	}
	w.passed(stepDecode, "%s: %s%s", w.way.stack.Keyspace.Codec.Name(), names(session.Values), note)

	find := w.way.stack.FindUser
	if find == nil {
		find = stores.UserID
	}
	if w.user, err = find(session, w.way.stack.User); err != nil {
		w.user = ""
		return w.failed(stepUser, err)
	}
	w.step = stepDone
	at := ""
	if w.way.stack.FindUser == nil { // else it may be elsewhere
		at = fmt.Sprintf(" at %q", w.way.stack.User)
	}
	w.passed(stepUser, "%s%s", oneLine(w.user), at)
	return w, nil
}

// emptyValueError says that a value is there that stands for no session.
type emptyValueError struct{ err error }

func (e emptyValueError) Error() string {
	return "the value stands for no session: it is empty, null, 0 or false"
}

func (e emptyValueError) Unwrap() error { return e.err }

// ttlSeconds is the key's lifetime, rounded down; -1 if it has no end.
func (w *walked) ttlSeconds() *int64 {
	if w.key == nil || w.record == nil || w.step <= stepLookup {
		return nil
	}
	ttl := int64(-1)
	if w.record.TTL >= 0 {
		ttl = int64(w.record.TTL / time.Second)
	}
	return &ttl
}

// shownID is how much of an id is printed, in characters.
const shownID = 6

// cut shortens an id so that it cannot be used.
func cut(id string) string {
	n := 0
	for i := range id {
		if n++; n > shownID {
			return oneLine(strings.ToValidUTF8(id[:i], "\ufffd")) + "…"
		}
	}
	return oneLine(strings.ToValidUTF8(id, "\ufffd")) + "…"
}

func showKey(k stores.Key) string {
	return oneLine(strings.ToValidUTF8(k.Prefix, "\ufffd")) + cut(k.ID)
}

func quoteAll(list []string) []string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = `"` + s + `"`
	}
	return quoted
}

func size(r *stores.Record) string {
	if r.Err != nil {
		return r.Err.Error()
	}
	if r.Fields != nil {
		return fmt.Sprintf("a hash of %d fields", len(r.Fields))
	}
	return fmt.Sprintf("%d bytes", len(r.Value))
}

func lifetime(ttl time.Duration) string {
	if ttl < 0 {
		return "without expiry"
	}
	return fmt.Sprintf("%d s to live", int64(math.Floor(ttl.Seconds())))
}

// names lists the session's own members, which are the application's code and
// not its data.
func names(v stores.Values) string {
	list := memberNames(v)
	if len(list) == 0 {
		return "an empty session"
	}
	n := len(list)
	if n > 12 {
		list = append(list[:12], "…")
	}
	for i, name := range list {
		if len(name) > 64 || !utf8.ValidString(name) {
			list[i] = "…"
		}
		list[i] = oneLine(list[i])
	}
	return fmt.Sprintf("%d members: %s", n, strings.Join(list, ", "))
}
