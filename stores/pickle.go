package stores

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxPickleStack bounds how many values wait to be put into a list or map, in
// tuples and sets therefore how long they are. Python's pickler puts at most
// 1,000 into a list or map at a time.
const maxPickleStack = 1 << 14

var (
	errPickleOpcode   = errors.New("it is a pickle with an instruction that is unknown, or no data")
	errPickleProtocol = errors.New("it is a pickle of an unknown protocol")
	errPickleStack    = errors.New("it is a pickle whose instructions do not fit together")
	errPickleWide     = errors.New("it is a pickle with more than 16,384 values in a tuple or set")
	errPickleText     = errors.New("it is a pickle with a malformed number or string")
)

// unpickle reads a pickle of protocol 0 to 5 that holds plain data: None,
// booleans, numbers, strings, bytes, lists, tuples, sets and dicts, and the
// objects of Python's standard library in pickletypes.go. Nothing is looked up
// by its name and nothing is called; any other object is errObject. What
// follows the pickle is left alone, as by pickle.loads.
//
// The instructions are those of CPython's Lib/pickletools.py.
func unpickle(data []byte) (any, error) {
	u := unpickler{
		in:     data,
		stack:  make([]any, 0, min(len(data), maxPickleStack)),
		memo:   make([]any, 0, bytes.Count(data, []byte{0x94})), // MEMOIZE is one byte long
		budget: newTreeBudget(len(data)),
	}
	v, err := u.run()
	if err != nil {
		return nil, err
	}
	return v, checkTree(v, len(data))
}

type unpickler struct {
	in    []byte // what is left
	stack []any
	marks []uint32 // places in stack
	memo  []any
	rest  map[uint32]any // memo entries that are not in order

	budget treeBudget
}

func (u *unpickler) run() (any, error) {
	for {
		op, err := u.take(1)
		if err != nil {
			return nil, err
		}
		if op[0] == '.' { // STOP
			return u.pop()
		}
		if err := u.step(op[0]); err != nil {
			return nil, err
		}
	}
}

func (u *unpickler) step(op byte) error {
	switch op {
	case 0x80: // PROTO
		b, err := u.take(1)
		if err == nil && b[0] > 5 {
			err = errPickleProtocol
		}
		return err
	case 0x95: // FRAME
		b, err := u.take(8)
		if err == nil && binary.LittleEndian.Uint64(b) > uint64(len(u.in)) {
			err = errShort
		}
		return err
	case '(': // MARK
		u.marks = push(u.marks, uint32(len(u.stack)))
		return nil
	case '0': // POP
		if n := len(u.marks); n > 0 && int(u.marks[n-1]) == len(u.stack) {
			u.marks = u.marks[:n-1]
			return nil
		}
		_, err := u.pop()
		return err
	case '1': // POP_MARK
		_, err := u.popMark()
		return err
	case '2': // DUP
		v, err := u.top()
		if err != nil {
			return err
		}
		return u.push(v)
	case 'g', 'h', 'j', 'p', 'q', 'r', 0x94:
		return u.memoize(op)
	case 'N':
		return u.push(nil)
	case 0x88, 0x89: // NEWTRUE, NEWFALSE
		return u.push(op == 0x88)
	case 'I', 'J', 'K', 'M', 'L', 'F', 'G', 0x8a, 0x8b:
		return u.number(op)
	case 'S', 'T', 'U', 'V', 'X', 'B', 'C', 0x8c, 0x8d, 0x8e, 0x96:
		return u.str(op)
	case ')', 't', 0x85, 0x86, 0x87, ']', 'l', 'a', 'e', 0x8f, 0x90, 0x91:
		return u.list(op)
	case '}', 'd', 's', 'u':
		return u.dict(op)
	case 'c', 0x93, 'R', 0x81, 0x92, 'b':
		return u.object(op)
	case 'i', 'o', 'P', 'Q', 0x82, 0x83, 0x84, 0x97, 0x98:
		return errObject // INST, OBJ, persistent ids, extension codes, buffers
	}
	return errPickleOpcode
}

