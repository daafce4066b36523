package pusher

import (
	"encoding/json"
	"math"
	"strconv"
	"time"
)

// frame is one message of a client.
type frame struct {
	event   string
	channel string
	data    json.RawMessage // nil if absent
}

// parse reads a text message. Names are matched exactly, of equal names the
// last counts, and members that are not known are ignored. ok is false if it
// is no object with the name of an event.
func parse(p []byte) (f frame, ok bool) {
	all := members(p)
	f.event, ok = jsonString(all["event"])
	f.channel, _ = jsonString(all["channel"])
	f.data = all["data"]
	return f, ok && f.event != ""
}

// members returns those of an object; none if p is no object.
func members(p []byte) map[string]json.RawMessage {
	var all map[string]json.RawMessage
	if json.Unmarshal(p, &all) != nil {
		return nil
	}
	return all
}

// content returns the members of an event's data: an object, or an object's
// text, as some clients write it.
func content(data json.RawMessage) map[string]json.RawMessage {
	if text, ok := jsonString(data); ok {
		return members([]byte(text))
	}
	return members(data)
}

func jsonString(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}

// optionalString returns a string, or nil for none; ok is false if it is
// something else.
func optionalString(raw json.RawMessage) (s *string, ok bool) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, true
	}
	text, ok := jsonString(raw)
	return &text, ok
}

// userID returns an id that is written as a string or as a whole number, as
// Laravel writes it.
func userID(raw json.RawMessage) (string, bool) {
	if id, ok := jsonString(raw); ok {
		return id, id != "" && len(id) <= maxUserID
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	return strconv.FormatInt(n, 10), err == nil
}

// event writes a message whose data is already JSON. It goes out as a string,
// as the protocol wants it.
func event(name, channel string, data []byte) []byte {
	p, err := json.Marshal(struct {
		Event   string `json:"event"`
		Channel string `json:"channel,omitempty"`
		Data    string `json:"data"`
	}{name, channel, string(data)})
	if err != nil {
		panic(err) // strings
	}
	return p
}

// text writes what cannot fail to be JSON.
func text(v any) []byte {
	p, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings, numbers, and JSON that was read
	}
	return p
}

func connectionEstablished(socket string, activity time.Duration) []byte {
	return event("pusher:connection_established", "", text(struct {
		SocketID        string `json:"socket_id"`
		ActivityTimeout int    `json:"activity_timeout"`
	}{socket, int(math.Ceil(activity.Seconds()))}))
}

// errorEvent writes pusher:error, whose data is an object.
func errorEvent(code int, message string) []byte {
	type data struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	return text(struct {
		Event string `json:"event"`
		Data  data   `json:"data"`
	}{"pusher:error", data{code, message}})
}

// subscriptionError writes what pusher-js hands to the channel's own listeners,
// in the form of its own failures.
func subscriptionError(channel string, p *problem) []byte {
	return event("pusher:subscription_error", channel, text(struct {
		Type   string `json:"type"`
		Error  string `json:"error"`
		Status int    `json:"status"`
	}{p.kind, p.message, p.status()}))
}

var (
	pong = event("pusher:pong", "", []byte("{}"))
	ping = event("pusher:ping", "", []byte("{}"))
)

func signinSuccess(userData string) []byte {
	return event("pusher:signin_success", "", text(struct {
		UserData string `json:"user_data"`
	}{userData}))
}

// clientEvent writes what a client sends to the others: its data as it came.
func clientEvent(f frame, user string) []byte {
	return text(struct {
		Event   string          `json:"event"`
		Channel string          `json:"channel"`
		Data    json.RawMessage `json:"data,omitempty"`
		UserID  string          `json:"user_id,omitempty"`
	}{f.event, f.channel, f.data, user})
}
