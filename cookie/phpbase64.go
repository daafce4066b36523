package cookie

import "encoding/base64"

// phpBase64 decodes as PHP's base64_decode does. Not strict, it passes over
// every byte that is none of the alphabet and over padding anywhere, and so
// never fails. Strict, it passes over white space only and wants padding, if
// there is any, to be right (php-src ext/standard/base64.c,
// php_base64_decode_impl).
func phpBase64(s []byte, strict bool) (decoded []byte, ok bool) {
	dst := make([]byte, base64.StdEncoding.DecodedLen(len(s)+3))
	if n, err := base64.StdEncoding.Decode(dst, s); err == nil {
		return dst[:n], true // what Go accepts PHP accepts, with the same result
	}
	dst = dst[:0]
	var group uint32
	chars, padding := 0, 0
	for _, c := range s {
		if c == '=' {
			padding++
			continue
		}
		bits, known := base64Bits(c)
		if !known {
			if strict && c != ' ' && c != '\t' && c != '\n' && c != '\r' {
				return nil, false
			}
			continue
		}
		if strict && padding > 0 {
			return nil, false
		}
		group = group<<6 | bits
		switch chars++; chars % 4 {
		case 2:
			dst = append(dst, byte(group>>4))
		case 3:
			dst = append(dst, byte(group>>2))
		case 0:
			dst = append(dst, byte(group))
		}
	}
	if strict && (chars%4 == 1 || padding > 0 && (padding > 2 || (chars+padding)%4 != 0)) {
		return nil, false
	}
	return dst, true
}

func base64Bits(c byte) (bits uint32, ok bool) {
	switch {
	case 'A' <= c && c <= 'Z':
		return uint32(c - 'A'), true
	case 'a' <= c && c <= 'z':
		return uint32(c-'a') + 26, true
	case '0' <= c && c <= '9':
		return uint32(c-'0') + 52, true
	case c == '+':
		return 62, true
	case c == '/':
		return 63, true
	}
	return 0, false
}