// take returns the next n bytes.
func (u *unpickler) take(n uint64) ([]byte, error) {
	if n > uint64(len(u.in)) {
		return nil, errShort
	}
	b := u.in[:n:n]
	u.in = u.in[n:]
	return b, nil
}

// sized returns bytes whose length stands before them in so many bytes.
func (u *unpickler) sized(width uint64) ([]byte, error) {
	b, err := u.take(width)
	if err != nil {
		return nil, err
	}
	var n [8]byte
	copy(n[:], b)
	return u.take(binary.LittleEndian.Uint64(n[:]))
}

// line returns what stands before the next line feed.
func (u *unpickler) line() (string, error) {
	i := bytes.IndexByte(u.in, '\n')
	if i < 0 {
		return "", errShort
	}
	s := string(u.in[:i])
	u.in = u.in[i+1:]
	return s, nil
}

func (u *unpickler) push(v any) error {
	if len(u.stack) >= maxPickleStack {
		return errPickleWide
	}
	u.stack = append(u.stack, v)
	return nil
}

// fence is where the values begin that an instruction may take.
func (u *unpickler) fence() int {
	if n := len(u.marks); n > 0 {
		return int(u.marks[n-1])
	}
	return 0
}

func (u *unpickler) top() (any, error) {
	if len(u.stack) <= u.fence() {
		return nil, errPickleStack
	}
	return u.stack[len(u.stack)-1], nil
}

func (u *unpickler) pop() (any, error) {
	v, err := u.top()
	if err == nil {
		u.stack = u.stack[:len(u.stack)-1]
	}
	return v, err
}

// popN takes the last n values. They are valid until the next push.
func (u *unpickler) popN(n int) ([]any, error) {
	if len(u.stack)-u.fence() < n {
		return nil, errPickleStack
	}
	at := len(u.stack) - n
	values := u.stack[at:]
	u.stack = u.stack[:at]
	return values, nil
}

// popMark takes the values since the last mark.
func (u *unpickler) popMark() ([]any, error) {
	n := len(u.marks)
	if n == 0 {
		return nil, errPickleStack
	}
	at := u.marks[n-1]
	u.marks = u.marks[:n-1]
	values := u.stack[at:]
	u.stack = u.stack[:at]
	return values, nil
}

// memoize keeps the top of the stack for later, or brings back what was kept.
func (u *unpickler) memoize(op byte) error {
	index := uint32(len(u.memo) + len(u.rest)) // MEMOIZE
	var err error
	switch op {
	case 'p', 'g':
		index, err = u.lineIndex()
	case 'q', 'h':
		index, err = u.index(1)
	case 'r', 'j':
		index, err = u.index(4)
	}
	if err != nil {
		return err
	}
	if op == 'g' || op == 'h' || op == 'j' {
		v, ok := u.rest[index]
		if int(index) < len(u.memo) {
			v, ok = u.memo[index], true
		}
		if !ok {
			return errPickleStack
		}
		return u.push(v)
	}
	v, err := u.top()
	switch {
	case err != nil:
		return err
	case int(index) < len(u.memo):
		u.memo[index] = v
	case int(index) == len(u.memo):
		u.memo = push(u.memo, v)
	default:
		if u.rest == nil {
			u.rest = map[uint32]any{}
		}
		u.rest[index] = v
	}
	return nil
}

func (u *unpickler) lineIndex() (uint32, error) {
	s, err := u.line()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, errPickleText
	}
	return uint32(n), nil
}

func (u *unpickler) index(width uint64) (uint32, error) {
	b, err := u.take(width)
	if err != nil {
		return 0, err
	}
	var n [4]byte
	copy(n[:], b)
	return binary.LittleEndian.Uint32(n[:]), nil
}

