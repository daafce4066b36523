package php

import (
	"bytes"
	"math"
	"strconv"
)

// serialize reads what PHP's serialize() writes, as
// ext/standard/var_unserializer.re does.
type serialize struct {
	builder

	// PHP numbers the values of one document from 1, in the order of their
	// first byte; a reference (R) has no number. Documents with references are
	// rare, so the numbers are counted when the first one is met.
	first  uint32   // the node that is value 1
	slots  []uint32 // value number − 1 → node, once counted
	opaque uint32   // the first node behind a C: body that may hold values
}

const (
	wantValue  = "a value"
	wantKey    = "an array key"
	wantEnd    = "the end of an array or object"
	wantLength = "a length within the data"
	wantClose  = "the end of a string"
	wantCount  = "a count within the data"
	wantClass  = "a class name"
)

// value reads one value, with all that it contains, onto the tape.
func (s *serialize) value() error {
	base := len(s.stack)
	for {
		if err := s.item(); err != nil {
			return err
		}
		for {
			if len(s.stack) == base {
				return nil
			}
			f := &s.stack[len(s.stack)-1]
			if f.left > 0 {
				f.left--
				break
			}
			if s.pos >= len(s.doc.in) || s.doc.in[s.pos] != '}' {
				return s.err(s.pos, wantEnd)
			}
			s.pos++
			s.shut()
		}
		if err := s.key(); err != nil {
			return err
		}
	}
}

// key reads an array key or property name: an integer or a string.
func (s *serialize) key() error {
	in, at := s.doc.in, s.pos
	if len(in)-at < 4 || in[at+1] != ':' {
		return s.err(at, wantKey)
	}
	switch in[at] {
	case 'i':
		n, err := s.integer()
		if err != nil {
			return err
		}
		s.intKey(n)
		return nil
	case 's', 'S':
		v, flags, err := s.text()
		if err != nil {
			return err
		}
		s.strKey(v, flags, true)
		return nil
	}
	return s.err(at, wantKey)
}

// item reads one value; of an array or object, only what comes before its
// first entry.
func (s *serialize) item() error {
	in, at := s.doc.in, s.pos
	if len(in)-at < 2 {
		return s.err(at, wantValue)
	}
	if in[at+1] != ':' {
		if in[at] == 'N' && in[at+1] == ';' {
			s.pos += 2
			s.add(node{kind: nNull})
			return nil
		}
		return s.err(at, wantValue)
	}
	switch in[at] {
	case 's', 'S':
		v, flags, err := s.text()
		if err != nil {
			return err
		}
		s.add(node{kind: nString, flags: flags, v: v})
		return nil
	case 'i':
		n, err := s.integer()
		if err != nil {
			return err
		}
		s.add(node{kind: nInt, v: uint64(n)})
		return nil
	case 'a':
		return s.array()
	case 'b':
		if len(in)-at >= 4 && in[at+2]&^1 == '0' && in[at+3] == ';' {
			s.pos += 4
			s.add(node{kind: nBool, v: uint64(in[at+2] & 1)})
			return nil
		}
		return s.err(at+2, "0; or 1;")
	case 'd':
		return s.float()
	case 'O':
		return s.object()
	case 'C':
		return s.custom()
	case 'E':
		return s.enum()
	case 'r', 'R':
		return s.reference(in[at] == 'R')
	}
	return s.err(at, wantValue)
}

// digits reads [0-9]+ at i, wrapping around at 2^64 as PHP's parse_uiv does,
// and gives where they end. There are none when that is i.
func (s *serialize) digits(i int) (n uint64, end int) {
	in := s.doc.in
	for ; i < len(in); i++ {
		c := in[i] - '0'
		if c > 9 {
			break
		}
		n = n*10 + uint64(c)
	}
	return n, i
}

// signed reads [+-]?[0-9]* at i, clamping to int64 as PHP's parse_iv2 does.
func (s *serialize) signed(i int) (n int64, end int) {
	in := s.doc.in
	neg := false
	if i < len(in) && (in[i] == '-' || in[i] == '+') {
		neg = in[i] == '-'
		i++
	}
	for i < len(in) && in[i] == '0' {
		i++
	}
	u, end := s.digits(i)
	switch {
	case neg && (end-i > 19 || u > 1<<63):
		return math.MinInt64, end
	case neg:
		return -int64(u), end
	case end-i > 19 || u > math.MaxInt64:
		return math.MaxInt64, end
	}
	return int64(u), end
}

// integer reads i:42; — PHP takes a sign and leading zeros, and clamps.
func (s *serialize) integer() (int64, error) {
	in, at := s.doc.in, s.pos+2
	n, end := s.signed(at)
	if end >= len(in) || in[end] != ';' || in[end-1]-'0' > 9 {
		return 0, s.err(end, "an integer and ;")
	}
	s.pos = end + 1
	return n, nil
}

