package stores

import (
	"bytes"
	"encoding/binary"
	"errors"
	"unicode/utf16"
)

var (
	errJavaObject = errors.New("it holds an object in Java's serialization, and making one could run code")
	errJavaText   = errors.New("it holds a malformed string in Java's serialization")
)

// javaMagic begins what java.io.ObjectOutputStream writes (Java Object
// Serialization Specification, section 6.4).
var javaMagic = []byte{0xac, 0xed, 0, 5}

// The objects that are known, up to their value: TC_OBJECT, TC_CLASSDESC, the
// class's name and serialVersionUID, its field "value" and its superclass.
var (
	javaNumber = "\x78\x72\x00\x10java.lang.Number\x86\xac\x95\x1d\x0b\x94\xe0\x8b\x02\x00\x00\x78\x70"
	javaLong   = []byte("\x73\x72\x00\x0ejava.lang.Long\x3b\x8b\xe4\x90\xcc\x8f\x23\xdf\x02\x00\x01\x4a\x00\x05value" + javaNumber)
	javaInt    = []byte("\x73\x72\x00\x11java.lang.Integer\x12\xe2\xa0\xa4\xf7\x81\x87\x38\x02\x00\x01\x49\x00\x05value" + javaNumber)
	javaBool   = []byte("\x73\x72\x00\x11java.lang.Boolean\xcd\x20\x72\x80\xd5\x9c\xfa\xee\x02\x00\x01\x5a\x00\x05value\x78\x70")
)

// javaScalar reads a string, Long, Integer, Boolean or null in Java's
// serialization, and nothing else: no class is ever looked up.
func javaScalar(data []byte) (any, error) {
	in, ok := bytes.CutPrefix(data, javaMagic)
	if !ok || len(in) == 0 {
		return nil, errJavaObject
	}
	if in[0] == 't' { // TC_STRING
		return javaString(in[1:], 2)
	}
	if in[0] == '|' { // TC_LONGSTRING
		return javaString(in[1:], 8)
	}
	if in[0] == 'p' && len(in) == 1 { // TC_NULL
		return nil, nil
	}
	if rest, ok := bytes.CutPrefix(in, javaLong); ok && len(rest) == 8 {
		return int64(binary.BigEndian.Uint64(rest)), nil
	}
	if rest, ok := bytes.CutPrefix(in, javaInt); ok && len(rest) == 4 {
		return int64(int32(binary.BigEndian.Uint32(rest))), nil
	}
	if rest, ok := bytes.CutPrefix(in, javaBool); ok && len(rest) == 1 && rest[0] <= 1 {
		return rest[0] == 1, nil
	}
	return nil, errJavaObject
}

// javaString reads modified UTF-8 after its length, to the end of the data
// (java.io.DataInput, readUTF): a character beyond U+FFFF is two surrogates of
// three bytes each, and NUL is two bytes.
func javaString(in []byte, width int) (string, error) {
	if len(in) < width {
		return "", errJavaText
	}
	var n [8]byte
	copy(n[8-width:], in)
	in = in[width:]
	if binary.BigEndian.Uint64(n[:]) != uint64(len(in)) {
		return "", errJavaText
	}
	units := make([]uint16, 0, len(in))
	for i := 0; i < len(in); {
		c := uint16(in[i])
		size := 1
		switch {
		case c >= 1 && c < 0x80:
		case c>>5 == 6:
			size = 2
			c &= 0x1f
		case c>>4 == 14:
			size = 3
			c &= 0x0f
		default:
			return "", errJavaText
		}
		if len(in)-i < size {
			return "", errJavaText
		}
		for _, b := range in[i+1 : i+size] {
			if b>>6 != 2 {
				return "", errJavaText
			}
			c = c<<6 | uint16(b&0x3f)
		}
		units = append(units, c)
		i += size
	}
	return string(utf16.Decode(units)), nil
}
