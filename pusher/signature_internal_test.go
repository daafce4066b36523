package pusher

import (
	"strings"
	"testing"
)

// The vectors of Pusher's documentation, but for that of a presence channel,
// which there does not belong to the JSON that is shown with it.
func TestSignatureVectors(t *testing.T) {
	s := &Server{opts: Options{AppKey: "278d425bdf160c739803", Secret: "7ad3773142a6692b25b8"}}
	for _, tc := range []struct{ name, text, signature string }{
		{"private channel", channelText("1234.1234", "private-foobar", nil), "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"},
		{"presence channel", channelText("1234.1234", "presence-foobar", new(`{"user_id":10,"user_info":{"name":"Mr. Channels"}}`)), "31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80"},
		{"user", userText("1234.1234", `{"id":"12345"}`), "4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			proof := s.opts.AppKey + ":" + tc.signature
			if got := s.sign(tc.text); got != proof {
				t.Errorf("sign = %s, want %s", got, proof)
			}
			for name, bad := range map[string]string{
				"nothing": "", "no key": tc.signature, "another key": "x:" + tc.signature, "no signature": s.opts.AppKey + ":",
				"half of it": proof[:len(proof)-32], "more behind it": proof + "00", "no hex": proof[:len(proof)-1] + "g", "upper case": s.opts.AppKey + ":" + strings.ToUpper(tc.signature),
			} {
				if s.signed(bad, tc.text) {
					t.Errorf("%s is accepted", name)
				}
			}
			if !s.signed(proof, tc.text) || s.signed(proof, tc.text+" ") {
				t.Error("signed does not tell the text from another")
			}
		})
	}
}
