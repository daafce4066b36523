package stores

import (
	"unicode/utf8"

	"github.com/sessionbridge/sessionbridge/stores/php"
)

// AppendJSON appends the session as an object in its own order, and fails with
// php.ErrTooLarge if that takes more than limit bytes. Numbers keep the digits
// that were written. Of members with one name the last counts, in the place of
// the first, as in JavaScript; an escape that is half a surrogate pair becomes
// U+FFFD.
func (v jsonValues) AppendJSON(dst []byte, limit int) ([]byte, error) {
	out := appendCheckedJSON(dst, v)
	if len(out)-len(dst) > limit {
		return dst, php.ErrTooLarge
	}
	return out, nil
}

// appendCheckedJSON appends a checked text without white space. It becomes no
// longer than it was.
func appendCheckedJSON(dst, text []byte) []byte {
	switch text[0] {
	case '"':
		return appendWholePairs(dst, text)
	case '[':
		dst = append(dst, '[')
		for i := skipSpace(text, 1); text[i] != ']'; {
			end := skipValue(text, i)
			dst = append(appendCheckedJSON(dst, text[i:end]), ',')
			if i = skipSpace(text, end); text[i] == ',' {
				i = skipSpace(text, i+1)
			}
		}
		return closeJSON(dst, ']')
	case '{':
		dst = append(dst, '{')
		for _, m := range lastMembers(text) {
			dst = append(appendWholePairs(dst, m.name), ':')
			dst = append(appendCheckedJSON(dst, m.value), ',')
		}
		return closeJSON(dst, '}')
	}
	return append(dst, text...)
}

// closeJSON ends a list or object, in place of the comma after its last value.
func closeJSON(dst []byte, end byte) []byte {
	if dst[len(dst)-1] == ',' {
		dst = dst[:len(dst)-1]
	}
	return append(dst, end)
}

type jsonMember struct{ name, value []byte }

// lastMembers lists an object's members, of those with one name the last.
func lastMembers(object []byte) (list []jsonMember) {
	place := map[string]int{}
	for i := skipSpace(object, 1); object[i] != '}'; {
		end := stringEnd(object, i)
		m := jsonMember{name: object[i:end]}
		i = skipSpace(object, skipSpace(object, end)+1) // after the colon
		end = skipValue(object, i)
		m.value = object[i:end]
		name := jsonString(m.name)
		if at, again := place[name]; again {
			list[at] = m
		} else {
			place[name] = len(list)
			list = append(list, m)
		}
		if i = skipSpace(object, end); object[i] == ',' {
			i = skipSpace(object, i+1)
		}
	}
	return list
}

// appendWholePairs copies a string with its quotes. A surrogate's escape counts
// only in a pair, the high one first (RFC 8259, section 7).
func appendWholePairs(dst, quoted []byte) []byte {
	for i := 0; i < len(quoted); {
		n := 1
		if quoted[i] == '\\' {
			if n = 2; quoted[i+1] == 'u' {
				n = 6
			}
		}
		if unit, _ := escapeAt(quoted[i:]); unit >= 0xd800 && unit <= 0xdfff {
			low, _ := escapeAt(quoted[i+6:])
			if unit > 0xdbff || low < 0xdc00 || low > 0xdfff {
				dst = utf8.AppendRune(dst, utf8.RuneError)
				i += 6
				continue
			}
			n = 12
		}
		dst = append(dst, quoted[i:i+n]...)
		i += n
	}
	return dst
}
