package php

import (
	"bytes"
	"hash/maphash"
	"math"
	"strings"
)

// A builder writes a document. It is what the readers of the formats share:
// the tape, the open containers, and PHP's rules for keys.
type builder struct {
	doc    document
	pos    int // in doc.in
	format Handler
	limit  int // nodes that the input can give at most
	stack  []frame
	depth  int // open containers allowed
	hashes *keyHashes
	places bool              // whether overwritten values have to be traced
	late   bool              // a value is overwritten when its successor is complete, not before
	moved  map[uint32]uint32 // an overwritten value's cell → its successor's
}

// frame is one open container.
type frame struct {
	node   uint32
	left   uint32 // entries that the input still owes
	count  uint32 // live entries
	strs   uint32 // of these, with a string key
	maxInt int64  // the greatest integer key, when there is one
	keys   *keyTable
}

// linearKeys is how many entries are searched one by one for a duplicate; for
// more a table is built.
const linearKeys = 16

// init begins a document, for which perNode bytes of data are expected to give
// a node.
func (b *builder) init(format Handler, data []byte, perNode int) error {
	b.format = format
	b.depth = MaxDepth
	b.doc.in = data
	if uint64(len(data)) >= math.MaxUint32 {
		return &SyntaxError{Format: format, Want: "less than 4 GiB", Err: ErrTooLarge}
	}
	// The tape doubles when it is full. No format can need more than a node for
	// every byte.
	b.limit = len(data) + 4
	b.doc.nodes = make([]node, 0, min(len(data)/perNode+8, b.limit, 1<<16))
	return nil
}

func (b *builder) err(at int, want string) error {
	return &SyntaxError{Format: b.format, Offset: at, Want: want}
}

func (b *builder) fail(at int, err error) error {
	return &SyntaxError{Format: b.format, Offset: at, Want: "less", Err: err}
}

// add appends a node and gives its index.
func (b *builder) add(nd node) uint32 {
	n := len(b.doc.nodes)
	if n == cap(b.doc.nodes) {
		b.grow()
	}
	b.doc.nodes = append(b.doc.nodes, nd)
	return uint32(n)
}

// grow doubles the tape, but not beyond what the input can fill.
func (b *builder) grow() {
	n := len(b.doc.nodes)
	size := 2*n + 8
	if n < b.limit && size > b.limit {
		size = b.limit
	}
	bigger := make([]node, n, size)
	copy(bigger, b.doc.nodes)
	b.doc.nodes = bigger
}

// open makes the node at i the innermost container, owed left entries.
func (b *builder) open(i uint32, left int, at int) error {
	if len(b.stack) >= b.depth {
		return b.fail(at, ErrTooDeep)
	}
	if len(b.stack) == cap(b.stack) {
		size := 2 * len(b.stack)
		if size < 512 {
			size = 4*size + 8
		}
		b.stack = append(make([]frame, 0, min(size, b.depth)), b.stack...)
	}
	b.stack = append(b.stack, frame{node: i, left: uint32(left)})
	return nil
}

// shut writes the end and the count of the innermost container.
func (b *builder) shut() {
	f := &b.stack[len(b.stack)-1]
	nd := &b.doc.nodes[f.node]
	switch nd.kind {
	case nArray, nObject, nOpaque:
		nd.v = pack(len(b.doc.nodes), int(f.count))
	default: // a msgpack map that became null or a reference
		if nd.kind == nNull {
			nd.v = 1 // complete
		}
		nd.n = uint32(len(b.doc.nodes)) - f.node - 1
	}
	if nd.kind == nObject && nd.flags&fParent != 0 {
		nd.flags &^= fParent
		b.doc.markParents(f.node)
	}
	b.stack = b.stack[:len(b.stack)-1]
}

// intKey appends an integer key to the innermost container, whose value is the
// next node.
func (b *builder) intKey(n int64) {
	f := &b.stack[len(b.stack)-1]
	key := node{kind: nInt, flags: fKey, v: uint64(n)}
	if f.count == f.strs || n > f.maxInt {
		f.maxInt = n // ascending, as nearly all are: no duplicate
	} else if old, dup := b.find(f, &key, nil); dup {
		b.replace(old, key)
		return
	}
	if n != int64(f.count) {
		b.doc.nodes[f.node].flags &^= fList
	}
	f.count++
	i := b.add(key)
	if f.keys != nil {
		f.keys.insert(&b.doc, i)
	}
}

