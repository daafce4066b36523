package socketio

import (
	"errors"

	"github.com/zishang520/socket.io/servers/socket/v3"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// CodeMissingHeader is the code of a refusal for want of an Authorization
// header; see [Options.RequireHeader].
const CodeMissingHeader bridge.Code = "missing_authorization_header"

// refusal returns the refusal that a [bridge.Link] gave, or nil.
func refusal(err error) *bridge.Refusal {
	if err == nil {
		return nil
	}
	if ref := (*bridge.Refusal)(nil); errors.As(err, &ref) {
		return ref
	}
	return unavailable(err)
}

func unavailable(err error) *bridge.Refusal {
	return &bridge.Refusal{Code: bridge.CodeUnavailable, Message: "try again later", Err: err}
}

// message is what the client is told. That of an absent credential is
// socketio-jwt's, with which clients compare.
func message(ref *bridge.Refusal) string {
	if ref.Code == bridge.CodeCredentialsRequired {
		return "no token provided"
	}
	return ref.Message
}

func refusalData(ref *bridge.Refusal) map[string]any {
	return map[string]any{"message": message(ref), "code": string(ref.Code), "type": "UnauthorizedError"}
}

// connectError is the refusal of a handshake. A client of protocol 3 is sent
// its data alone.
func connectError(ref *bridge.Refusal) *socket.ExtendedError {
	return socket.NewExtendedError(message(ref), refusalData(ref))
}

// unauthorized is the data of the event unauthorized.
func unauthorized(ref *bridge.Refusal) map[string]any {
	m := message(ref)
	return map[string]any{"message": m, "inner": map[string]any{"message": m}, "data": refusalData(ref)}
}
