package pusher

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// What is signed for a socket, each on the exact bytes that are sent
// (https://pusher.com/docs/channels/library_auth_reference/auth-signatures).

// channelText is for a private channel, or a presence channel with the data of
// its member.
func channelText(socket, channel string, data *string) string {
	if data == nil {
		return socket + ":" + channel
	}
	return socket + ":" + channel + ":" + *data
}

// userText is for a sign-in.
func userText(socket, data string) string { return socket + "::user::" + data }

// sign returns the client's proof: the key, a colon, and the signature in hex.
func (s *Server) sign(text string) string {
	h := hmac.New(sha256.New, []byte(s.opts.Secret))
	h.Write([]byte(text))
	return s.opts.AppKey + ":" + hex.EncodeToString(h.Sum(nil))
}

// signed reports whether a proof is that of a text.
func (s *Server) signed(proof, text string) bool {
	return hmac.Equal([]byte(proof), []byte(s.sign(text)))
}