func (u *unpickler) number(op byte) error {
	var b []byte
	var s string
	var err error
	switch op {
	case 'J': // BININT
		if b, err = u.take(4); err == nil {
			return u.push(int64(int32(binary.LittleEndian.Uint32(b))))
		}
	case 'K': // BININT1
		if b, err = u.take(1); err == nil {
			return u.push(int64(b[0]))
		}
	case 'M': // BININT2
		if b, err = u.take(2); err == nil {
			return u.push(int64(binary.LittleEndian.Uint16(b)))
		}
	case 'G': // BINFLOAT
		if b, err = u.take(8); err == nil {
			return u.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
		}
	case 0x8a, 0x8b: // LONG1, LONG4
		width := uint64(1)
		if op == 0x8b {
			width = 4
		}
		if b, err = u.sized(width); err == nil {
			return u.pushLong(b)
		}
	case 'F': // FLOAT
		if s, err = u.line(); err == nil {
			f, bad := strconv.ParseFloat(s, 64)
			if bad != nil || strings.ContainsAny(s, "xX_") {
				return errPickleText
			}
			return u.push(f)
		}
	default: // INT, LONG
		if s, err = u.line(); err == nil {
			return u.pushDecimal(op, s)
		}
	}
	return err
}

// pushLong pushes an integer in two's complement, the lowest byte first.
func (u *unpickler) pushLong(b []byte) error {
	if len(b) > maxBigInt {
		return errBigInt
	}
	if len(b) == 0 || b[len(b)-1] < 0x80 {
		return u.push(littleEndian(b))
	}
	if len(b) < 8 {
		return u.push(littleEndian(b).(int64) - 1<<(8*len(b)))
	}
	n := new(big.Int).SetBytes(reversed(b))
	n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	return u.push(smallInt(n))
}

func (u *unpickler) pushDecimal(op byte, s string) error {
	if op == 'I' && (s == "00" || s == "01") { // booleans before protocol 2
		return u.push(s == "01")
	}
	if op == 'L' {
		s = strings.TrimSuffix(s, "L")
	}
	if len(s) > 2*maxBigInt {
		return errBigInt
	}
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return errPickleText
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return u.push(n)
	}
	n, ok := new(big.Int).SetString(s, 10)
	if !ok {
		return errPickleText
	}
	return u.push(smallInt(n))
}

func (u *unpickler) str(op byte) error {
	var b []byte
	var s string
	var err error
	switch op {
	case 'S', 'V': // STRING, UNICODE
		if s, err = u.line(); err != nil {
			return err
		}
		if op == 'S' {
			s, err = unrepr(s)
		} else {
			s, err = rawUnicode(s)
		}
		if err != nil {
			return err
		}
		return u.push(s)
	case 'U', 'C', 0x8c: // SHORT_BINSTRING, SHORT_BINBYTES, SHORT_BINUNICODE
		b, err = u.sized(1)
	case 'T', 'X', 'B': // BINSTRING, BINUNICODE, BINBYTES
		b, err = u.sized(4)
	default: // BINUNICODE8, BINBYTES8, BYTEARRAY8
		b, err = u.sized(8)
	}
	if err != nil {
		return err
	}
	switch op {
	case 'B', 'C', 0x8e, 0x96:
		return u.push(blob(b))
	case 'T', 'U':
		s, err = asciiText(string(b))
	default:
		s, err = surrogatePass(string(b))
	}
	if err != nil {
		return err
	}
	return u.push(s)
}

// asciiText is a string of Python 2, which Python 3 takes for ASCII.
func asciiText(s string) (string, error) {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return "", errPickleText
		}
	}
	return s, nil
}

// surrogatePass checks a string's UTF-8, in which Python writes lone surrogates
// like other characters. Each becomes U+FFFD.
func surrogatePass(s string) (string, error) {
	if utf8.ValidString(s) {
		return s, nil
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r != utf8.RuneError || n > 1:
			b = append(b, s[i:i+n]...)
		case len(s)-i >= 3 && s[i] == 0xed && s[i+1]&0xe0 == 0xa0 && s[i+2]&0xc0 == 0x80:
			b = utf8.AppendRune(b, utf8.RuneError)
			n = 3
		default:
			return "", errNotUTF8
		}
		i += n
	}
	return string(b), nil
}

