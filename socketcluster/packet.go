package socketcluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

const (
	// maxBatch is how many packets one message may hold. A client that
	// batches gathers those of 50 ms.
	maxBatch = 1000
	// maxCallID is the longest call id in bytes; a client counts from 1.
	maxCallID = 20
	// maxChannelName is the longest name of a channel in bytes.
	maxChannelName = 512
)

// packet is one event of a client. What is none (an answer, of which none are
// asked for here, or something that is not of the protocol) has no event.
type packet struct {
	event string
	data  json.RawMessage // nil if absent
	call  json.RawMessage // the id of a call that wants an answer, a number; nil for none
}

var (
	errNoPacket = errors.New("the message is no JSON object or array")
	errBatch    = fmt.Errorf("the message has more than %d packets", maxBatch)
)

// parse reads a text message: an object, or an array of them. Names are
// matched exactly, of equal names the last counts, and members that are not
// known are ignored. An element of the wrong shape becomes a packet without an
// event.
func parse(p []byte) ([]packet, error) {
	p = bytes.TrimLeft(p, " \t\r\n")
	switch {
	case bytes.HasPrefix(p, []byte("{")):
		one, err := parsePacket(p)
		if err != nil {
			return nil, err
		}
		return []packet{one}, nil
	case bytes.HasPrefix(p, []byte("[")):
		if !json.Valid(p) {
			return nil, errNoPacket
		}
		return parseBatch(p)
	}
	return nil, errNoPacket
}

func parseBatch(p []byte) ([]packet, error) {
	d := json.NewDecoder(bytes.NewReader(p))
	if _, err := d.Token(); err != nil {
		return nil, errNoPacket
	}
	var all []packet
	for d.More() {
		if len(all) == maxBatch {
			return nil, errBatch
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, errNoPacket
		}
		one, err := parsePacket(raw)
		if err != nil {
			one = packet{}
		}
		all = append(all, one)
	}
	return all, nil
}

func parsePacket(p []byte) (packet, error) {
	var members map[string]json.RawMessage
	if json.Unmarshal(p, &members) != nil || members == nil {
		return packet{}, errNoPacket
	}
	event, _ := jsonString(members["event"])
	one := packet{event: event, data: members["data"]}
	if id := members["cid"]; isNumber(id) && len(id) <= maxCallID {
		one.call = id
	}
	return one, nil
}

func isNumber(raw json.RawMessage) bool {
	return len(raw) > 0 && (raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9')
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

func jsonString(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}

// member returns a member of an object; nil if it is absent or raw is none.
func member(raw json.RawMessage, name string) json.RawMessage {
	var members map[string]json.RawMessage
	_ = json.Unmarshal(raw, &members) // something else has no members
	return members[name]
}

// event writes a packet that no answer is wanted to; nil data is left out.
func event(name string, data any) ([]byte, error) {
	return json.Marshal(struct {
		Event string `json:"event"`
		Data  any    `json:"data,omitempty"`
	}{name, data})
}

// publication writes what subscribers get.
func publication(channel string, data json.RawMessage) ([]byte, error) {
	type message struct {
		Channel string          `json:"channel"`
		Data    json.RawMessage `json:"data,omitempty"`
	}
	return event("#publish", message{channel, data})
}

// answer writes the result of a call.
func answer(call json.RawMessage, data any) ([]byte, error) {
	return json.Marshal(struct {
		Call json.RawMessage `json:"rid"`
		Data any             `json:"data,omitempty"`
	}{call, data})
}

// success writes the result of a call that has none.
func success(call json.RawMessage) []byte {
	p, _ := answer(call, nil) // a number
	return p
}

// failure writes the failure of a call.
func failure(call json.RawMessage, err any) []byte {
	p, _ := json.Marshal(struct { // strings, numbers and times: cannot fail
		Call  json.RawMessage `json:"rid"`
		Error any             `json:"error"`
	}{call, err})
	return p
}
