package php

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tinylib/msgp/msgp"
)

// msgpack reads what the msgpack extension writes with its default of
// msgpack.php_only: plain MessagePack in which a nil key marks what PHP has and
// MessagePack lacks. As msgpack_unserialize_map_item in msgpack_unpack.c reads
// it, the value of a nil key is
//
//	1        this map is a PHP reference
//	2, 4, 5  the next entry's value is the number of an earlier array, map or
//	         object, which this map stands for; with 5 as a new reference
//	3        the next entry is a class name and the body it wrote
//	"Class"  this map is an object
//	[…]      what the class's __serialize gave
//
// Arrays and maps are numbered from 1 in the order of their first byte.
type msgpack struct {
	builder
	first   uint32   // as in serialize: the tape is numbered on demand
	slots   []uint32 // number − 1 → node
	std     uint32   // the class of all empty maps
	pending int64    // what the last nil key announced for the next entry
}

// maxMsgpackDepth is MSGPACK_EMBED_STACK_SIZE: the extension reads no deeper.
const maxMsgpackDepth = 1024

const (
	markReference       = 1
	markRecursive       = 2
	markCustom          = 3
	markObject          = 4
	markObjectReference = 5
)

// fNumbered marks the nodes that msgpack numbers: where an array or map began.
// On these kinds of node the bit has no other meaning.
const fNumbered = fExtra

// value reads one value, with all that it contains, onto the tape.
func (m *msgpack) value() error {
	m.depth = maxMsgpackDepth
	m.places, m.late = true, true
	for {
		if err := m.item(); err != nil {
			return err
		}
		for {
			if len(m.stack) == 0 {
				return nil
			}
			f := &m.stack[len(m.stack)-1]
			if f.left == 0 {
				m.shut()
				continue
			}
			f.left--
			if m.doc.nodes[f.node].flags&fPacked != 0 {
				break
			}
			whole, err := m.key()
			if err != nil {
				return err
			}
			if !whole {
				break
			}
		}
	}
}

// read hands what is left of the input to a function of msgp. A method value
// would not do: Go's methods have no type parameters.
func read[T any](m *msgpack, f func([]byte) (T, []byte, error)) (v T, err error) {
	v, rest, err := f(m.doc.in[m.pos:])
	if err != nil {
		return v, m.err(m.pos, wantBytes)
	}
	m.pos = len(m.doc.in) - len(rest)
	return v, nil
}

func (m *msgpack) next() msgp.Type { return msgp.NextType(m.doc.in[m.pos:]) }

// item reads one value; of an array or map, only what comes before its first
// entry.
func (m *msgpack) item() error {
	switch t := m.next(); t {
	case msgp.ArrayType, msgp.MapType:
		return m.container(t)
	default:
		nd, err := m.scalar(t)
		if err == nil {
			m.add(nd)
		}
		return err
	}
}

func (m *msgpack) scalar(t msgp.Type) (node, error) {
	switch t {
	case msgp.NilType:
		m.pos++
		return node{kind: nNull}, nil
	case msgp.BoolType:
		m.pos++
		return node{kind: nBool, v: uint64(m.doc.in[m.pos-1] & 1)}, nil
	case msgp.IntType:
		n, err := read(m, msgp.ReadInt64Bytes)
		return node{kind: nInt, v: uint64(n)}, err
	case msgp.UintType:
		n, err := read(m, msgp.ReadUint64Bytes)
		if n <= math.MaxInt64 {
			return node{kind: nInt, v: n}, err
		}
		// Too large for PHP's int: the extension makes it a string.
		return m.literal(strconv.AppendUint(nil, n, 10)), err
	case msgp.Float32Type:
		f, err := read(m, msgp.ReadFloat32Bytes)
		return node{kind: nFloat, v: math.Float64bits(float64(f))}, err
	case msgp.Float64Type:
		f, err := read(m, msgp.ReadFloat64Bytes)
		return node{kind: nFloat, v: math.Float64bits(f)}, err
	case msgp.StrType:
		s, err := read(m, msgp.ReadStringZC)
		return node{kind: nString, v: pack(m.pos-len(s), len(s))}, err
	case msgp.BinType:
		s, err := read(m, msgp.ReadBytesZC)
		return node{kind: nString, v: pack(m.pos-len(s), len(s))}, err
	case msgp.InvalidType:
		return node{}, m.err(m.pos, wantTag)
	}
	// Extension types become null.
	rest, err := msgp.Skip(m.doc.in[m.pos:])
	if err != nil {
		return node{}, m.err(m.pos, wantBytes)
	}
	m.pos = len(m.doc.in) - len(rest)
	return node{kind: nNull}, nil
}

