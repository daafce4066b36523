package stores

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

var (
	errMarshalVersion = errors.New("it is not Ruby's Marshal 4.8")
	errMarshalType    = errors.New("it is Marshal data of an unknown type")
	errMarshalText    = errors.New("it is Marshal data with a malformed number or name")
	errMarshalLink    = errors.New("it is Marshal data with a link to nothing")
)

// unmarshalRuby reads Ruby's Marshal 4.8 as far as it is plain data: nil,
// booleans, numbers, strings, symbols, arrays and hashes. Any object of a class
// is errObject, but for ActiveSupport::HashWithIndifferentAccess, which is
// written as a hash. What follows the value is left alone, as by Marshal.load.
//
// The format is that of ruby's marshal.c.
func unmarshalRuby(data []byte) (any, error) {
	if len(data) < 2 || data[0] != 4 || data[1] != 8 {
		return nil, errMarshalVersion
	}
	r := rubyReader{in: data[2:], room: len(data), budget: newTreeBudget(len(data))}
	if bytes.IndexByte(data, '@') >= 0 {
		r.objects = make([]any, 0, len(data)/2) // what has a number is at least 2 bytes long
		r.links = true
	}
	v, err := r.value(0)
	if err != nil {
		return nil, err
	}
	return v, checkTree(v, len(data))
}

// rubySymbol is a name, which is no string to Ruby.
type rubySymbol string

func (s rubySymbol) text() string { return string(s) }

type rubyReader struct {
	in      []byte
	symbols []rubySymbol
	objects []any // what links point at, in the order in which it begins
	links   bool  // there may be some

	// room is how many values may still be declared: each has a byte of its
	// own.
	room   int
	budget treeBudget
}

func (r *rubyReader) byte() (byte, error) {
	if len(r.in) == 0 {
		return 0, errShort
	}
	b := r.in[0]
	r.in = r.in[1:]
	return b, nil
}

// long reads an integer of at most 32 bits (marshal.c, r_long).
func (r *rubyReader) long() (int64, error) {
	b, err := r.byte()
	if err != nil {
		return 0, err
	}
	c := int64(int8(b))
	switch {
	case c == 0:
		return 0, nil
	case c > 4:
		return c - 5, nil
	case c < -4:
		return c + 5, nil
	}
	n, x := c, int64(0)
	if n < 0 {
		n, x = -n, -1
	}
	if int64(len(r.in)) < n {
		return 0, errShort
	}
	for i := range n {
		x &^= 0xff << (8 * i)
		x |= int64(r.in[i]) << (8 * i)
	}
	r.in = r.in[n:]
	return x, nil
}

// count reads how many things follow, each at least so many bytes long.
func (r *rubyReader) count(size int) (int, error) {
	n, err := r.long()
	switch {
	case err != nil:
		return 0, err
	case n < 0 || n > int64(len(r.in)/size):
		return 0, errShort
	}
	return int(n), nil
}

// declare reads how many values follow, or pairs of them, and makes sure that
// the whole value is long enough for all that have been declared so far.
func (r *rubyReader) declare(each int) (int, error) {
	n, err := r.count(each)
	if err != nil {
		return 0, err
	}
	if r.room -= each * n; r.room < 0 {
		return 0, errShort
	}
	return n, nil
}

func (r *rubyReader) bytes() (string, error) {
	n, err := r.count(1)
	if err != nil {
		return "", err
	}
	s := string(r.in[:n])
	r.in = r.in[n:]
	return s, nil
}

// enter gives an object its number, before what is inside gets one.
func (r *rubyReader) enter(v any) any {
	if r.links {
		r.objects = append(r.objects, v)
	}
	return v
}

func (r *rubyReader) value(depth int) (any, error) {
	if depth > maxTreeDepth {
		return nil, errTreeDepth
	}
	t, err := r.byte()
	if err != nil {
		return nil, err
	}
	switch t {
	case '0':
		return nil, nil
	case 'T', 'F':
		return t == 'T', nil
	case 'i':
		return r.long()
	case 'l':
		return r.bignum()
	case 'f':
		return r.float()
	case ':', ';':
		return r.symbol(t)
	case '"':
		s, err := r.bytes()
		return r.enter(plainBytes(s)), err
	case 'I':
		return r.withIvars(depth)
	case '[':
		return r.array(depth)
	case '{', '}':
		return r.hash(t, depth)
	case 'C':
		return r.subclass(depth)
	case '@':
		n, err := r.long()
		if err != nil {
			return nil, err
		}
		if n < 0 || n >= int64(len(r.objects)) {
			return nil, errMarshalLink
		}
		return r.objects[n], nil
	case 'o', 'u', 'U', 'S', 'e', 'c', 'm', 'M', 'd', '/':
		return nil, errObject
	}
	return nil, errMarshalType
}

