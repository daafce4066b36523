package php

import (
	"iter"
	"math"
	"strconv"
)

// MaxDepth is how deep values may nest: PHP's unserialize_max_depth default.
const MaxDepth = 4096

// Kind says what a Value is.
type Kind uint8

// The kinds of values.
const (
	Null   Kind = iota // also what the zero Value is
	Bool               // true or false
	Int                // 64 bits
	Float              // 64 bits, NaN and the infinities included
	String             // bytes in any encoding
	Array              // PHP's ordered map; keys are integers and strings
	Object             // a class name and properties
	Enum               // a case of an enum
	Opaque             // an object that wrote itself (Serializable): class name and body
)

var kindNames = [...]string{"null", "bool", "int", "float", "string", "array", "object", "enum", "opaque"}

// String returns the kind's name in lower case: "int", say.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "Kind(" + strconv.Itoa(int(k)) + ")"
}

// A Value is one PHP value inside a decoded document. It is small and meant to
// be copied. The zero Value is Null. A Value may be read by several goroutines
// at once.
//
// The data given to Decode must not be modified while a Value from it is used.
type Value struct {
	d *document
	i uint32
}

func (d *document) value(cell uint32) Value { return Value{d, d.resolve(cell)} }

func (v Value) node() node {
	if v.d == nil {
		return node{}
	}
	return v.d.nodes[v.i]
}

// Kind says what v is. References are resolved before.
func (v Value) Kind() Kind {
	switch v.node().kind {
	case nBool:
		return Bool
	case nInt:
		return Int
	case nFloat:
		return Float
	case nString:
		return String
	case nArray:
		return Array
	case nObject:
		return Object
	case nEnum:
		return Enum
	case nOpaque:
		return Opaque
	}
	return Null
}

// IsZero reports whether v is Null.
func (v Value) IsZero() bool { return v.Kind() == Null }

// Bool is the value of a Bool, otherwise false. There is no conversion.
func (v Value) Bool() bool { nd := v.node(); return nd.kind == nBool && nd.v != 0 }

// Int is the value of an Int, otherwise 0. There is no conversion.
func (v Value) Int() int64 {
	if nd := v.node(); nd.kind == nInt {
		return int64(nd.v)
	}
	return 0
}

// Float is the value of a Float, otherwise 0. There is no conversion.
func (v Value) Float() float64 {
	if nd := v.node(); nd.kind == nFloat {
		return math.Float64frombits(nd.v)
	}
	return 0
}

// Text is the bytes of a String, the case name of an Enum, or the body of an
// Opaque; otherwise "". PHP strings are bytes: the text may not be UTF-8.
func (v Value) Text() string { return string(v.text()) }

func (v Value) text() []byte {
	switch nd := v.node(); nd.kind {
	case nString:
		return v.d.bytes(v.i)
	case nEnum, nOpaque:
		return v.d.bytes(nd.n + 1)
	}
	return nil
}

// Class is the class name of an Object, Enum or Opaque, otherwise "".
func (v Value) Class() string { return string(v.class()) }

func (v Value) class() []byte {
	switch nd := v.node(); nd.kind {
	case nObject, nEnum, nOpaque:
		return v.d.bytes(nd.n)
	}
	return nil
}

// Len is the number of entries of an Array or properties of an Object, and the
// length in bytes of a String; otherwise 0.
func (v Value) Len() int {
	nd := v.node()
	if nd.kind == nObject {
		if array := v.d.nodes[nd.n].n; array != 0 {
			nd = v.d.nodes[v.d.resolve(array)]
		}
	}
	switch nd.kind {
	case nArray, nObject, nString:
		return int(nd.lo())
	}
	return 0
}

// IsList reports whether v is an Array whose keys are 0…n−1 in that order, as
// the empty one is.
func (v Value) IsList() bool {
	nd := v.node()
	return nd.kind == nArray && (nd.flags&(fList|fPacked) != 0 || nd.lo() == 0)
}

// All yields the entries of an Array or the properties of an Object in PHP's
// order, with references resolved. Other kinds have none. A PHP value may
// contain itself, so whoever descends has to limit how far.
func (v Value) All() iter.Seq2[Key, Value] {
	return func(yield func(Key, Value) bool) {
		if v.d == nil {
			return
		}
		for c := v.d.entries(v.i); ; {
			k, cell, ok := v.d.step(&c)
			if !ok || !yield(k, v.d.value(cell)) {
				return
			}
		}
	}
}

// At descends by array keys ("0" finds the integer key 0) and by property names
// as Key.String gives them. With an empty path it returns v.
func (v Value) At(path ...string) (Value, bool) {
	for _, name := range path {
		next, ok := v.child(name)
		if !ok {
			return Value{}, false
		}
		v = next
	}
	return v, true
}

func (v Value) child(name string) (Value, bool) {
	if v.d == nil {
		return Value{}, false
	}
	num, isNum := decimalKey(name)
	for c := v.d.entries(v.i); ; {
		k, cell, ok := v.d.step(&c)
		if !ok {
			return Value{}, false
		}
		if k.d == nil {
			if isNum && k.num == num {
				return v.d.value(cell), true
			}
		} else if k.is(name) {
			return v.d.value(cell), true
		}
	}
}
