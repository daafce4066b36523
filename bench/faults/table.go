package main

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// result is what became of the sockets in one fault.
type result struct {
	fault   fault
	promise promise

	sockets       int
	before, later outlived
	undone        int      // logouts that Redis confirmed and lost
	unavailable   int      // ended with 1013, as is promised after MaxStale
	endedWrongly  []string // although they had their sessions
	wrong         []string // what was not right when all was over
	interruptions int      // of the stream of changes
	restored      time.Duration
	reads         int64
}

// outlived is how long sockets lived without their sessions.
type outlived struct {
	sockets int
	longest time.Duration
}

func (o *outlived) add(d time.Duration) {
	o.sockets++
	o.longest = max(o.longest, d)
}

func (o outlived) String() string {
	if o.sockets == 0 {
		return "–"
	}
	return round(o.longest) + " (" + strconv.Itoa(o.sockets) + ")"
}

// judge counts one socket. there: it has its session when all is over.
func (r *result) judge(s *socket, l *logout, there bool, f span, maxStale time.Duration) {
	if l == nil {
		l = &logout{}
	}
	gone, over := l.gone(f)
	// What was written shortly before a failover may be lost, and the session
	// back.
	if over && there {
		over = false
		r.undone++
	}
	switch alive := s.alive(); {
	case alive && there:
	case alive:
		r.wrong = append(r.wrong, "a socket lives without its session")
		if over {
			r.outlived(gone, time.Now(), f)
		}
	case s.code == bridge.CodeUnavailable && s.ended.Sub(f.began) >= maxStale:
		r.unavailable++
		if over {
			r.outlived(gone, s.ended, f)
		}
	case !l.mayHaveEnded(s.ended, f) && (there || over):
		r.endedWrongly = append(r.endedWrongly, fmt.Sprintf("a socket with its session ended with %q: %v", s.code, s.err))
	case over:
		r.outlived(gone, s.ended, f)
	case !there:
		r.wrong = append(r.wrong, "a session went, and nobody knows why")
	}
}

func (r *result) outlived(gone, ended time.Time, f span) {
	d := max(ended.Sub(gone), 0)
	if gone.Before(f.began) {
		r.before.add(d)
	} else {
		r.later.add(d)
	}
}

// mayHaveEnded reports whether the session could be over at a time.
func (l *logout) mayHaveEnded(at time.Time, f span) bool {
	return !l.first.IsZero() && !at.Before(l.first) || !f.wiped.IsZero() && !at.Before(f.wiped)
}

// failures says which promises were not kept.
func (r *result) failures() []string {
	var all []string
	if r.before.longest > r.promise.before {
		all = append(all, fmt.Sprintf("logged out before: outlived by %v, promised is %v", r.before.longest, r.promise.before))
	}
	if r.later.longest > r.promise.later {
		all = append(all, fmt.Sprintf("logged out later: outlived by %v, promised is %v", r.later.longest, r.promise.later))
	}
	for what, list := range map[string][]string{"ended wrongly": r.endedWrongly, "wrong in the end": r.wrong} {
		if len(list) > 0 {
			all = append(all, fmt.Sprintf("%s: %d, the first: %s", what, len(list), list[0]))
		}
	}
	return all
}

func writeHeader(w io.Writer) {
	fmt.Fprintln(w, "| fault | logged out before: longest (sockets) | during and after: longest (sockets) | ended wrongly | ended `unavailable` | wrong in the end | logouts that Redis lost | stream lost | reported again after | sessions read |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|---|---|")
}

func (r *result) writeRow(w io.Writer) {
	restored := "–"
	if r.interruptions > 0 {
		restored = round(r.restored)
	}
	fmt.Fprintf(w, "| %s | %v | %v | %d | %d | %d | %d | %d | %s | %d |\n", r.fault.title, r.before, r.later,
		len(r.endedWrongly), r.unavailable, len(r.wrong), r.undone, r.interruptions, restored, r.reads)
}

func round(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	default:
		return d.Round(10 * time.Millisecond).String()
	}
}
