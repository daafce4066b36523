package bridge

import (
	"context"
	"time"
)

const (
	// drainShare is the part of a shutdown's time, less what the last of them
	// may take to close, over which connections are ended.
	drainShare = 0.8
	// maxDrainPause bounds how far apart the ends are: a hundred reconnects a
	// second are no herd.
	maxDrainPause = 10 * time.Millisecond
	minDrainPause = time.Millisecond
)

// Shutdown drains the service: new handshakes are refused with 503, and every
// connection is told so and closed with 1001 (going away), spread over most of
// the time until ctx's deadline, or 10 ms apart if that is shorter, so that not
// all clients reconnect to another node at once. Without a deadline they end
// together.
//
// It returns nil when all are gone, or ctx's error when its time is over. [http.Server.Shutdown] does not know of upgraded
// connections; call both.
func (b *Bridge) Shutdown(ctx context.Context) error {
	left, gone := b.index.drain()
	b.endSpread(ctx, left)
	defer b.stop()
	select {
	case <-gone:
	case <-ctx.Done():
	}
	select {
	case <-gone:
	default:
		return ctx.Err()
	}
	b.stop()
	followed := make(chan struct{})
	go func() {
		b.followers.Wait()
		close(followed)
	}()
	select {
	case <-followed:
	case <-ctx.Done(): // they end by themselves
	}
	return nil
}

// endSpread ends the lives in as many steps as fit into the time.
func (b *Bridge) endSpread(ctx context.Context, left []*life) {
	pause, batch := time.Duration(0), len(left)
	if deadline, ok := ctx.Deadline(); ok && len(left) > 1 {
		total := time.Duration(float64(time.Until(deadline)-closeGrace) * drainShare)
		pause = min(max(total/time.Duration(len(left)), minDrainPause), maxDrainPause)
		if total > 0 {
			batch = int((time.Duration(len(left))*pause + total - 1) / total)
		}
	}
	tick := time.NewTicker(max(pause, minDrainPause))
	defer tick.Stop()
	for len(left) > 0 {
		n := min(batch, len(left))
		for _, l := range left[:n] {
			l.end(&EndError{Code: CodeDraining})
		}
		if left = left[n:]; len(left) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			batch = len(left) // the time is over
		}
	}
}
