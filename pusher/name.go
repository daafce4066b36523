package pusher

import "strings"

const (
	// maxChannelName is the longest name of a channel in bytes, as Pusher's
	// libraries have it.
	maxChannelName = 200
	// maxEventName is that of an event.
	maxEventName = 200

	userPrefix     = "#server-to-user-"
	privatePrefix  = "private-"
	presencePrefix = "presence-"
	clientPrefix   = "client-"
	// encryptedPrefix is that of private channels whose messages the service
	// cannot read.
	encryptedPrefix = "private-encrypted-"
)

// kind is what a channel's name says it is.
type kind uint8

const (
	malformed kind = iota
	public
	private
	presence
	toUser // of one signed-in user
)

// kindOf sorts a channel's name. Its characters are those that Pusher's
// libraries allow: letters, digits and _-=@,.; and nothing else.
func kindOf(channel string) kind {
	if id, ok := strings.CutPrefix(channel, userPrefix); ok {
		if id == "" || len(id) > maxUserID {
			return malformed
		}
		return toUser
	}
	if channel == "" || len(channel) > maxChannelName {
		return malformed
	}
	for i := range len(channel) {
		if c := channel[i]; !alphanumeric(c) && !strings.ContainsRune("_-=@,.;", rune(c)) {
			return malformed
		}
	}
	switch {
	case strings.HasPrefix(channel, privatePrefix):
		return private
	case strings.HasPrefix(channel, presencePrefix):
		return presence
	}
	return public
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// reserved reports whether an event's name is the protocol's.
func reserved(event string) bool {
	return strings.HasPrefix(event, "pusher:") || strings.HasPrefix(event, "pusher_internal:")
}
