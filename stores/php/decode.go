package php

import "fmt"

// A Handler is one of the formats, by the name that PHP's ini setting
// session.serialize_handler gives it.
type Handler string

// The values of session.serialize_handler.
const (
	HandlerPHP       Handler = "php"           // PHP's default: name|value, and so on
	HandlerSerialize Handler = "php_serialize" // one serialize()d array
	HandlerBinary    Handler = "php_binary"    // like php, with the names' lengths
	HandlerIgbinary  Handler = "igbinary"      // the igbinary extension
	HandlerMsgpack   Handler = "msgpack"       // the msgpack extension
)

// Decode reads a whole session as session.serialize_handler h wrote it. What
// PHP fails to decode is an error; what PHP starts a session with is not.
// Empty data is an empty session.
//
// The result is an Array in all but two cases that only php_serialize allows:
// an object stored in place of the array is an Object, whose properties then
// are the session, and any other value but null is itself and has no variables.
//
// The msgpack extension reports no failure: PHP starts an empty session from
// data that is not a msgpack map, and so does Decode. UnserializeMsgpack says
// what is wrong with such data.
func Decode(h Handler, data []byte) (Value, error) {
	d, _, err := decode(h, data)
	if err != nil {
		return Value{}, err
	}
	return d.value(0), nil
}

// decode also gives how many bytes the session took.
func decode(h Handler, data []byte) (*document, int, error) {
	if len(data) == 0 && h.valid() {
		return &document{nodes: []node{emptyArray}}, 0, nil
	}
	switch h {
	case HandlerPHP, HandlerSerialize, HandlerBinary:
		return readSerialize(h, data)
	case HandlerIgbinary:
		return readIgbinary(h, data)
	case HandlerMsgpack:
		return readMsgpack(h, data)
	}
	return nil, 0, fmt.Errorf("php: %w", ErrUnknownHandler)
}

func (h Handler) valid() bool {
	switch h {
	case HandlerPHP, HandlerSerialize, HandlerBinary, HandlerIgbinary, HandlerMsgpack:
		return true
	}
	return false
}

// Unserialize reads one value as PHP's serialize() wrote it; Laravel and
// Symfony keep such strings inside sessions. Bytes behind the value are
// ignored, as unserialize() does.
func Unserialize(data []byte) (Value, error) {
	d, _, err := readSerialize(single, data)
	if err != nil {
		return Value{}, err
	}
	return d.value(0), nil
}

// UnserializeIgbinary reads one value as igbinary_serialize() wrote it. Bytes
// behind the value are an error, as for igbinary_unserialize().
func UnserializeIgbinary(data []byte) (Value, error) {
	d, _, err := readIgbinary(single, data)
	if err != nil {
		return Value{}, err
	}
	return d.value(0), nil
}

// UnserializeMsgpack reads one value as msgpack_pack() wrote it. Bytes behind
// the value are ignored, as msgpack_unpack() does.
func UnserializeMsgpack(data []byte) (Value, error) {
	d, _, err := readMsgpack(single, data)
	if err != nil {
		return Value{}, err
	}
	return d.value(0), nil
}

const single = Handler("") // one value, not a session

func readSerialize(h Handler, data []byte) (*document, int, error) {
	var frames [12]frame // most sessions nest no deeper
	var s serialize
	format := h
	if h == single {
		format = HandlerSerialize
	}
	s.stack = frames[:0]
	err := s.init(format, data, 8)
	if err == nil {
		switch h {
		case HandlerPHP:
			err = s.sessionPHP()
		case HandlerBinary:
			err = s.sessionBinary()
		case HandlerSerialize:
			err = s.sessionSerialize()
		default:
			err = s.single()
		}
	}
	if err != nil {
		return nil, 0, err
	}
	return s.finish(), s.pos, nil
}

func readIgbinary(h Handler, data []byte) (*document, int, error) {
	var scratch struct { // one allocation
		frames        [12]frame
		strings, refs [32]uint64
	}
	var g igbinary
	g.stack, g.strings, g.refs = scratch.frames[:0], scratch.strings[:0], scratch.refs[:0]
	err := g.init(HandlerIgbinary, data, 4)
	switch {
	case err != nil:
	case h == single:
		err = g.single()
	default:
		err = g.session()
	}
	if err != nil {
		return nil, 0, err
	}
	return g.finish(), g.pos, nil
}

func readMsgpack(h Handler, data []byte) (*document, int, error) {
	var frames [12]frame
	var m msgpack
	m.stack = frames[:0]
	err := m.init(HandlerMsgpack, data, 4)
	switch {
	case err != nil:
	case h == single:
		err = m.value()
	default:
		err = m.session()
	}
	if err != nil {
		return nil, 0, err
	}
	return m.finish(), m.pos, nil
}

// finish lets go of what only the reading needed.
func (b *builder) finish() *document {
	return &document{in: b.doc.in, extra: b.doc.extra, nodes: b.doc.nodes}
}
