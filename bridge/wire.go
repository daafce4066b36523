package bridge

import (
	"bytes"
	"encoding/json"
	"time"
)

// frameKind says what a text frame is in the plain JSON dialect.
type frameKind uint8

const (
	frameApplication    frameKind = iota // the application's, whatever it is
	frameAuthenticate                    // a credential
	frameDeauthenticate                  // the client wants to be nobody
)

// parseFrame recognises the client's authentication frames: a JSON object with
// a member "rediskey", or whose "event" is "authenticate" or "deauthenticate".
// Names are matched exactly, of equal names the last counts, and members that
// are not known are ignored. Everything else is the application's.
func parseFrame(p []byte) (frameKind, *Message) {
	if !bytes.HasPrefix(bytes.TrimLeft(p, " \t\r\n"), []byte("{")) {
		return frameApplication, nil
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(p, &members) != nil {
		return frameApplication, nil
	}
	if raw, ok := members["rediskey"]; ok {
		m := &Message{Kind: MessageRedisKey}
		m.SessionID, ok = jsonString(raw)
		m.Malformed = !ok
		if raw, ok := members["stack"]; ok {
			m.Stack, ok = jsonString(raw)
			m.Malformed = m.Malformed || !ok || m.Stack == ""
		}
		return frameAuthenticate, m
	}
	switch event, _ := jsonString(members["event"]); event {
	case "authenticate":
		m := &Message{Kind: MessageToken}
		var data map[string]json.RawMessage
		_ = json.Unmarshal(members["data"], &data) // not an object: no token either
		var ok bool
		m.Token, ok = jsonString(data["token"])
		m.Malformed = !ok
		return frameAuthenticate, m
	case "deauthenticate":
		return frameDeauthenticate, nil
	}
	return frameApplication, nil
}

// mayBeFrame is a cheap test that sorts out nearly every frame of a live
// application before parseFrame has to look. A `\u` may spell any name.
func mayBeFrame(p []byte) bool {
	return bytes.Contains(p, []byte(`"rediskey"`)) || bytes.Contains(p, []byte(`authenticate"`)) || bytes.Contains(p, []byte(`\u`))
}

func jsonString(raw json.RawMessage) (string, bool) {
	var s *string // a null leaves it nil
	if len(raw) == 0 || json.Unmarshal(raw, &s) != nil || s == nil {
		return "", false
	}
	return *s, true
}

// authenticatedEvent tells the client who it is.
func authenticatedEvent(id *Identity) []byte {
	var e struct {
		Event string `json:"event"`
		Data  struct {
			User    string `json:"user"`
			Via     string `json:"via"`
			Expires string `json:"expires,omitempty"`
		} `json:"data"`
	}
	e.Event = "authenticated"
	e.Data.User, e.Data.Via = id.User, id.Via
	if !id.Expires.IsZero() {
		e.Data.Expires = id.Expires.UTC().Format(time.RFC3339)
	}
	b, _ := json.Marshal(e) // strings only: cannot fail
	return b
}

// deauthenticatedEvent tells the client why its connection ends.
func deauthenticatedEvent(code Code) []byte {
	return []byte(`{"event":"deauthenticated","data":{"code":"` + string(code) + `"}}`)
}

// expiringEvent tells the client that its token runs out.
func expiringEvent(id *Identity) []byte {
	return []byte(`{"event":"expiring","data":{"expires":"` + id.Expires.UTC().Format(time.RFC3339) + `"}}`)
}
