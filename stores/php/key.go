package php

import (
	"math"
	"strconv"
)

// A Key is an array key, which is an integer or a string, or the name of a
// property. It is valid as long as the Value that it came from.
type Key struct {
	d   *document // nil for an integer key
	i   uint32
	num int64
}

// Int returns an integer key's number; ok is false for a string key.
func (k Key) Int() (n int64, ok bool) { return k.num, k.d == nil }

// String is the key as text: an integer in decimal, a property without its
// visibility mark. Where several properties of one object have equal names, the
// public one or that of the object's own class keeps the name and a parent's
// private one is "Class::name". The text may not be UTF-8.
func (k Key) String() string {
	if k.d == nil {
		return strconv.FormatInt(k.num, 10)
	}
	return string(k.appendName(nil))
}

// Mangled is the key as PHP stores it: a protected property has "\x00*\x00"
// before its name, a private one "\x00Class\x00".
func (k Key) Mangled() string {
	if k.d == nil {
		return strconv.FormatInt(k.num, 10)
	}
	return string(k.d.bytes(k.i))
}

func (k Key) appendName(dst []byte) []byte {
	if k.d == nil {
		return strconv.AppendInt(dst, k.num, 10)
	}
	raw := k.d.bytes(k.i)
	flags := k.d.nodes[k.i].flags
	if flags&fProp == 0 {
		return append(dst, raw...)
	}
	class, name := unmangle(raw)
	if flags&fParent != 0 {
		dst = append(append(dst, class...), "::"...)
	}
	return append(dst, name...)
}

func (k Key) is(name string) bool {
	nd := &k.d.nodes[k.i]
	raw := k.d.bytes(k.i)
	if nd.flags&fProp == 0 || len(raw) == 0 || raw[0] != 0 {
		return string(raw) == name && nd.flags&fParent == 0
	}
	class, base := unmangle(raw)
	if nd.flags&fParent == 0 {
		return string(base) == name
	}
	return len(name) == len(class)+2+len(base) && name[:len(class)] == string(class) &&
		name[len(class):len(class)+2] == "::" && name[len(class)+2:] == string(base)
}

// decimalKey gives the integer that PHP makes of a numeric string key: only the
// canonical spelling counts (ZEND_HANDLE_NUMERIC_STR in Zend/zend_hash.h).
func decimalKey[T string | []byte](s T) (int64, bool) {
	n := len(s)
	if n == 0 || n > 20 || s[0] > '9' {
		return 0, false
	}
	i := 0
	if s[0] == '-' {
		i = 1
	}
	if i == n || s[i] == '0' && n > 1 {
		return 0, false
	}
	var u uint64
	for ; i < n; i++ {
		c := s[i] - '0'
		if c > 9 || u > math.MaxInt64/10 {
			return 0, false
		}
		u = u*10 + uint64(c)
	}
	if s[0] == '-' {
		return -int64(u), u <= math.MaxInt64+1
	}
	return int64(u), u <= math.MaxInt64
}
