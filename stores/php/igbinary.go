package php

import (
	"encoding/binary"
	"math"
)

// igbinary reads what the igbinary extension writes, versions 1 and 2, as
// igbinary_unserialize_zval and its helpers in src/php7/igbinary.c do.
type igbinary struct {
	builder
	strings []uint64 // the string table: offset<<32 | length
	// refs is the table that back-references index: arrays, objects, enums, and
	// what the reference tag marked. The entry is a node, with refSlot when it
	// is PHP's reference and not the array or object alone.
	refs []uint64
	long uint64 // bytes that enum names take when they are written out
}

const refSlot = 1 << 32

// The type tags, from the enum igbinary_type.
const (
	igNull       = 0x00
	igRef8       = 0x01 // to 0x03: 16 and 32 bits
	igFalse      = 0x04
	igTrue       = 0x05
	igLong8p     = 0x06 // to 0x0b: 8n, 16p, 16n, 32p, 32n
	igLong32n    = 0x0b
	igDouble     = 0x0c
	igEmpty      = 0x0d
	igStringID8  = 0x0e // to 0x10
	igStringID32 = 0x10
	igString8    = 0x11 // to 0x13
	igString32   = 0x13
	igArray8     = 0x14 // to 0x16
	igArray32    = 0x16
	igObject8    = 0x17 // to 0x19
	igObject32   = 0x19
	igObjectID8  = 0x1a // to 0x1c
	igObjectID32 = 0x1c
	igLong64p    = 0x20
	igLong64n    = 0x21
	igObjRef8    = 0x22 // to 0x24
	igObjRef32   = 0x24
	igRef        = 0x25 // what follows is a reference
	igString64   = 0x26
	igEnumCase   = 0x27
)

const (
	wantTag   = "a type tag"
	wantBytes = "more data"
)

// header reads the four bytes that name the version.
func (g *igbinary) header() error {
	if len(g.doc.in) < 5 {
		return g.err(0, "a header and a value")
	}
	if v := binary.BigEndian.Uint32(g.doc.in); v != 1 && v != 2 {
		return g.err(0, "version 1 or 2")
	}
	g.pos = 4
	return nil
}

// value reads one value, with all that it contains, onto the tape.
func (g *igbinary) value() error {
	for {
		if err := g.item(); err != nil {
			return err
		}
		for {
			if len(g.stack) == 0 {
				return nil
			}
			f := &g.stack[len(g.stack)-1]
			if f.left == 0 {
				g.shut()
				continue
			}
			f.left--
			some, err := g.key()
			if err != nil {
				return err
			}
			if some {
				break
			}
		}
	}
}

// uint reads a big-endian number of 1<<size bytes.
func (g *igbinary) uint(size uint8) (n uint64, err error) {
	in, at := g.doc.in, g.pos
	if len(in)-at < 1<<size {
		return 0, g.err(at, wantBytes)
	}
	g.pos += 1 << size
	switch size {
	case 0:
		return uint64(in[at]), nil
	case 1:
		return uint64(binary.BigEndian.Uint16(in[at:])), nil
	case 2:
		return uint64(binary.BigEndian.Uint32(in[at:])), nil
	}
	return binary.BigEndian.Uint64(in[at:]), nil
}

func isIgLong(tag byte) bool {
	return tag >= igLong8p && tag <= igLong32n || tag == igLong64p || tag == igLong64n
}

// integer reads the magnitude; the tag has the sign. What does not fit becomes
// 0, as in igbinary_unserialize_long.
func (g *igbinary) integer(tag byte) (int64, error) {
	size := (tag - igLong8p) / 2
	if tag >= igLong64p {
		size = 3
	}
	u, err := g.uint(size)
	if err != nil {
		return 0, err
	}
	neg := tag&1 != 0
	if u > math.MaxInt64 && !(neg && u == 1<<63) {
		return 0, nil
	}
	if neg {
		return -int64(u), nil
	}
	return int64(u), nil
}

func isIgText(tag byte) bool {
	return tag >= igStringID8 && tag <= igString32 || tag == igString64
}

