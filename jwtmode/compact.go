package jwtmode

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// maxToken is the longest token in bytes. It is the length that web servers
// commonly allow a header, and bridge's default for a message.
const maxToken = 8 << 10

// parse takes a token in the compact form of RFC 7515, section 3.1, apart:
// three parts, each in base64url, the first two JSON objects. Nothing is
// verified. signed is what the signature is over.
func parse(raw string) (t *jwt.Token, signed string, err error) {
	if raw == "" {
		return nil, "", flawEmpty
	}
	if len(raw) > maxToken {
		return nil, "", malformed("it is longer than 8,192 bytes")
	}
	if strings.Count(raw, ".") != 2 {
		return nil, "", malformed("it has not three parts")
	}
	parts := strings.Split(raw, ".")
	if parts[2] == "" {
		return nil, "", flawUnsigned
	}
	t = &jwt.Token{Raw: raw}
	if t.Header, err = decodeObject(parts[0], "header"); err != nil {
		return nil, "", err
	}
	if err := checkHeader(t.Header); err != nil {
		return nil, "", err
	}
	claims, err := decodeObject(parts[1], "claims set")
	if err != nil {
		return nil, "", err
	}
	t.Claims = jwt.MapClaims(claims)
	if t.Signature, err = decodeBase64(parts[2], "signature"); err != nil {
		return nil, "", err
	}
	return t, raw[:len(raw)-len(parts[2])-1], nil
}

// checkHeader refuses extensions that must be understood (RFC 7515, section
// 4.1.11) or that change what is signed (RFC 7797): none is supported.
func checkHeader(header map[string]any) error {
	if _, ok := header["crit"]; ok {
		return malformed("its header has crit")
	}
	if b64, ok := header["b64"]; ok && b64 != true {
		return malformed("its header has b64, and not true")
	}
	return nil
}

// decodeBase64 decodes base64url without padding (RFC 7515, section 2), and
// only the one text that encodes the bytes: the decoder by itself skips line
// breaks, even when it is strict.
func decodeBase64(s, part string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return nil, malformed("its " + part + " is not in base64url")
	}
	return b, nil
}

// decodeObject decodes a part that is a JSON object in UTF-8. Numbers stay as
// they are written. Of two members with one name, one party may see the first
// and another the last, so they are refused (RFC 7515, section 4; RFC 7519,
// section 4).
func decodeObject(s, part string) (map[string]any, error) {
	b, err := decodeBase64(s, part)
	if err != nil {
		return nil, err
	}
	var object map[string]any // null leaves it nil
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	// Valid, because the decoder does not look at what is behind the object.
	if !utf8.Valid(b) || !json.Valid(b) || d.Decode(&object) != nil || object == nil {
		return nil, malformed("its " + part + " is not a JSON object")
	}
	if len(object) != countMembers(b) {
		return nil, malformed("its " + part + " has two members of one name")
	}
	return object, nil
}

// countMembers counts the members of an object in valid JSON by its own colons.
func countMembers(b []byte) int {
	n, depth, quoted := 0, 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++ // what is escaped may be a quote
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == ':' && depth == 1:
			n++
		}
	}
	return n
}
