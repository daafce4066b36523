package cookie

import (
	"encoding/json"
	"unicode/utf8"
)

// laravelPayload is what Laravel's Encrypter puts into JSON: four strings, all
// but mac and the names in base64.
type laravelPayload struct{ iv, value, mac, tag []byte }

// parseLaravelPayload reads a payload as Encrypter::getJsonPayload does in
// Laravel 9 and later: iv, value and mac must be there and be strings, tag a
// string if it is there; other members, and the order, do not matter.
func parseLaravelPayload(text []byte) (p laravelPayload, ok bool) {
	if p, ok = plainPayload(text); ok {
		return p, true
	}
	return anyPayload(text)
}

// plainPayload reads what json_encode makes of the four, an object of ASCII
// strings without escapes, and leaves everything else to anyPayload, with
// which it must agree.
func plainPayload(text []byte) (p laravelPayload, ok bool) {
	if len(text) == 0 || text[0] != '{' {
		return p, false
	}
	var seen [3]bool
	for i := 1; ; {
		name, end, ok := plainString(text, i)
		if !ok || end >= len(text) || text[end] != ':' {
			return p, false
		}
		value, end, ok := plainString(text, end+1)
		if !ok || end >= len(text) {
			return p, false
		}
		switch string(name) {
		case "iv":
			p.iv, seen[0] = value, true
		case "value":
			p.value, seen[1] = value, true
		case "mac":
			p.mac, seen[2] = value, true
		case "tag":
			p.tag = value
		}
		switch i = end + 1; text[end] {
		case ',':
		case '}':
			return p, i == len(text) && seen == [3]bool{true, true, true}
		default:
			return p, false
		}
	}
}

// plainString returns the string that starts at i, and where it ends.
func plainString(text []byte, i int) (s []byte, end int, ok bool) {
	if i >= len(text) || text[i] != '"' {
		return nil, 0, false
	}
	for end = i + 1; end < len(text); end++ {
		switch c := text[end]; {
		case c == '"':
			return text[i+1 : end], end + 1, true
		case c < ' ' || c == '\\' || c >= utf8.RuneSelf:
			return nil, 0, false
		}
	}
	return nil, 0, false
}

// anyPayload reads any JSON that PHP's json_decode accepts.
func anyPayload(text []byte) (p laravelPayload, ok bool) {
	members, ok := phpObject(text)
	if !ok {
		return p, false
	}
	for name, to := range map[string]*[]byte{"iv": &p.iv, "value": &p.value, "mac": &p.mac, "tag": &p.tag} {
		raw, there := members[name]
		if !there || string(raw) == "null" {
			if name == "tag" {
				continue
			}
			return p, false
		}
		var text string
		if raw[0] != '"' || json.Unmarshal(raw, &text) != nil {
			return p, false
		}
		*to = []byte(text)
	}
	return p, true
}

// maxPHPDepth is json_decode's default depth.
const maxPHPDepth = 512

// phpObject reads a JSON object as PHP's json_decode does, which is stricter
// than encoding/json: it refuses invalid UTF-8, lone surrogates, and what is
// nested more than 512 levels deep.
func phpObject(text []byte) (members map[string]json.RawMessage, ok bool) {
	if !utf8.Valid(text) || !phpJSONText(text) || json.Unmarshal(text, &members) != nil {
		return nil, false
	}
	return members, true
}

// phpJSONText checks depth and \u escapes of a text that need not be valid.
func phpJSONText(text []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			switch unit := escapedUnit(text[i:]); {
			case unit < 0xd800 || unit > 0xdfff:
				i++
			case unit > 0xdbff:
				return false
			default:
				if low := escapedUnit(text[i+6:]); low < 0xdc00 || low > 0xdfff {
					return false
				}
				i += 11
			}
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxPHPDepth {
				return false
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return true
}

// escapedUnit returns the UTF-16 code unit of a \u escape that text begins
// with, or -1.
func escapedUnit(text []byte) int {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return -1
	}
	unit := 0
	for _, c := range text[2:6] {
		digit, ok := unhex(c)
		if !ok {
			return -1
		}
		unit = unit<<4 | int(digit)
	}
	return unit
}
