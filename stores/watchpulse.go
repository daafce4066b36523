package stores

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// pulse tries a connection again and again. A ping carries the time at which
// it was sent: an answer says nothing of what happened later, however late it
// is read.
type pulse struct {
	interval time.Duration
	began    time.Time

	sent, answered atomic.Int64 // pings
}

var errSilent = errors.New("the server does not answer")

// maxUnanswered is how many pings may be without an answer when the next is
// due.
const maxUnanswered = 2

// run sends pings until ctx ends, or returns why the connection is lost.
func (p *pulse) run(ctx context.Context, ps *redis.PubSub) error {
	tick := time.NewTicker(p.interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if p.sent.Load()-p.answered.Load() >= maxUnanswered {
			return errSilent
		}
		p.sent.Add(1)
		if err := ps.Ping(ctx, strconv.FormatInt(int64(time.Since(p.began)), 10)); err != nil {
			return err
		}
	}
}

// answer takes what came back of a ping and returns when that was sent.
func (p *pulse) answer(payload string) (time.Time, bool) {
	d, err := strconv.ParseInt(payload, 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	p.answered.Add(1)
	return p.began.Add(time.Duration(d)), true
}