// strKey appends a string key: off<<32|len in the input, or in document.extra
// when flags has fExtra. With numeric, "5" becomes the integer 5.
func (b *builder) strKey(at uint64, flags uint8, numeric bool) {
	f := &b.stack[len(b.stack)-1]
	key := node{kind: nString, flags: flags | fKey, v: at}
	text := b.keyBytes(&key)
	if numeric {
		if n, ok := decimalKey(text); ok {
			b.intKey(n)
			return
		}
	}
	if nd := &b.doc.nodes[f.node]; nd.kind == nObject {
		key.flags |= fProp
		if len(text) > 0 && text[0] == 0 {
			nd.flags |= fParent // shut looks at the names then
		}
	} else {
		nd.flags &^= fList
	}
	if f.strs > 0 {
		if old, dup := b.find(f, &key, text); dup {
			b.replace(old, key)
			return
		}
	}
	f.count++
	f.strs++
	i := b.add(key)
	if f.keys != nil {
		f.keys.insert(&b.doc, i)
	}
}

// newObject appends an object without properties yet.
func (b *builder) newObject(class uint64) uint32 {
	i := b.add(node{kind: nObject})
	b.doc.nodes[i].n = b.add(b.class(class))
	b.doc.nodes[i].v = pack(len(b.doc.nodes), 0)
	return i
}

// class makes the node of a class name. Of the names that PHP itself declares,
// the one that sessions are full of gets its declared spelling: a class is found
// whatever the case.
func (b *builder) class(at uint64) node {
	const std = "stdClass"
	nd := node{kind: nClass, flags: fKey, v: at}
	if name := b.keyBytes(&nd); len(name) == len(std) && string(name) != std && strings.EqualFold(string(name), std) {
		nd.v = pack(len(b.doc.extra), len(std))
		nd.flags |= fExtra
		b.doc.extra = append(b.doc.extra, std...)
	}
	return nd
}

// twoPart appends an enum's case or an object that wrote itself.
func (b *builder) twoPart(k kind, class, text uint64) uint32 {
	i := b.add(node{kind: k})
	b.doc.nodes[i].n = b.add(b.class(class))
	b.add(node{kind: nClass, flags: fKey, v: text})
	b.doc.nodes[i].v = pack(len(b.doc.nodes), 0)
	return i
}

func (b *builder) keyBytes(key *node) []byte {
	src := b.doc.in
	if key.flags&fExtra != 0 {
		src = b.doc.extra
	}
	return src[key.hi() : key.hi()+key.lo()]
}

// find looks for a live key equal to key in the innermost container.
func (b *builder) find(f *frame, key *node, text []byte) (uint32, bool) {
	d := &b.doc
	if f.keys == nil {
		// Not all entries are live: steps is what bounds the search.
		end := uint32(len(d.nodes))
		k := f.node + 1
		for steps := 0; k < end && steps < linearKeys; steps++ {
			nd := &d.nodes[k]
			if nd.kind == nClass {
				k++
				continue
			}
			if nd.flags&fDead == 0 && d.sameKey(k, key, text) {
				return k, true
			}
			k = d.after(k + 1)
		}
		if k >= end {
			return 0, false
		}
		if b.hashes == nil {
			b.hashes = &keyHashes{seed: maphash.MakeSeed()}
		}
		f.keys = newKeyTable(d, f.node, b.hashes)
	}
	return f.keys.find(d, key, text)
}

// sameKey reports whether the key node at i equals key, whose text is text.
func (d *document) sameKey(i uint32, key *node, text []byte) bool {
	nd := &d.nodes[i]
	switch {
	case nd.kind != key.kind:
		return false
	case nd.v == key.v && (nd.kind == nInt || (nd.flags^key.flags)&fExtra == 0):
		return true
	}
	return nd.kind == nString && nd.lo() == key.lo() && bytes.Equal(d.bytes(i), text)
}

// replace appends key as the duplicate of the live key at old: its value, which
// comes next, takes the place of old's.
func (b *builder) replace(old uint32, key node) {
	key.flags |= fDead
	cell := b.add(key) + 1
	prev := old + 1
	if n := b.doc.nodes[old].n; n != 0 {
		prev = n
	}
	b.doc.nodes[old].n = cell
	if !b.places {
		return
	}
	if b.moved == nil {
		b.moved = make(map[uint32]uint32)
	}
	b.moved[prev] = cell
}

// place is where the value lives that was written to cell: PHP numbers the
// places, and an overwritten value's number goes on to its successor.
func (b *builder) place(cell uint32) uint32 {
	last := cell
	for next, ok := b.moved[last]; ok && (!b.late || b.complete(next)); next, ok = b.moved[last] {
		last = next
	}
	for cell != last {
		next := b.moved[cell]
		b.moved[cell] = last // so that long chains are walked once
		cell = next
	}
	return last
}

// complete reports whether the value at i has been read to its end.
func (b *builder) complete(i uint32) bool {
	return int(i) < len(b.doc.nodes) && (b.doc.nodes[i].flags&fNumbered == 0 || b.doc.nodes[i].v != 0)
}
