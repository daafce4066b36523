package pusher

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Trigger sends an event, with data as JSON, to the clients that are
// subscribed to a channel on this process. It returns once each has it in its
// queue; see Options.MaxQueue. The error says that the data is no JSON, or that
// a name is none: a channel's has at most 200 letters, digits and _-=@,.; and
// an event's at most 200 bytes, of which the first are not pusher: or
// pusher_internal:.
func (s *Server) Trigger(channel, event string, data any) error {
	return s.TriggerExcept("", channel, event, data)
}

// TriggerExcept is Trigger for all but the client whose socket id this is, as
// it has sent it in X-Socket-ID, say.
func (s *Server) TriggerExcept(socketID, channel, event string, data any) error {
	if k := kindOf(channel); k == malformed || k == toUser {
		return fmt.Errorf("pusher: %q is not the name of a channel", channel)
	}
	return s.trigger(s.find(socketID), channel, event, data)
}

// SendToUser sends an event to the sockets on this process that have signed in
// as a user, with the id that UserAuthHandler gave. It is otherwise Trigger.
func (s *Server) SendToUser(user, event string, data any) error {
	if kindOf(userPrefix+user) == malformed {
		return errors.New("pusher: a user's id has 1 to 128 bytes")
	}
	return s.trigger(nil, userPrefix+user, event, data)
}

func (s *Server) trigger(but *conn, channel, name string, data any) error {
	if name == "" || len(name) > maxEventName || reserved(name) {
		return fmt.Errorf("pusher: %q is not a name for events of an application", name)
	}
	p, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("pusher: the data of an event: %w", err)
	}
	s.broker.publish(channel, event(name, channel, p), but)
	return nil
}

// Subscribers returns how many clients are subscribed to a channel on this
// process.
func (s *Server) Subscribers(channel string) int { return s.broker.subscribers(channel) }