// rawUnicode decodes Python's raw-unicode-escape: Latin-1 with \u and \U.
func rawUnicode(s string) (string, error) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		width := 0
		if s[i] == '\\' && i+1 < len(s) {
			switch s[i+1] {
			case 'u':
				width = 4
			case 'U':
				width = 8
			}
		}
		if width == 0 {
			b = utf8.AppendRune(b, rune(s[i]))
			i++
			continue
		}
		if len(s)-i-2 < width {
			return "", errPickleText
		}
		r, err := strconv.ParseUint(s[i+2:i+2+width], 16, 32)
		if err != nil || r > utf8.MaxRune {
			return "", errPickleText
		}
		b = utf8.AppendRune(b, rune(r)) // U+FFFD for a lone surrogate
		i += 2 + width
	}
	return string(b), nil
}

// unrepr reads a string of Python 2 as repr wrote it.
func unrepr(s string) (string, error) {
	n := len(s)
	if n < 2 || s[0] != '\'' && s[0] != '"' || s[n-1] != s[0] {
		return "", errPickleText
	}
	s = s[1 : n-1]
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b = append(b, s[i])
			continue
		}
		if i++; i == len(s) {
			return "", errPickleText
		}
		at := strings.IndexByte(`\'"abfnrtv`, s[i])
		switch {
		case at >= 0:
			b = append(b, "\\'\"\a\b\f\n\r\t\v"[at])
		case s[i] == 'x' && i+2 < len(s):
			c, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", errPickleText
			}
			b = append(b, byte(c))
			i += 2
		default:
			return "", errPickleText
		}
	}
	return asciiText(string(b))
}

// newList makes a list of values that are about to leave the stack.
func newList(kind listKind, values []any) *treeList {
	l := &treeList{treeSeen: treeSeen{kind: kind}}
	if len(values) > 0 {
		l.items = append(make([]any, 0, len(values)), values...)
	}
	return l
}

var emptyTuple = &treeList{treeSeen: treeSeen{kind: aTuple, state: 2, size: 1, height: 1}}

func (u *unpickler) list(op byte) error {
	var values []any
	var err error
	switch op {
	case ')': // EMPTY_TUPLE
		return u.push(emptyTuple)
	case ']': // EMPTY_LIST
		return u.push(newList(aList, nil))
	case 0x8f: // EMPTY_SET
		return u.push(newList(aSet, nil))
	case 0x85, 0x86, 0x87: // TUPLE1 to TUPLE3
		if values, err = u.popN(int(op-0x85) + 1); err == nil {
			return u.push(newList(aTuple, values))
		}
		return err
	case 'a': // APPEND
		values, err = u.popN(1)
	default:
		values, err = u.popMark()
	}
	if err != nil {
		return err
	}
	switch op {
	case 't': // TUPLE
		return u.push(newList(aTuple, values))
	case 'l': // LIST
		return u.push(newList(aList, values))
	case 0x91: // FROZENSET
		return u.push(newList(aSet, values))
	}
	kind := aList // APPEND, APPENDS
	if op == 0x90 {
		kind = aSet // ADDITEMS
	}
	v, err := u.top()
	if err != nil {
		return err
	}
	l, ok := v.(*treeList)
	if !ok || l.kind != kind {
		return errPickleStack
	}
	l.items = push(l.items, values...)
	return nil
}

func (u *unpickler) dict(op byte) error {
	if op == '}' { // EMPTY_DICT
		return u.push(&treeDict{})
	}
	var pairs []any
	var err error
	if op == 's' { // SETITEM
		pairs, err = u.popN(2)
	} else { // DICT, SETITEMS
		pairs, err = u.popMark()
	}
	if err != nil {
		return err
	}
	d := &treeDict{}
	if op != 'd' {
		v, err := u.top()
		if err != nil {
			return err
		}
		var ok bool
		if d, ok = v.(*treeDict); !ok {
			return errPickleStack
		}
	}
	if len(pairs)%2 != 0 {
		return errPickleStack
	}
	for i := 0; i < len(pairs); i += 2 {
		if err := u.budget.checkKey(pairs[i]); err != nil {
			return err
		}
		d.members = push(d.members, treeEntry{pairs[i], pairs[i+1]})
	}
	if op == 'd' {
		return u.push(d)
	}
	return nil
}
