package stores

import (
	"errors"
	"time"
)

// settling has everything read again some more times after another server has
// taken the place of the one that was watched. A client that was just connecting
// to the old one, which hung, may keep that connection and read from it until
// Sentinel makes a replica of it, some ten seconds after it is back.
type settling struct {
	runID string // of the server that was watched last
	due   []time.Time
}

// settleBeats says when, in heartbeats after the change.
var settleBeats = [...]time.Duration{10, 30, 60, 120}

var errSettling = errors.New("the server has lately taken the place of another, which some reads may still have gone to")

// watched notes which server is watched from now on, and returns when
// everything must be read again because of it; zero for not at all.
func (s *settling) watched(runID string, now time.Time, heartbeat time.Duration) time.Time {
	if s.runID != "" && s.runID != runID {
		s.due = s.due[:0]
		for _, n := range settleBeats {
			s.due = append(s.due, now.Add(n*heartbeat))
		}
	}
	s.runID = runID
	for len(s.due) > 0 && !s.due[0].After(now) {
		s.due = s.due[1:]
	}
	if len(s.due) == 0 {
		return time.Time{}
	}
	return s.due[0]
}
