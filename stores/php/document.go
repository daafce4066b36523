package php

// A document is the tape that a decoder writes: one node for every key and
// every value, in the order of the input, containers before their contents.
type document struct {
	in    []byte // the input; strings refer to it by offset
	extra []byte // bytes of the few strings that the input holds only encoded
	nodes []node
}

// node is 16 bytes. What n and v mean depends on kind:
//
//	nBool    v is 0 or 1
//	nInt     v is the int64
//	nFloat   v holds the IEEE bits
//	nString  v is offset<<32 | length
//	nArray   v is end<<32 | live entries
//	nObject  as nArray, and n is the index of the nClass node
//	nEnum    as nObject without entries; the node after the class is the case
//	nOpaque  as nEnum; the node after the class is the body
//	nClass   as nString; n, when not zero, is the index of the array that
//	         holds the object's properties instead of the object itself
//	nNull    n is how many nodes to pass over with it (a msgpack map that stands
//	         for null); nRef and nAlias likewise
//	nRef     v is the index of the value whose slot is shared (PHP's &)
//	nAlias   v is the index of the same object, or of the same array by value
//
// end is the index after the container's last node. A key is an nInt or
// nString node with fKey, directly before its value; its n, when not zero, is
// the index of the value that took the value's place (a duplicate key keeps
// the first one's position and has the last one's value).
type node struct {
	kind  kind
	flags uint8
	n     uint32
	v     uint64
}

type kind uint8

const (
	nNull kind = iota
	nBool
	nInt
	nFloat
	nString
	nArray
	nObject
	nEnum
	nOpaque
	nRef
	nAlias
	nClass
)

const (
	fKey    uint8 = 1 << iota // not a value: a key, a class name, a body
	fDead                     // a key whose entry does not count
	fExtra                    // the bytes are in document.extra
	fShared                   // a value that an nRef or nAlias points at
	fList                     // a container with keys 0…n−1 in this order
	fPacked                   // a list without key nodes
	fParent                   // a property shown as Class::name
	fSlot                     // a value that is PHP's reference by itself

	fProp = fShared // on a key: the name of a property
)

func pack(hi, lo int) uint64 { return uint64(hi)<<32 | uint64(uint32(lo)) }

func (nd *node) hi() uint32 { return uint32(nd.v >> 32) }
func (nd *node) lo() uint32 { return uint32(nd.v) }

// bytes gives the text of a string-like node.
func (d *document) bytes(i uint32) []byte {
	nd := &d.nodes[i]
	src := d.in
	if nd.flags&fExtra != 0 {
		src = d.extra
	}
	return src[nd.hi() : nd.hi()+nd.lo()]
}

// after is the index behind the node at i and all that it contains.
func (d *document) after(i uint32) uint32 {
	switch nd := &d.nodes[i]; nd.kind {
	case nArray, nObject, nEnum, nOpaque:
		return nd.hi()
	}
	return i + 1 + d.nodes[i].n
}

// resolve follows shared slots and handles to the value itself.
func (d *document) resolve(i uint32) uint32 {
	for d.nodes[i].kind == nRef || d.nodes[i].kind == nAlias {
		i = uint32(d.nodes[i].v)
	}
	return i
}

// slot follows shared slots only: it names the place where the value lives.
func (d *document) slot(i uint32) uint32 {
	for d.nodes[i].kind == nRef {
		i = uint32(d.nodes[i].v)
	}
	return i
}

// cursor walks the live entries of one container.
type cursor struct {
	next, end uint32
	index     uint32
	dead      uint32 // entries passed over
	packed    bool
}

func (d *document) entries(i uint32) cursor {
	nd := &d.nodes[i]
	if nd.kind == nObject {
		if array := d.nodes[nd.n].n; array != 0 {
			i = d.resolve(array)
			nd = &d.nodes[i]
		}
		if nd.kind != nArray && nd.kind != nObject {
			return cursor{}
		}
	} else if nd.kind != nArray {
		return cursor{}
	}
	return cursor{next: i + 1, end: nd.hi(), packed: nd.flags&fPacked != 0}
}

// step gives the next entry's key and cell. In a packed list the key is the
// zero Key but for its number.
func (d *document) step(c *cursor) (key Key, cell uint32, ok bool) {
	for c.next < c.end {
		k := c.next
		if c.packed {
			c.next = d.after(k)
			c.index++
			return Key{num: int64(c.index - 1)}, k, true
		}
		nd := &d.nodes[k]
		if nd.kind == nClass {
			c.next++
			continue
		}
		c.next = d.after(k + 1)
		if nd.flags&fDead != 0 {
			c.dead++
			continue
		}
		cell = k + 1
		if nd.n != 0 {
			cell = nd.n
		}
		if nd.kind == nInt {
			return Key{num: int64(nd.v)}, cell, true
		}
		return Key{d: d, i: k}, cell, true
	}
	return Key{}, 0, false
}
