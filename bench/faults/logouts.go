package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

// span is when a fault was.
type span struct {
	began, ended time.Time

	// away: a write that was not answered in between was not carried out.
	away bool

	// wiped is when all sessions went; zero if they did not.
	wiped time.Time
}

// logout is one user's, as the web application writes it.
type logout struct {
	key string

	// blank: the session stays, without a user; else it is deleted.
	blank bool

	first     time.Time // when it was first tried
	uncertain time.Time // when it was first tried without an answer; zero if it never was
	broken    time.Time // when that failed
	sent      time.Time // when it was tried and answered
	answered  time.Time // zero if it never was
	effective bool      // the session was there until then
}

const (
	attemptTimeout = time.Second
	attemptPause   = 100 * time.Millisecond
)

// try writes the logout until Redis answers.
func (l *logout) try(ctx context.Context, web redis.UniversalClient) {
	l.first = time.Now()
	for ctx.Err() == nil {
		sent := time.Now()
		effective, err := l.write(ctx, web)
		now := time.Now()
		if err == nil {
			l.sent, l.answered, l.effective = sent, now, effective
			return
		}
		if l.uncertain.IsZero() && perhapsDone(err) {
			l.uncertain, l.broken = sent, now
		}
		if cluster, ok := web.(*redis.ClusterClient); ok {
			cluster.ReloadState(ctx) // go-redis itself would not think of it for a minute
		}
		select {
		case <-ctx.Done():
		case <-time.After(attemptPause + rand.N(attemptPause)):
		}
	}
}

// write reports whether it was this that logged the user out.
func (l *logout) write(ctx context.Context, web redis.UniversalClient) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	if !l.blank {
		n, err := web.Del(ctx, l.key).Result()
		return n > 0, err
	}
	old, err := web.SetArgs(ctx, l.key, anonymous, redis.SetArgs{Mode: "XX", KeepTTL: true, Get: true}).Result()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return old != anonymous, err
}

// perhapsDone reports whether a write that failed may have been carried out.
func perhapsDone(err error) bool {
	var refused redis.Error // READONLY, CLUSTERDOWN, …
	var op *net.OpError
	return !errors.As(err, &refused) && !(errors.As(err, &op) && op.Op == "dial")
}

// gone returns when the session was over, and whether it ever was. What was
// under way as Redis went away was carried out when it was back: in between
// there was no logout.
func (l *logout) gone(f span) (time.Time, bool) {
	var at time.Time
	if !l.answered.IsZero() {
		at = l.sent
		during := l.answered.After(f.ended)
		if !l.effective && !l.uncertain.IsZero() {
			at = l.uncertain
			during = l.broken.After(f.began)
		}
		if f.away && during && at.Before(f.ended) {
			at = f.ended
		}
	}
	if !f.wiped.IsZero() && (at.IsZero() || f.wiped.Before(at)) {
		at = f.wiped
	}
	return at, !at.IsZero()
}
