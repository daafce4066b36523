package socketio

import (
	"net/http"
	"strings"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// credentialOf returns the credential in the auth of a handshake, or nil. In
// protocol 3, auth is the query of the namespace's name, which belongs to
// [Options.InsecureQueryToken].
func credentialOf(auth map[string]any, protocol int) *bridge.Message {
	if protocol == 3 {
		return nil
	}
	if _, ok := auth["rediskey"]; ok {
		return redisKey(auth)
	}
	if _, ok := auth["token"]; ok {
		return token(auth)
	}
	return nil
}

// token returns the credential in {"token": …}; a string "Bearer …" is
// @thream/socketio-jwt's.
func token(data map[string]any) *bridge.Message {
	s, ok := data["token"].(string)
	if scheme, rest, found := strings.Cut(s, " "); found && strings.EqualFold(scheme, "Bearer") {
		s = rest
	}
	return &bridge.Message{Kind: bridge.MessageToken, Token: s, Malformed: !ok}
}

// redisKey returns the credential in {"rediskey": …, "stack": …}.
func redisKey(data map[string]any) *bridge.Message {
	m := &bridge.Message{Kind: bridge.MessageRedisKey}
	var ok bool
	m.SessionID, ok = data["rediskey"].(string)
	m.Malformed = !ok
	if stack, there := data["stack"]; there {
		m.Stack, ok = stack.(string)
		m.Malformed = m.Malformed || !ok || m.Stack == ""
	}
	return m
}

// queryToken returns the credential in ?token=, or nil. One that is repeated
// with different values is malformed.
func queryToken(r *http.Request) *bridge.Message {
	var m *bridge.Message
	for _, v := range r.URL.Query()["token"] {
		switch {
		case v == "":
		case m == nil:
			m = &bridge.Message{Kind: bridge.MessageToken, Token: v}
		case m.Token != v:
			m.Malformed = true
		}
	}
	return m
}

// eventCredential returns the credential that an event carries, or nil if the
// event is the application's: an "authenticate", or a "message" with a
// rediskey.
func eventCredential(event []any) *bridge.Message {
	if len(event) == 0 {
		return nil
	}
	var data map[string]any
	if len(event) > 1 {
		data, _ = event[1].(map[string]any)
	}
	_, key := data["rediskey"]
	switch event[0] {
	case "authenticate":
		if key {
			return redisKey(data)
		}
		return token(data)
	case "message":
		if key {
			return redisKey(data)
		}
	}
	return nil
}