func (r *rubyReader) bignum() (any, error) {
	sign, err := r.byte()
	if err != nil {
		return nil, err
	}
	shorts, err := r.count(2)
	switch {
	case err != nil:
		return nil, err
	case sign != '+' && sign != '-':
		return nil, errMarshalText
	case 2*shorts > maxBigInt:
		return nil, errBigInt
	}
	n := littleEndian(r.in[:2*shorts])
	r.in = r.in[2*shorts:]
	if sign == '-' {
		n = negated(n)
	}
	return r.enter(n), nil
}

func (r *rubyReader) float() (any, error) {
	s, err := r.bytes()
	if err != nil {
		return nil, err
	}
	var f float64
	switch s {
	case "nan":
		f = math.NaN()
	case "inf":
		f = math.Inf(1)
	case "-inf":
		f = math.Inf(-1)
	default:
		if f, err = strconv.ParseFloat(s, 64); err != nil || strings.Trim(s, "0123456789+-.eE") != "" {
			return nil, errMarshalText
		}
	}
	return r.enter(f), nil
}

func (r *rubyReader) symbol(t byte) (any, error) {
	if t == ';' {
		n, err := r.long()
		if err != nil {
			return nil, err
		}
		if n < 0 || n >= int64(len(r.symbols)) {
			return nil, errMarshalLink
		}
		return r.symbols[n], nil
	}
	s, err := r.bytes()
	if err != nil {
		return nil, err
	}
	if !utf8.ValidString(s) {
		return nil, errMarshalText
	}
	r.symbols = append(r.symbols, rubySymbol(s))
	return rubySymbol(s), nil
}

// plainBytes is a string if the bytes are text.
func plainBytes(s string) any {
	if utf8.ValidString(s) {
		return s
	}
	return blob(s)
}

// withIvars reads a value with instance variables. A string's encoding is one;
// others could not be shown.
func (r *rubyReader) withIvars(depth int) (any, error) {
	at := len(r.objects)
	v, err := r.value(depth + 1)
	if err != nil {
		return nil, err
	}
	switch v.(type) {
	case string, blob, rubySymbol:
	default:
		return nil, errObject
	}
	n, err := r.count(2)
	if err != nil {
		return nil, err
	}
	for range n {
		name, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		value, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		s, isText := v.(string)
		switch name {
		case rubySymbol("E"): // true: UTF-8, false: US-ASCII
		case rubySymbol("encoding"):
			if b, isBlob := v.(blob); isBlob {
				v = encoded(b)
			} else if isText && !plainASCII(s) {
				v = encoded(s)
			}
		default:
			return nil, errObject
		}
		if _, isList := value.(*treeList); isList {
			return nil, errMarshalText
		}
	}
	if _, isSymbol := v.(rubySymbol); !isSymbol && at < len(r.objects) {
		r.objects[at] = v
	}
	return v, nil
}

// plainASCII reports whether bytes mean the same in every encoding that they
// are likely to be in; UTF-16, say, has zeros.
func plainASCII(s string) bool {
	for i := range len(s) {
		if s[i] == 0 || s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func (r *rubyReader) array(depth int) (any, error) {
	n, err := r.declare(1)
	if err != nil {
		return nil, err
	}
	l := &treeList{}
	r.enter(l)
	if n > 0 {
		l.items = make([]any, 0, n)
	}
	for range n {
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		l.items = append(l.items, v)
	}
	return l, nil
}

func (r *rubyReader) hash(t byte, depth int) (any, error) {
	n, err := r.declare(2)
	if err != nil {
		return nil, err
	}
	d := &treeDict{}
	r.enter(d)
	if n > 0 {
		d.members = make([]treeEntry, 0, n)
	}
	for range n {
		key, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		value, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if err := r.budget.checkKey(key); err != nil {
			return nil, err
		}
		d.members = append(d.members, treeEntry{key, value})
	}
	if t == '}' { // a hash with a default value
		if _, err := r.value(depth + 1); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// subclass reads a string, array or hash of a class that is derived from it.
func (r *rubyReader) subclass(depth int) (any, error) {
	name, err := r.value(depth + 1)
	if err != nil {
		return nil, err
	}
	if name != rubySymbol("ActiveSupport::HashWithIndifferentAccess") {
		return nil, errObject
	}
	v, err := r.value(depth + 1)
	if err != nil {
		return nil, err
	}
	if _, ok := v.(*treeDict); !ok {
		return nil, errObject
	}
	return v, nil
}
