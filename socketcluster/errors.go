package socketcluster

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// Close codes, from sc-errors' socketProtocolErrorStatuses. A client reconnects
// after all of them but CloseUnauthorized: from 4500 up it stays away.
const (
	ClosePongTimeout  = 4001 // the client was silent for too long
	CloseNoHandshake  = 4005 // no #handshake came in time
	CloseRejected     = 4008 // the handshake was refused, or is malformed
	CloseNotShaken    = 4009 // something came before the #handshake
	CloseUnauthorized = 4500 // the identity ended, or too many bad tokens came
)

// Error is an error that a client may see as it is. Its name becomes the name
// of the error that the client's call fails with.
type Error struct {
	// Name tells kinds of errors apart: "AuthError", say.
	Name string `json:"name"`

	// Message is the text, for people.
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Name + ": " + e.Message }

// Errors of the protocol; the names are those of sc-errors.
var (
	errNotAllowed = &Error{"AuthError", "not allowed"}
	errEnded      = &Error{"AuthError", "the authentication that this call began with has ended"}
	errInternal   = &Error{"Error", "internal error"}
	errLater      = &Error{"TimeoutError", "try again later"}

	errUnknownProcedure = &Error{"InvalidActionError", "there is no such procedure"}
	errTwoHandshakes    = &Error{"InvalidActionError", "the handshake is over"}
	errChannelName      = &Error{"InvalidActionError", "the channel name is malformed"}
	errLongData         = &Error{"InvalidActionError", "the data of a subscription is too long"}
	errManyChannels     = &Error{"InvalidActionError", "the limit of channels is reached"}
	errNotSubscribed    = &Error{"BrokerError", "there is no subscription to this channel"}
)

// authError is what a client learns of a credential that was refused.
type authError struct {
	Error
	Expiry     string `json:"expiry,omitempty"` // as JavaScript writes a date
	Date       string `json:"date,omitempty"`
	IsBadToken bool   `json:"isBadToken"` // the client should forget it
}

// authErrorOf sorts a refusal as socketcluster-server's serversocket.js does
// in _processTokenError. The messages are jsonwebtoken's.
func authErrorOf(ref *bridge.Refusal, token string) *authError {
	e := &authError{Error: Error{"AuthTokenError", ref.Message}, IsBadToken: true}
	switch {
	case ref.Code == bridge.CodeTokenExpired, ref.Message == "jwt expired":
		e.Name, e.Expiry = "AuthTokenExpiredError", date(token, "exp")
	case ref.Message == "jwt not active": // good, but not yet
		e.Name, e.Date, e.IsBadToken = "AuthTokenNotBeforeError", date(token, "nbf"), false
	case ref.Code == bridge.CodeInvalidToken:
		e.Name = "AuthTokenInvalidError"
	}
	return e
}

// sessionError is what a client learns of a request that was refused. Its
// token, if it has one, was not looked at.
func sessionError(ref *bridge.Refusal) *authError {
	return &authError{Error: Error{"AuthError", ref.Message}}
}

// date returns a date among a token's claims as JavaScript writes it; "" if it
// can't be read. The client's own token is read for the client's own eyes:
// nothing follows from it.
func date(token, claim string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var seconds float64
	// The range is that of a four-digit year.
	if json.Unmarshal(member(raw, claim), &seconds) != nil || seconds < 0 || seconds > 253402300799 {
		return ""
	}
	return time.UnixMilli(int64(seconds * 1000)).UTC().Format("2006-01-02T15:04:05.000Z")
}

// refusal returns err as the refusal that [bridge.Link] returns.
func refusal(err error) *bridge.Refusal {
	if ref := (*bridge.Refusal)(nil); errors.As(err, &ref) {
		return ref
	}
	return &bridge.Refusal{Code: bridge.CodeUnavailable, Message: "try again later", Err: err}
}

// unknown reports whether a refusal says that it could not be found out
// whether the credential is good.
func unknown(ref *bridge.Refusal) bool {
	return ref.Code == bridge.CodeUnavailable || ref.Code == bridge.CodeDraining
}
