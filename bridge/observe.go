package bridge

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Event is something that happened in a bridge. Options.Observe is given each
// one, and gives back a context: that of a Begin event is the one in which
// what follows happens, and that its End event is observed with, so that spans
// can be nested. The others' contexts are not used.
//
// An observer is called in the middle of what it observes: it must neither
// block nor call the bridge. Events hold no session id, token or secret, but
// Request and Err may name users and pages: they are for spans and logs, not
// for a metric's labels.
type Event struct {
	// Kind is what happened, and says which of the others are set.
	Kind EventKind

	// Via is who vouched, as in [Identity.Via]; "" if nobody did.
	Via string

	// Code is why a handshake was refused, a lookup found nobody, or a
	// connection ended; "" if it was not, did, or its client left.
	Code Code

	// Err is the reason in full; nil if there is none.
	Err error

	// Duration is how long it took.
	Duration time.Duration

	// Store is the store's name, and Mode how it reports changes.
	Store, Mode string

	// Count is how many sessions were read.
	Count int

	// Request is the handshake's.
	Request *http.Request
}

// EventKind tells what happened.
type EventKind uint8

// The kinds of events, with the fields that are set beside Kind.
const (
	// A handshake, or a message of a connection that an adapter serves, is
	// judged; a request to [Bridge.Handler] that is no handshake is not. Begin: Request. End: Request, Duration, and Via, or Code and Err.
	EventHandshakeBegin EventKind = iota + 1
	EventHandshakeEnd

	// A session is read, for a handshake or because it may have changed.
	// End: Duration, and Via, or Code and Err. CodeUnavailable is a store that
	// could not be asked, or a value that could not be decoded.
	EventLookupBegin
	EventLookupEnd

	// A handshake was answered without a lookup: Via.
	EventCacheHit

	// A connection begins, or ends, to wait for its first message.
	EventPendingBegin
	EventPendingEnd

	// A connection or request is authenticated: Via. It ends: Via, Duration
	// since then, and Code and Err if it was ended from this side.
	EventConnectionBegin
	EventConnectionEnd

	// A change of a session in use was reported and its connections judged:
	// Duration from one to the other.
	EventChangeJudged

	// A store reports changes from now on: Store, Mode. Some may be missed
	// from now on: Store, Err. It does not report any: Store, Err.
	EventWatchRestored
	EventWatchLost
	EventWatchRefused

	// All sessions of a store were read again: Store, Count, Duration.
	EventResync
)

func lookupEvent(id *Identity, err error, took time.Duration) Event {
	e := Event{Kind: EventLookupEnd, Duration: took, Err: err}
	if err != nil {
		e.Code = refusalFor(err, nil).Code
	} else {
		e.Via = id.Via
	}
	return e
}

func handshakeEvent(r *http.Request, id *Identity, err error, took time.Duration) Event {
	e := Event{Kind: EventHandshakeEnd, Request: r, Duration: took, Err: err}
	if err != nil {
		e.Code = CodeUnavailable
		if ref := (*Refusal)(nil); errors.As(err, &ref) {
			e.Code = ref.Code
		}
	}
	if id != nil {
		e.Via = id.Via
	}
	return e
}

func connectionEndEvent(id *Identity, cause error, lived time.Duration) Event {
	e := Event{Kind: EventConnectionEnd, Via: id.Via, Duration: lived}
	if end := (*EndError)(nil); errors.As(cause, &end) {
		e.Code, e.Err = end.Code, end
	}
	return e
}

// Observers makes one of several observers, for Options.Observe: each is given
// the context that the one before it returned.
func Observers(all ...func(context.Context, Event) context.Context) func(context.Context, Event) context.Context {
	return func(ctx context.Context, e Event) context.Context {
		for _, observe := range all {
			ctx = observe(ctx, e)
		}
		return ctx
	}
}
