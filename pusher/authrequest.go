package pusher

import (
	"io"
	"mime"
	"net/http"
	"net/url"

	"github.com/sessionbridge/sessionbridge/bridge"
)

// maxAuthRequest is the longest body of a request to be authorized.
const maxAuthRequest = 16 << 10

// authRequest is what a client asks to be authorized for.
type authRequest struct {
	socket  string
	channel string
	message *bridge.Message // the credential, if the body has it; else nil
}

// readAuthRequest reads the body of a request.
func readAuthRequest(w http.ResponseWriter, r *http.Request) (authRequest, bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAuthRequest))
	if err != nil {
		return authRequest{}, false
	}
	return parseAuthRequest(r.Header.Get("Content-Type"), body)
}

// parseAuthRequest reads a form, which is what pusher-js sends, or a JSON
// object, which is what a custom handler may. ok is false if it is neither, or
// names no socket.
func parseAuthRequest(contentType string, body []byte) (a authRequest, ok bool) {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return a, false
	}
	var field func(name string) (string, bool)
	switch media {
	case "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return a, false
		}
		field = func(name string) (string, bool) { return form.Get(name), form.Has(name) }
	case "application/json":
		all := members(body)
		field = func(name string) (string, bool) { return jsonString(all[name]) }
	default:
		return a, false
	}
	a.socket, _ = field("socket_id")
	a.channel, _ = field("channel_name")
	if key, found := field("rediskey"); found {
		stack, _ := field("stack")
		a.message = &bridge.Message{Kind: bridge.MessageRedisKey, SessionID: key, Stack: stack}
	} else if token, found := field("token"); found {
		a.message = &bridge.Message{Kind: bridge.MessageToken, Token: token}
	}
	return a, isSocketID(a.socket)
}