// literal is a string that the input does not hold as it is.
func (m *msgpack) literal(text []byte) node {
	nd := node{kind: nString, flags: fExtra, v: pack(len(m.doc.extra), len(text))}
	m.doc.extra = append(m.doc.extra, text...)
	return nd
}

// container reads the header of an array or map.
func (m *msgpack) container(t msgp.Type) error {
	at := m.pos
	header, size := msgp.ReadArrayHeaderBytes, 1
	if t == msgp.MapType {
		header, size = msgp.ReadMapHeaderBytes, 2
		m.pending = 0
	}
	n, err := read(m, header)
	if err != nil {
		return err
	}
	if uint64(n) > uint64((len(m.doc.in)-m.pos)/size) {
		return m.err(at, wantCount)
	}
	if t == msgp.ArrayType {
		i := m.add(node{kind: nArray, flags: fPacked | fNumbered})
		m.doc.nodes[i].v = pack(int(i)+1, 0)
		if n == 0 {
			return nil
		}
		err := m.open(i, int(n), at)
		m.stack[len(m.stack)-1].count = n
		return err
	}
	if n == 0 { // arrays are never written as maps when empty
		i := m.add(node{kind: nObject, flags: fNumbered})
		if m.std == 0 {
			class := m.literal([]byte("stdClass"))
			m.std = m.add(node{kind: nClass, flags: fKey | fExtra, v: class.v})
		}
		m.doc.nodes[i].n = m.std
		m.doc.nodes[i].v = pack(len(m.doc.nodes), 0)
		return nil
	}
	// Null until an entry or a marker says what else.
	return m.open(m.add(node{kind: nNull, flags: fNumbered}), int(n), at)
}

// key reads a map's next key and all that needs no further item: whole is
// whether that was the value as well.
func (m *msgpack) key() (whole bool, err error) {
	at := m.pos
	t := m.next()
	if t == msgp.ArrayType || t == msgp.MapType {
		return false, m.err(at, wantKey) // never written; the extension would call it Array
	}
	key, err := m.scalar(t)
	if err != nil {
		return false, err
	}
	if key.kind == nNull {
		return m.marker()
	}
	self := m.stack[len(m.stack)-1].node
	switch mark := m.pending; {
	case mark == 0 || m.next() == msgp.MapType:
	case mark == markCustom:
		m.pending = 0
		return true, m.custom(key, at)
	default:
		m.pending = 0
		if m.next() == msgp.ArrayType {
			return false, m.err(m.pos, "the number of a value before")
		}
		n, err := m.scalar(m.next())
		if err != nil {
			return false, err
		}
		if m.doc.nodes[self].kind != nNull {
			return false, m.err(at, "no entries beside a reference")
		}
		if n.kind == nInt {
			m.reference(self, int64(n.v), mark == markObjectReference)
		}
		return true, nil
	}
	return false, m.entry(key, at)
}

// entry appends a key to the open map, whose value comes next.
func (m *msgpack) entry(key node, at int) error {
	switch nd := &m.doc.nodes[m.stack[len(m.stack)-1].node]; nd.kind {
	case nNull:
		nd.kind = nArray
		nd.flags |= fList
	case nArray, nObject:
	default: // it stands for another value
		return m.err(at, "no entries beside a reference")
	}
	switch key.kind {
	case nInt:
		m.intKey(int64(key.v))
		return nil
	case nBool:
		key = m.literal([]byte{'1'}[:key.v])
	case nFloat:
		key = m.literal(floatKey(math.Float64frombits(key.v)))
	}
	m.strKey(key.v, key.flags, true)
	return nil
}

// floatKey is a float as PHP makes a string of it, with the default of the ini
// setting precision, 14.
func floatKey(f float64) []byte {
	switch {
	case math.IsNaN(f):
		return []byte("NAN")
	case math.IsInf(f, 1):
		return []byte("INF")
	case math.IsInf(f, -1):
		return []byte("-INF")
	case f == 0 && math.Signbit(f):
		return []byte("-0")
	}
	return bytes.ToUpper(appendFloat(nil, f, 14))
}

// marker reads the value of a nil key.
func (m *msgpack) marker() (whole bool, err error) {
	m.pending = 0
	self := m.stack[len(m.stack)-1].node
	t := m.next()
	if t == msgp.ArrayType || t == msgp.MapType {
		if nd := &m.doc.nodes[self]; nd.kind == nObject && m.unserializes(nd.n) {
			m.doc.nodes[nd.n].n = uint32(len(m.doc.nodes)) + 1
		}
		m.add(node{kind: nNull, flags: fKey | fDead})
		return false, nil
	}
	val, err := m.scalar(t)
	if err != nil {
		return false, err
	}
	switch {
	case val.kind == nString:
		if k := m.doc.nodes[self].kind; k != nNull && k != nArray {
			return false, m.err(m.pos, "one class for an object")
		}
		m.become(self, val)
	case val.kind != nInt:
	case val.v == markReference:
		m.doc.nodes[self].flags |= fSlot
	case val.v >= markRecursive && val.v <= markObjectReference:
		m.pending = int64(val.v)
	}
	return true, nil
}

