package pusher

import (
	"errors"
	"net/http"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// Codes of pusher:error and of closing, from Pusher's protocol document
// (https://pusher.com/docs/channels/library_auth_reference/pusher-websockets-protocol).
// A client does not reconnect after 4000 to 4099, waits a second after 4100 to
// 4199, and reconnects at once after 4200 to 4299.
const (
	CodeNoApplication   = 4001 // there is no application of this key
	CodeOverQuota       = 4004 // the presence channel is full; never closes
	CodeNoPath          = 4005 // the path is not /app/{key}
	CodeBadVersion      = 4006 // the protocol version is no number
	CodeUnknownVersion  = 4007 // it is not 7
	CodeNoVersion       = 4008 // it is missing
	CodeUnauthorized    = 4009 // the origin, a credential or a signature is bad, or an identity ended
	CodeTryLater        = 4100 // over capacity, or the session store cannot be reached
	CodeReconnect       = 4200 // the service stops: come back, elsewhere; or a message is malformed, without closing
	CodeNoPong          = 4201 // the client was silent for too long
	CodeClientEventLost = 4301 // a client event was refused; never closes
)

// ErrForbidden is what a [Policy] refuses a channel with.
var ErrForbidden = errors.New("not allowed")

// problem is why something that a client asked for is refused.
type problem struct {
	code    int    // of pusher:error
	kind    string // the type that pusher:subscription_error has
	message string
}

func unauthorized(message string) *problem {
	return &problem{CodeUnauthorized, "AuthError", message}
}

// Problems that a client may meet.
var (
	errMalformed    = &problem{CodeReconnect, "", "the message is malformed"}
	errChannelName  = &problem{CodeReconnect, "InvalidChannel", "the channel name is malformed"}
	errManyChannels = &problem{CodeTryLater, "LimitReached", "the limit of channels is reached"}
	errFull         = &problem{CodeOverQuota, "LimitReached", "the channel is full"}
	errSignature    = unauthorized("the signature does not hold")
	errNotGranted   = unauthorized("the signature was not made for this socket by this service, or too long ago")
	errMember       = unauthorized("channel_data does not name a member")
	errUser         = unauthorized("user_data does not name a user")
	errOtherUser    = unauthorized("the socket is signed in as another user")
	errNotSignedIn  = unauthorized("the channel is another user's")

	errEventsOff     = &problem{CodeClientEventLost, "", "client events are not enabled"}
	errEventChannel  = &problem{CodeClientEventLost, "", "client events need a subscribed private or presence channel"}
	errEventTooMany  = &problem{CodeClientEventLost, "", "too many client events in a second"}
	errEventTooLong  = &problem{CodeClientEventLost, "", "the event's name is too long"}
	errUnknownAction = &problem{CodeReconnect, "", "the event is not one that a client sends"}
)

// status is that of pusher:subscription_error: what a client's own failure to
// be authorized has.
func (p *problem) status() int {
	if p.code == CodeUnauthorized {
		return http.StatusUnauthorized
	}
	return p.code
}

// closeCode returns what a socket is closed with for a refusal or an end.
func closeCode(c bridge.Code) int {
	switch c {
	case bridge.CodeUnavailable:
		return CodeTryLater
	case bridge.CodeDraining:
		return CodeReconnect
	}
	return CodeUnauthorized
}

// refusal returns err as the refusal that [bridge.Link] returns.
func refusal(err error) *bridge.Refusal {
	if ref := (*bridge.Refusal)(nil); errors.As(err, &ref) {
		return ref
	}
	return &bridge.Refusal{Code: bridge.CodeUnavailable, Message: "try again later", Err: err}
}

// retryAfter is how many seconds a client that is told to come back waits.
const retryAfter = "5"

// refuse answers a request that is not upgraded.
func refuse(w http.ResponseWriter, status int, message string) {
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, message, status)
}