// text reads a string, or the number of one before. base is the tag of the
// 8-bit form with a number; the forms with text follow.
func (g *igbinary) text(tag, base byte) (uint64, error) {
	at := g.pos
	if tag >= base && tag < base+3 {
		n, err := g.uint(tag - base)
		if err != nil {
			return 0, err
		}
		if n >= uint64(len(g.strings)) {
			return 0, g.err(at, "the number of a string before")
		}
		return g.strings[n], nil
	}
	size := uint8(3)
	if tag != igString64 {
		size = tag - base - 3
	}
	n, err := g.uint(size)
	if err != nil {
		return 0, err
	}
	if n > uint64(len(g.doc.in)-g.pos) {
		return 0, g.err(at, wantLength)
	}
	v := pack(g.pos, int(n))
	g.pos += int(n)
	g.strings = append(g.strings, v)
	return v, nil
}

// key reads an array key or property name. There is none when the entry was
// written as missing (a null instead of a key and a value).
func (g *igbinary) key() (some bool, err error) {
	if g.pos >= len(g.doc.in) {
		return false, g.err(g.pos, wantKey)
	}
	tag := g.doc.in[g.pos]
	g.pos++
	switch {
	case isIgLong(tag):
		n, err := g.integer(tag)
		if err != nil {
			return false, err
		}
		g.intKey(n)
	case isIgText(tag):
		v, err := g.text(tag, igStringID8)
		if err != nil {
			return false, err
		}
		g.strKey(v, 0, g.inObject())
	case tag == igEmpty:
		g.strKey(0, 0, false)
	case tag == igNull:
		return false, nil
	default:
		return false, g.err(g.pos-1, wantKey)
	}
	return true, nil
}

// inObject: the extension takes array keys as they are, but PHP shows numeric
// property names as integers.
func (g *igbinary) inObject() bool {
	return g.doc.nodes[g.stack[len(g.stack)-1].node].kind == nObject
}

// item reads one value; of an array or object, only what comes before its
// first entry.
func (g *igbinary) item() error {
	slot := false
	for {
		if g.pos >= len(g.doc.in) {
			return g.err(g.pos, wantTag)
		}
		if g.doc.in[g.pos] != igRef {
			break
		}
		slot = true
		g.pos++
	}
	at := g.pos
	tag := g.doc.in[at]
	g.pos++
	var nd node
	switch {
	case isIgText(tag):
		v, err := g.text(tag, igStringID8)
		if err != nil {
			return err
		}
		nd = node{kind: nString, v: v}
	case isIgLong(tag):
		n, err := g.integer(tag)
		if err != nil {
			return err
		}
		nd = node{kind: nInt, v: uint64(n)}
	case tag >= igArray8 && tag <= igArray32:
		return g.array(tag, slot, at)
	case tag >= igObject8 && tag <= igObjectID32:
		return g.object(tag, slot, at)
	case tag >= igRef8 && tag < igRef8+3:
		return g.reference(tag-igRef8, slot)
	case tag >= igObjRef8 && tag <= igObjRef32:
		return g.reference(tag-igObjRef8, slot)
	case tag == igNull:
		nd = node{kind: nNull}
	case tag == igFalse, tag == igTrue:
		nd = node{kind: nBool, v: uint64(tag - igFalse)}
	case tag == igEmpty:
		nd = node{kind: nString}
	case tag == igDouble:
		bits, err := g.uint(3)
		if err != nil {
			return err
		}
		nd = node{kind: nFloat, v: bits}
	default:
		return g.err(at, wantTag)
	}
	i := g.add(nd)
	if slot { // of scalars only references have a number
		g.remember(i, slot)
	}
	return nil
}

func (g *igbinary) remember(i uint32, slot bool) {
	r := uint64(i)
	if slot {
		r |= refSlot
	}
	g.refs = append(g.refs, r)
}

// count reads how many entries follow. Each takes a byte at least.
func (g *igbinary) count(tag byte) (int, error) {
	at := g.pos
	n, err := g.uint(tag - igArray8)
	if err != nil {
		return 0, err
	}
	if n > uint64(len(g.doc.in)-g.pos) {
		return 0, g.err(at, wantCount)
	}
	return int(n), nil
}

func (g *igbinary) array(tag byte, slot bool, at int) error {
	n, err := g.count(tag)
	if err != nil {
		return err
	}
	i := g.add(node{kind: nArray, flags: fList})
	g.doc.nodes[i].v = pack(int(i)+1, 0)
	g.remember(i, slot)
	if n == 0 {
		return nil
	}
	return g.open(i, n, at)
}

