package pusher

import (
	"encoding/json"
	"fmt"

	"github.com/sessionbridge/sessionbridge/bridge"
)

const (
	// maxUserID is the longest id of a user in bytes, as Pusher has it.
	maxUserID = 128
	// maxMember is how many bytes the text of a member may have.
	maxMember = 4 << 10
)

// Member is who a user is to the others on a presence channel, or to the
// client itself when it signs in.
type Member struct {
	// ID is the user's id, at most 128 bytes; "" is that of the identity.
	ID string

	// Info is what else there is to know, as JSON, at most 4 KiB with the id;
	// nil for nothing.
	Info any
}

// text writes a member with its id under the name that the protocol has.
func (m *Member) text(idName string, id *bridge.Identity) (string, error) {
	user, info := id.User, any(nil)
	if m != nil {
		info = m.Info
		if m.ID != "" {
			user = m.ID
		}
	}
	if len(user) > maxUserID {
		return "", fmt.Errorf("a member's id has %d bytes; the limit is %d", len(user), maxUserID)
	}
	all := map[string]any{idName: user}
	if info != nil {
		all["user_info"] = info
	}
	p, err := json.Marshal(all)
	if err != nil {
		return "", fmt.Errorf("a member's Info cannot be written as JSON: %w", err)
	}
	if len(p) > maxMember {
		return "", fmt.Errorf("a member has %d bytes; the limit is %d", len(p), maxMember)
	}
	return string(p), nil
}

// member is a user as it came with a signature.
type member struct {
	id   string
	info json.RawMessage // nil for nothing
}

// parseMember reads a member's text.
func parseMember(text, idName string) (*member, bool) {
	if len(text) > maxMember {
		return nil, false
	}
	all := members([]byte(text))
	id, ok := userID(all[idName])
	if !ok {
		return nil, false
	}
	return &member{id, all["user_info"]}, true
}

// present is a member with how many of its sockets are on the channel.
type present struct {
	*member
	sockets int
}

// roll writes the members of a channel for one that has come.
func roll(all map[string]*present) []byte {
	type list struct {
		IDs   []string                   `json:"ids"`
		Hash  map[string]json.RawMessage `json:"hash"`
		Count int                        `json:"count"`
	}
	l := list{IDs: make([]string, 0, len(all)), Hash: make(map[string]json.RawMessage, len(all)), Count: len(all)}
	for id, p := range all {
		l.IDs = append(l.IDs, id)
		l.Hash[id] = p.info
	}
	return text(struct {
		Presence list `json:"presence"`
	}{l})
}

func (m *member) added(channel string) []byte {
	return event("pusher_internal:member_added", channel, text(struct {
		ID   string          `json:"user_id"`
		Info json.RawMessage `json:"user_info,omitempty"`
	}{m.id, m.info}))
}

func (m *member) removed(channel string) []byte {
	return event("pusher_internal:member_removed", channel, text(struct {
		ID string `json:"user_id"`
	}{m.id}))
}
