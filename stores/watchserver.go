package stores

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"
)

// serverState is what tells whether a server still is the one, with the data,
// that was there when its changes began to be reported. Redis reports neither a
// SWAPDB nor a change of roles to anybody, nor a flush as a keyspace event.
type serverState struct {
	runID    string // another after a restart
	role     string
	history  string // of replication: another after a full synchronisation
	swaps    string // how often the commands ran that are not reported
	detached bool   // it is a replica that does not hear of its master
}

var (
	errOtherServer = errors.New("sessions are read from another server than the one that reports changes")
	errNewRole     = errors.New("the server has got another role or other data")
	errSwapped     = errors.New("the server ran a SWAPDB, or a flush")
	errDetached    = errors.New("the server is a replica that has lost its master")
)

// unreported are the commands that change many keys without a word, in the
// form of INFO commandstats.
func unreported(mode WatchMode) []string {
	if mode == WatchTracking {
		return []string{"cmdstat_swapdb"} // a flush is reported
	}
	return []string{"cmdstat_swapdb", "cmdstat_flushdb", "cmdstat_flushall", "cmdstat_debug"}
}

// readState returns the state of the server behind a client or connection. It
// is nil without an error if the server does not tell.
func readState(ctx context.Context, c interface{ Pipeline() redis.Pipeliner }, mode WatchMode) (*serverState, error) {
	pipe := c.Pipeline()
	var sections []*redis.StringCmd
	for _, name := range []string{"server", "replication", "commandstats"} { // several in one INFO are Redis 7
		sections = append(sections, pipe.Info(ctx, name))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		if answered(err) && !transient(err) {
			return nil, nil
		}
		return nil, err
	}
	fields := map[string]string{}
	for _, s := range sections {
		for line := range strings.Lines(s.Val()) {
			if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok {
				fields[name] = value
			}
		}
	}
	s := &serverState{
		runID:    fields["run_id"],
		role:     fields["role"],
		history:  fields["master_replid"],
		detached: fields["role"] == "slave" && fields["master_link_status"] == "down",
	}
	for _, name := range unreported(mode) {
		calls, _, _ := strings.Cut(fields[name], ",")
		s.swaps += calls + ";"
	}
	return s, nil
}

// since returns what has become of the server since it was in state old; nil
// if nothing has.
func (s *serverState) since(old *serverState) error {
	switch {
	case s.runID != old.runID:
		return errOtherServer
	case s.role != old.role, s.history != old.history:
		return errNewRole
	case s.swaps != old.swaps:
		return errSwapped
	case s.detached:
		return errDetached
	}
	return nil
}

// transient reports whether an error of the server is about its present state,
// not about what it allows.
func transient(err error) bool {
	return redis.IsLoadingError(err) || redis.IsMasterDownError(err) || redis.IsMaxClientsError(err) ||
		redis.IsClusterDownError(err) || redis.IsTryAgainError(err) || redis.IsAuthError(err)
}
