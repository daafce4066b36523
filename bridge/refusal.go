package bridge

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Code tells a client, in one word from a fixed list, why it was refused or
// why its connection ended.
type Code string

// Codes of the "unauthorized" event and of a refused upgrade.
const (
	CodeCredentialsRequired  Code = "credentials_required"   // nobody is logged in
	CodeCredentialsBadFormat Code = "credentials_bad_format" // the credential is not in the form it should have
	CodeCredentialsRejected  Code = "credentials_rejected"   // the credential is not valid
	CodeInvalidSession       Code = "invalid_session"        // a session cookie or rediskey that names no login
	CodeInvalidToken         Code = "invalid_token"          // a token that does not hold
	CodeInvalidSecret        Code = "invalid_secret"         // no key for this token is known
	CodeOriginNotAllowed     Code = "origin_not_allowed"     // the page's origin may not use this service
	CodeTimeout              Code = "authentication_timeout" // no credential came in time
	CodeUnavailable          Code = "unavailable"            // could not find out; also ends a connection
	CodeDraining             Code = "draining"               // the service is stopping; also ends a connection
)

// Codes of the "deauthenticated" event: why a connection ended.
const (
	CodeSessionEnded   Code = "session_ended"   // logged out, or the session was destroyed
	CodeSessionExpired Code = "session_expired" // the session's time was over
	CodeUserChanged    Code = "user_changed"    // somebody else is logged in to that session now
	CodeTokenExpired   Code = "token_expired"   // the token's time was over
	CodeRevoked        Code = "revoked"         // an operator ended it
	CodeClientRequest  Code = "client_request"  // the client asked to be deauthenticated
)

// Close codes, from the IANA WebSocket Close Code Number Registry.
const (
	closeNormal          = 1000
	closeGoingAway       = 1001
	closeInternalError   = 1011
	closeTryAgainLater   = 1013
	closeUnauthorized    = 3000
	closeForbidden       = 3003
	closeTimeout         = 3008
	closeReasonMaxLength = 123 // RFC 6455, section 5.5: 125 bytes less the code's two
)

// CloseCode returns the WebSocket close code that goes with the code.
func (c Code) CloseCode() int {
	switch c {
	case CodeOriginNotAllowed:
		return closeForbidden
	case CodeTimeout:
		return closeTimeout
	case CodeUnavailable:
		return closeTryAgainLater
	case CodeDraining:
		return closeGoingAway
	case CodeClientRequest:
		return closeNormal
	default:
		return closeUnauthorized
	}
}

// Status returns the status of a refused upgrade: 401, 403 or 503.
func (c Code) Status() int {
	switch c {
	case CodeOriginNotAllowed:
		return http.StatusForbidden
	case CodeUnavailable, CodeDraining:
		return http.StatusServiceUnavailable
	default:
		return http.StatusUnauthorized
	}
}

// Reject returns an error that wraps [ErrRejected] and says what the client
// may be told: code and message. The reason is for the log; it must hold no
// session id, token or secret, and may be nil.
func Reject(code Code, message string, reason error) error {
	if reason == nil {
		reason = errors.New(message)
	}
	return &rejection{code: code, message: message, err: reason}
}

type rejection struct {
	code    Code
	message string
	err     error
}

func (r *rejection) Error() string        { return r.err.Error() }
func (r *rejection) Unwrap() error        { return r.err }
func (r *rejection) Is(target error) bool { return target == ErrRejected }

// Refusal is the one type through which every refused handshake passes: what
// the client is told, apart from what is logged. It wraps the authenticator's
// error.
type Refusal struct {
	Code    Code   // for the client; the HTTP status and the close code follow from it
	Message string // for the client
	Err     error  // for the log
}

func (r *Refusal) Error() string { return "bridge: handshake refused: " + r.Err.Error() }

// Unwrap returns the reason.
func (r *Refusal) Unwrap() error { return r.Err }

// refusalFor sorts an authenticator's error. m is the message that was
// judged; nil for the upgrade request.
func refusalFor(err error, m *Message) *Refusal {
	if rej := (*rejection)(nil); errors.As(err, &rej) {
		return &Refusal{rej.code, rej.message, err}
	}
	if end := (*EndError)(nil); errors.As(err, &end) {
		return &Refusal{end.Code, end.Code.message(), err}
	}
	switch {
	case errors.Is(err, ErrRejected):
		return &Refusal{CodeCredentialsRejected, "the credential is not valid", err}
	case !errors.Is(err, ErrNoCredential):
		return unavailable(err)
	case m == nil:
		return &Refusal{CodeCredentialsRequired, "log in first", err}
	case m.Kind == MessageToken:
		return &Refusal{CodeInvalidToken, "no token of this kind is accepted", err}
	default:
		return &Refusal{CodeInvalidSession, "the session is unknown, over, or nobody is logged in to it", err}
	}
}

// unavailable is the refusal of who might have been let in: it could not be
// found out, or there is no room.
func unavailable(err error) *Refusal {
	return &Refusal{CodeUnavailable, CodeUnavailable.message(), err}
}

// message says in words why a connection ended before it was authenticated.
func (c Code) message() string {
	switch c {
	case CodeTimeout:
		return "no credential in time"
	case CodeDraining:
		return "the service is stopping"
	case CodeUnavailable:
		return "try again later"
	}
	return "the connection was ended"
}

// serveHTTP answers the upgrade request with the refusal.
func (r *Refusal) serveHTTP(w http.ResponseWriter, retryAfter time.Duration, challenge string) {
	h := w.Header()
	status := r.Code.Status()
	switch status {
	case http.StatusUnauthorized:
		if challenge != "" {
			if r.Code == CodeInvalidToken { // RFC 6750, section 3.1
				challenge = strings.Replace(challenge, "Bearer", `Bearer error="invalid_token"`, 1)
			}
			h.Set("WWW-Authenticate", challenge)
		}
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(retryAfter.Seconds()))))
	}
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(r.event(), '\n')) // the client may be gone already
}

// event is the refusal in the plain JSON dialect.
func (r *Refusal) event() []byte {
	var e struct {
		Event string `json:"event"`
		Data  struct {
			Message string `json:"message"`
			Code    Code   `json:"code"`
			Type    string `json:"type"`
		} `json:"data"`
	}
	e.Event = "unauthorized"
	e.Data.Message, e.Data.Code, e.Data.Type = r.Message, r.Code, "UnauthorizedError"
	b, _ := json.Marshal(e) // strings only: cannot fail
	return b
}

// EndError is why a connection that was authenticated ended. It is the cause
// of [Conn.Context], and what reading and writing return from then on.
type EndError struct {
	Code Code  // what the client is told
	Err  error // the reason in full, for the log; may be nil
}

func (e *EndError) Error() string {
	if e.Err == nil {
		return "bridge: connection ended: " + string(e.Code)
	}
	return "bridge: connection ended: " + string(e.Code) + ": " + e.Err.Error()
}

// Unwrap returns the reason.
func (e *EndError) Unwrap() error { return e.Err }