// object reads a class name and, by the tag that follows, the properties or an
// enum's case. The body of a Serializable object is refused: unlike PHP's own
// formats, igbinary fails when the class is not there to read it.
func (g *igbinary) object(tag byte, slot bool, at int) error {
	var class uint64
	var err error
	if tag <= igObject32 {
		class, err = g.text(tag, igObject8-3)
	} else {
		class, err = g.text(tag, igObjectID8)
	}
	if err != nil {
		return err
	}
	if g.pos >= len(g.doc.in) {
		return g.err(g.pos, wantTag)
	}
	inner := g.doc.in[g.pos]
	g.pos++
	switch {
	case inner >= igArray8 && inner <= igArray32:
		n, err := g.count(inner)
		if err != nil {
			return err
		}
		i := g.newObject(class)
		g.remember(i, slot)
		if n == 0 {
			return nil
		}
		return g.open(i, n, at)
	case inner == igEnumCase:
		return g.enum(class, slot)
	}
	return g.err(g.pos-1, "properties or a case")
}

func (g *igbinary) enum(class uint64, slot bool) error {
	at := g.pos
	if at >= len(g.doc.in) || !isIgText(g.doc.in[at]) {
		return g.err(at, "a case")
	}
	g.pos++
	name, err := g.text(g.doc.in[at], igStringID8)
	if err != nil {
		return err
	}
	for _, v := range [...]uint64{class, name} {
		n := node{v: v}
		if b := g.keyBytes(&n); v == name && !isLabel(b) || v == class && !isClassName(b) {
			return g.err(at, "class and case")
		}
		g.long += v & math.MaxUint32
	}
	// The string table lets a few bytes stand for long names. A session that
	// PHP wrote is far from this.
	if g.long > 32*uint64(len(g.doc.in))+4096 {
		return g.fail(at, ErrTooLarge)
	}
	g.remember(g.twoPart(nEnum, class, name), slot)
	return nil
}

// reference reads the number of an entry of refs. With the reference tag it
// shares the slot; without, an object is the same object and an array a copy.
func (g *igbinary) reference(size uint8, slot bool) error {
	at := g.pos
	n, err := g.uint(size)
	if err != nil {
		return err
	}
	if n >= uint64(len(g.refs)) {
		return g.err(at, "the number of a value before")
	}
	d := &g.doc
	cell := uint32(g.refs[n])
	if slot && g.refs[n]&refSlot != 0 {
		d.nodes[cell].flags |= fShared
		g.add(node{kind: nRef, v: uint64(cell)})
		return nil
	}
	cell = d.resolve(cell)
	d.nodes[cell].flags |= fShared
	i := g.add(node{kind: nAlias, v: uint64(cell)})
	if slot {
		g.refs[n] = uint64(i) | refSlot
	}
	return nil
}

// session checks what the igbinary session handler puts into $_SESSION: the
// entries of an array, or the properties of an object, whose key is a string.
func (g *igbinary) session() error {
	if len(g.doc.in) == 0 {
		return nil
	}
	if err := g.header(); err != nil {
		return err
	}
	if err := g.value(); err != nil {
		return err
	}
	if k := g.doc.nodes[0].kind; k != nArray && k != nObject || g.doc.in[4] == igRef {
		return g.err(4, "an array")
	}
	g.stringKeys()
	return nil
}

// stringKeys makes the root, an array or object, an array without integer keys.
func (b *builder) stringKeys() {
	d := &b.doc
	c := d.entries(0)
	if c.packed || c.end == 0 || c.next != 1 {
		d.nodes[0] = emptyArray
		d.nodes = d.nodes[:1]
		return
	}
	count := 0
	for k := c.next; k < c.end; {
		nd := &d.nodes[k]
		switch {
		case nd.kind == nClass:
			k++
			continue
		case nd.flags&fDead != 0:
		case nd.kind == nInt:
			nd.flags |= fDead
		default:
			nd.flags &^= fProp | fParent
			count++
		}
		k = d.after(k + 1)
	}
	root := &d.nodes[0]
	root.kind, root.n = nArray, 0
	root.flags &= fShared
	root.v = pack(int(root.hi()), count)
}

// single reads one value and nothing behind it.
func (g *igbinary) single() error {
	if err := g.header(); err != nil {
		return err
	}
	if err := g.value(); err != nil {
		return err
	}
	if g.pos < len(g.doc.in) {
		return g.err(g.pos, "the end of the data")
	}
	return nil
}
