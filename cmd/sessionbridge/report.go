package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// report is the object that --json prints.
type report struct {
	Stack   string          `json:"stack"`
	OK      bool            `json:"ok"`
	Step    string          `json:"step"`
	Reason  string          `json:"reason"`
	User    *string         `json:"user"`
	Session json.RawMessage `json:"session"`
	Key     *string         `json:"key"`
	TTL     *int64          `json:"ttl_seconds"`
}

// hint is what is likely the cause of a refusal, and what to try.
type hint struct {
	likely string
	try    string // flags, or what to do
	whole  bool   // likely says all that the refusal's own text says
	guess  bool   // nothing was seen that supports it; it is for people only
}

// reason is the refusal in one line.
func (s *settings) reason(w *walked, hints []hint) string {
	if w.err == nil {
		return ""
	}
	text := s.redact(oneLine(w.err.Error()))
	if len(hints) > 0 && !hints[0].guess {
		h := hints[0]
		if h.whole {
			text = h.likely
		} else {
			text += ", but " + h.likely
		}
		if h.try != "" {
			text += ": " + h.try
		}
	}
	return text
}

func (s *settings) report(w *walked, hints []hint) *report {
	r := &report{
		Stack:   w.way.entry.name,
		OK:      w.step == stepDone,
		Step:    w.step.String(),
		Reason:  s.reason(w, hints),
		Session: json.RawMessage("null"),
		TTL:     w.ttlSeconds(),
	}
	if r.OK {
		r.User = &w.user
	}
	if w.key != nil {
		key := showKey(*w.key)
		r.Key = &key
	}
	if w.session != nil {
		r.Session = sessionJSON(w.session.Values)
	}
	return r
}

func (r *report) print(out io.Writer) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		return err
	}
	_, err := out.Write(b.Bytes())
	return err
}

// printSteps prints a walk for people: a line for each step with what it saw,
// then how a logout is learnt, or what is likely and what to try.
func (s *settings) printSteps(out io.Writer, w *walked, tried []*walked, hints []hint, logout string) error {
	var b strings.Builder
	line := func(name, text string) { fmt.Fprintf(&b, "%-8s%s\n", name, text) }
	for _, t := range tried {
		switch {
		case t == w:
		case t.err == nil:
			line("tried", t.way.entry.name+": fits too")
		default:
			line("tried", fmt.Sprintf("%s: fails at %s: %s", t.way.entry.name, t.step, s.redact(oneLine(t.err.Error()))))
		}
	}
	line("stack", w.way.entry.name+": "+w.way.entry.about)
	for _, seen := range w.seen {
		if seen.step < w.step {
			line(seen.step.String(), s.redact(seen.what))
		}
	}
	if w.err == nil {
		line("done", "the login is recognised")
		if logout != "" {
			line("logout", logout)
		}
	} else {
		line(w.step.String(), "FAILED: "+s.redact(oneLine(w.err.Error())))
	}
	for _, h := range hints {
		line("likely:", h.likely)
		if h.try != "" {
			line("try:", h.try)
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}