// become makes the open map at self an object.
func (m *msgpack) become(self uint32, class node) {
	f := &m.stack[len(m.stack)-1]
	d := &m.doc
	// Of the entries that came before the class, those with names stay.
	for k, end := self+1, uint32(len(d.nodes)); f.count > 0 && k < end; k = d.after(k + 1) {
		switch key := &d.nodes[k]; {
		case key.flags&fDead != 0:
		case key.kind == nInt:
			key.flags |= fDead
			f.count--
		default:
			key.flags |= fProp
		}
	}
	f.keys = nil
	if class.flags&fExtra == 0 {
		class = m.class(class.v)
	}
	i := m.add(node{kind: nClass, flags: fKey | class.flags, v: class.v})
	nd := &d.nodes[self]
	nd.kind, nd.n = nObject, i
	nd.flags = nd.flags&^fList | fParent // shut looks at the names
}

// custom makes the open map at self an object that wrote itself.
func (m *msgpack) custom(class node, at int) error {
	if t := m.next(); class.kind != nString || t != msgp.StrType && t != msgp.BinType {
		return m.err(at, "a class name and a body")
	}
	body, err := m.scalar(m.next())
	if err != nil {
		return err
	}
	i := m.add(node{kind: nClass, flags: fKey | class.flags, v: class.v})
	m.add(node{kind: nClass, flags: fKey, v: body.v})
	nd := &m.doc.nodes[m.stack[len(m.stack)-1].node]
	if nd.kind != nNull {
		return m.err(at, "one class for an object")
	}
	nd.kind, nd.n = nOpaque, i
	return nil
}

// reference makes the open map at self stand for the array or map number n. An
// unknown number is passed over, as the extension does.
func (m *msgpack) reference(self uint32, n int64, slot bool) {
	d := &m.doc
	for ; int(m.first) < len(d.nodes); m.first++ {
		if nd := &d.nodes[m.first]; nd.flags&(fKey|fNumbered) == fNumbered && nd.kind != nString {
			m.slots = append(m.slots, m.first)
		}
	}
	if n < 1 || n > int64(len(m.slots)) {
		return
	}
	cell := m.slots[n-1]
	if d.nodes[cell].flags&fSlot == 0 {
		cell = m.place(cell)
	}
	cell = d.slot(cell)
	nd := &d.nodes[self]
	nd.flags &^= fSlot
	if slot {
		nd.flags |= fSlot
	}
	target := &d.nodes[cell]
	switch {
	case cell == self || target.kind == nNull && target.flags&fSlot == 0:
		nd.kind = nNull
		return
	case target.flags&fSlot != 0:
		nd.kind, nd.v = nRef, uint64(cell)
	default:
		cell = d.resolve(cell)
		nd.kind, nd.v = nAlias, uint64(cell)
	}
	d.nodes[cell].flags |= fShared
}

// session reads what the msgpack session handler puts into $_SESSION. It never
// fails (PS_SERIALIZER_DECODE_FUNC(msgpack) in msgpack.c): data that cannot be
// read is an empty session.
func (m *msgpack) session() error {
	err := m.value()
	if k := m.doc.nodes; err != nil || len(k) == 0 || k[0].kind != nArray && k[0].kind != nObject {
		m.doc.nodes = append(m.doc.nodes[:0], emptyArray)
		return nil
	}
	m.stringKeys()
	return nil
}

// unserializes reports whether PHP itself declares the class at i and reads
// back what its __serialize gave. For a class of the application only that
// class knows what the array means; the extension drops it when the class is
// not loaded, and so does this reader.
func (m *msgpack) unserializes(i uint32) bool {
	_, found := slices.BinarySearchFunc(selfSerializing, string(m.doc.bytes(i)), func(a, b string) int {
		return strings.Compare(a, strings.ToLower(b))
	})
	return found
}

// selfSerializing are the classes with __unserialize that PHP 8.2 declares in
// what every PHP has, in lower case and sorted.
var selfSerializing = []string{
	"arrayiterator",
	"arrayobject",
	"dateinterval",
	"dateperiod",
	"datetime",
	"datetimeimmutable",
	"datetimezone",
	"recursivearrayiterator",
	"spldoublylinkedlist",
	"splfixedarray",
	"splobjectstorage",
	"splqueue",
	"splstack",
}
