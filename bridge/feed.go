package bridge

import (
	"context"
	"time"
)

// Feed tells of changes in a store of sessions, so that a logout reaches the
// connections at once. An authenticator has feeds by a method Feeds() []Feed.
type Feed struct {
	// Name tells this feed from others in the process; a [Binding.Key] is
	// this name, a slash, and the session's key in the store.
	Name string

	// Store names the store; the feeds of one are followed as one.
	Store string

	// Prefixes are those of the keys in the store that changes are wanted of.
	Prefixes []string

	// Follow reports changes of the keys under the prefixes until ctx ends,
	// and then returns nil. It begins with Restored, once nothing can be
	// missed any more. It returns an error if the store does not report
	// changes; sessions are then read again from time to time.
	Follow func(ctx context.Context, prefixes []string, f Follower) error
}

// Follower is told of changes. Its methods may be called concurrently and do
// not block.
//
// It is an alias, so that a store need not import this package to be followed:
// an interface of its own with the same methods is the same type.
type Follower = interface {
	// Changed: these keys may have changed, or be gone.
	Changed(keys []string)

	// Alive: everything that has happened until now was reported. This holds
	// until then; without another Alive, changes may be missed after it.
	Alive(until time.Time)

	// Lost: from now on changes may be missed.
	Lost(reason error)

	// Restored: from now on changes are reported again.
	// The mode is how, for logs and metrics.
	Restored(mode string)
}

// FeedsOf returns a's feeds; none if it has no method Feeds.
func FeedsOf(a Authenticator) []Feed {
	if f, ok := a.(interface{ Feeds() []Feed }); ok {
		return f.Feeds()
	}
	return nil
}
