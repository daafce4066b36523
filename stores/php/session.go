package php

import "bytes"

// sessionPHP reads the php format: name|value, repeated with nothing between
// (PS_SERIALIZER_DECODE_FUNC(php) in ext/session/session.c).
func (s *serialize) sessionPHP() error {
	s.root()
	for s.pos < len(s.doc.in) {
		n := bytes.IndexByte(s.doc.in[s.pos:], '|')
		if n < 0 {
			return s.err(s.pos, "a name and |")
		}
		name := pack(s.pos, n)
		s.pos += n + 1
		if err := s.variable(name); err != nil {
			return err
		}
	}
	s.shut()
	return nil
}

// sessionBinary reads the php_binary format: a length byte, the name, the
// value. The length byte's high bit, once the mark of an undefined variable
// without a value, has no meaning any more (PS_SERIALIZER_DECODE_FUNC(php_binary)).
func (s *serialize) sessionBinary() error {
	s.root()
	in := s.doc.in
	for s.pos < len(in) {
		n := int(in[s.pos] & 0x7f)
		if n >= len(in)-s.pos {
			return s.err(s.pos, wantLength)
		}
		name := pack(s.pos+1, n)
		s.pos += n + 1
		if err := s.variable(name); err != nil {
			return err
		}
	}
	s.shut()
	return nil
}

// root opens the session's own array, which has no number and no depth.
func (s *serialize) root() {
	s.add(node{kind: nArray})
	s.stack = append(s.stack, frame{})
	s.depth++
	s.first = 1
}

// variable reads the value of one session variable. A name stays a string even
// when it is a number. Of two equal names the later's value counts, but each
// value keeps its own number for references.
func (s *serialize) variable(name uint64) error {
	s.places = false
	s.strKey(name, 0, false)
	s.places = true
	return s.value()
}

// sessionSerialize reads the php_serialize format: one value. Bytes behind it
// are ignored, as PHP does; null is an empty session.
func (s *serialize) sessionSerialize() error {
	if err := s.single(); err != nil {
		return err
	}
	if s.doc.nodes[0].kind == nNull {
		s.doc.nodes[0] = emptyArray
	}
	return nil
}

// single reads one value.
func (s *serialize) single() error {
	s.places = true
	return s.value()
}

var emptyArray = node{kind: nArray, flags: fList, v: 1 << 32}