// length reads 5:" and gives where the text begins. Lengths are in bytes.
func (s *serialize) length(at int) (begin, n int, err error) {
	in := s.doc.in
	u, end := s.digits(at)
	if end == at || len(in)-end < 2 || in[end] != ':' || in[end+1] != '"' {
		return 0, 0, s.err(end, `a length and :"`)
	}
	begin = end + 2
	if u > uint64(len(in)-begin) {
		return 0, 0, s.err(at, wantLength)
	}
	return begin, int(u), nil
}

// closed checks for the quote and the byte after it at i.
func (s *serialize) closed(i int, after byte) error {
	if in := s.doc.in; len(in)-i < 2 || in[i] != '"' || in[i+1] != after {
		return s.err(i, wantClose)
	}
	return nil
}

// text reads s:2:"42"; or its escaped form S:2:"\34\32"; and gives what an
// nString node needs.
func (s *serialize) text() (v uint64, flags uint8, err error) {
	escaped := s.doc.in[s.pos] == 'S'
	begin, n, err := s.length(s.pos + 2)
	if err != nil {
		return 0, 0, err
	}
	if escaped {
		return s.escaped(begin, n)
	}
	if err := s.closed(begin+n, ';'); err != nil {
		return 0, 0, err
	}
	s.pos = begin + n + 2
	return pack(begin, n), 0, nil
}

// escaped reads n bytes at i, of which each may be written as \ and two
// hexadecimal digits.
func (s *serialize) escaped(i, n int) (uint64, uint8, error) {
	in := s.doc.in
	start := len(s.doc.extra)
	for range n {
		if i >= len(in) {
			return 0, 0, s.err(i, wantClose)
		}
		c := in[i]
		i++
		if c == '\\' {
			if len(in)-i < 2 {
				return 0, 0, s.err(i, "two hexadecimal digits")
			}
			hi, lo := unhex(in[i]), unhex(in[i+1])
			if hi > 15 || lo > 15 {
				return 0, 0, s.err(i, "two hexadecimal digits")
			}
			c = hi<<4 | lo
			i += 2
		}
		s.doc.extra = append(s.doc.extra, c)
	}
	if err := s.closed(i, ';'); err != nil {
		return 0, 0, err
	}
	s.pos = i + 2
	return pack(start, n), fExtra, nil
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// float reads d:0.5; and the names INF, -INF and NAN.
func (s *serialize) float() error {
	in, at := s.doc.in, s.pos+2
	n := bytes.IndexByte(in[at:], ';')
	if n < 0 {
		return s.err(at, "a number and ;")
	}
	text := in[at : at+n]
	var f float64
	switch string(text) {
	case "INF":
		f = math.Inf(1)
	case "-INF":
		f = math.Inf(-1)
	case "NAN":
		f = math.Float64frombits(phpNaN)
	default:
		if !isDecimal(text) {
			return s.err(at, "a number")
		}
		// Out of range is ±Inf or 0 here and in PHP.
		f, _ = strconv.ParseFloat(string(text), 64)
	}
	s.pos = at + n + 1
	s.add(node{kind: nFloat, v: math.Float64bits(f)})
	return nil
}

// phpNaN is PHP's NAN. Go's has another payload.
const phpNaN = 0x7ff8000000000000

// isDecimal reports whether b is [+-]?(digits|digits.digits?|.digits) with an
// optional exponent, which is what PHP's scanner takes.
func isDecimal(b []byte) bool {
	i := sign(b, 0)
	whole := i
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	digits := i - whole
	if i < len(b) && b[i] == '.' {
		i++
		for ; i < len(b) && b[i]-'0' <= 9; i++ {
			digits++
		}
	}
	if digits == 0 {
		return false
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i = sign(b, i+1)
		exp := i
		for i < len(b) && b[i]-'0' <= 9 {
			i++
		}
		if i == exp {
			return false
		}
	}
	return i == len(b)
}

func sign(b []byte, i int) int {
	if i < len(b) && (b[i] == '+' || b[i] == '-') {
		i++
	}
	return i
}

// An entry takes six bytes at least: i:0;N;
const minEntry = 6

// array reads a:2:{ — and the } of an empty array, which has no depth.
func (s *serialize) array() error {
	in, at := s.doc.in, s.pos+2
	if at == len(in) || in[at]-'0' > 9 {
		return s.err(at, "a count and :{")
	}
	n, end := s.signed(at)
	if len(in)-end < 2 || in[end] != ':' || in[end+1] != '{' {
		return s.err(end, "a count and :{")
	}
	if n > int64((len(in)-end)/minEntry) {
		return s.err(at, wantCount)
	}
	start := s.pos
	s.pos = end + 2
	i := s.add(node{kind: nArray, flags: fList})
	if n == 0 {
		if s.pos >= len(in) || in[s.pos] != '}' {
			return s.err(s.pos, wantEnd)
		}
		s.pos++
		s.doc.nodes[i].v = pack(int(i)+1, 0)
		return nil
	}
	return s.open(i, int(n), start)
}

// className reads 8:"stdClass": and gives what its nClass node needs.
func (s *serialize) className(at int) (uint64, error) {
	begin, n, err := s.length(at)
	if err != nil {
		return 0, err
	}
	if err := s.closed(begin+n, ':'); err != nil {
		return 0, err
	}
	if !isClassName(s.doc.in[begin : begin+n]) {
		return 0, s.err(begin, wantClass)
	}
	s.pos = begin + n + 2
	return pack(begin, n), nil
}

// isClassName is what unserialize() lets through before it looks for a class.
func isClassName(b []byte) bool {
	for _, c := range b {
		if !isNameByte(c) && c != '\\' {
			return false
		}
	}
	return len(b) > 0 && b[0] != '\\'
}

func isNameByte(c byte) bool {
	return c-'0' <= 9 || c|0x20-'a' < 26 || c == '_' || c >= 0x80
}

// object reads O:8:"stdClass":1:{
func (s *serialize) object() error {
	in, start := s.doc.in, s.pos
	class, err := s.className(start + 2)
	if err != nil {
		return err
	}
	// PHP reads the count with parse_iv2, which takes a sign or no digit at all.
	n, end := s.signed(s.pos)
	if len(in)-end < 2 || in[end] != ':' || in[end+1] != '{' {
		return s.err(end, "a count and :{")
	}
	if n < 0 || n > int64((len(in)-end)/minEntry) {
		return s.err(s.pos, wantCount)
	}
	s.pos = end + 2
	return s.open(s.newObject(class), int(n), start)
}

// custom reads C:3:"Foo":5:{body} whole: only the class can read its body.
func (s *serialize) custom() error {
	in := s.doc.in
	class, err := s.className(s.pos + 2)
	if err != nil {
		return err
	}
	n, end := s.signed(s.pos)
	if len(in)-end < 2 || in[end] != ':' || in[end+1] != '{' {
		return s.err(end, "a length and :{")
	}
	begin := end + 2
	if n < 0 || n >= int64(len(in)-begin) {
		return s.err(s.pos, wantLength)
	}
	if in[begin+int(n)] != '}' {
		return s.err(begin+int(n), wantEnd)
	}
	s.pos = begin + int(n) + 1
	i := s.twoPart(nOpaque, class, pack(begin, int(n)))
	if s.opaque == 0 && mayHoldValues(in[begin:begin+int(n)]) {
		s.opaque = i + 1
	}
	return nil
}

// mayHoldValues reports whether a C: body may be the text of serialize() or of
// an SPL class before PHP 7.4. With the class at hand PHP gives the values in
// it numbers, so that references after it count further.
func mayHoldValues(body []byte) bool {
	for i := 1; i < len(body); i++ {
		if (body[i] == ':' || body[i] == ';') && bytes.IndexByte([]byte("NabdisSOCErRx"), body[i-1]) >= 0 {
			return true
		}
	}
	return false
}

// enum reads E:11:"Suit:Hearts";
func (s *serialize) enum() error {
	begin, n, err := s.length(s.pos + 2)
	if err != nil {
		return err
	}
	if err := s.closed(begin+n, ';'); err != nil {
		return err
	}
	text := s.doc.in[begin : begin+n]
	colon := bytes.IndexByte(text, ':')
	if colon < 0 || !isClassName(text[:colon]) || !isLabel(text[colon+1:]) {
		return s.err(begin, "class:case")
	}
	s.pos = begin + n + 2
	s.twoPart(nEnum, pack(begin, colon), pack(begin+colon+1, n-colon-1))
	return nil
}

// isLabel reports whether b can be the name of an enum's case.
func isLabel(b []byte) bool {
	for _, c := range b {
		if !isNameByte(c) {
			return false
		}
	}
	return len(b) > 0 && b[0]-'0' > 9
}

// reference reads R:1; (the same slot) or r:1; (the same object).
func (s *serialize) reference(slot bool) error {
	in, at := s.doc.in, s.pos+2
	id, end := s.digits(at)
	if end == at || end >= len(in) || in[end] != ';' {
		return s.err(end, "a number and ;")
	}
	s.pos = end + 1
	s.number()
	if id == 0 || id > uint64(len(s.slots)) {
		return s.err(at, "the number of a value before")
	}
	d := &s.doc
	cell := s.place(s.slots[id-1])
	self := uint32(len(d.nodes))
	if cell == self {
		return s.err(at, "the number of another value")
	}
	if s.opaque != 0 && s.slots[id-1] >= s.opaque {
		return s.fail(at, ErrAmbiguousReference)
	}
	cell = d.slot(cell)
	if slot {
		d.nodes[cell].flags |= fShared
		s.add(node{kind: nRef, v: uint64(cell)})
		return nil
	}
	cell = d.resolve(cell)
	switch d.nodes[cell].kind {
	case nObject, nEnum, nOpaque:
	default:
		return s.err(at, "the number of an object")
	}
	d.nodes[cell].flags |= fShared
	s.add(node{kind: nAlias, v: uint64(cell)})
	return nil
}

// number brings slots up to date with the tape.
func (s *serialize) number() {
	for ; int(s.first) < len(s.doc.nodes); s.first++ {
		if nd := &s.doc.nodes[s.first]; nd.flags&fKey == 0 && nd.kind != nRef {
			s.slots = append(s.slots, s.first)
		}
	}
}
