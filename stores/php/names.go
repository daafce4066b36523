package php

import (
	"bytes"
	"hash/maphash"
)

// maxName is how long class and property names are taken for such. PHP sets no
// limit, but a format with a string table could make every use of a long name
// cost its length again.
const maxName = 1024

// unmangle splits a property's stored name as zend_unmangle_property_name_ex
// does. class is nil for a public property, "*" for a protected one.
func unmangle(raw []byte) (class, name []byte) {
	if len(raw) < 3 || raw[0] != 0 {
		return nil, raw
	}
	n := bytes.IndexByte(raw[1:min(len(raw), maxName)], 0)
	if n < 1 {
		return nil, raw
	}
	return raw[1 : 1+n], raw[2+n:]
}

// markParents flags those property names of the object at i that another
// property hides. Of properties with equal names a public one keeps the name,
// then that of the object's own class, then a protected one, then the last
// parent's: PHP writes a parent's properties before its child's.
func (d *document) markParents(i uint32) {
	class := d.bytes(d.nodes[i].n)
	seed := maphash.MakeSeed()
	seen := make(map[uint64]uint32) // a name's hash → the key that has the name
	for c := d.entries(i); ; {
		key, _, ok := d.step(&c)
		if !ok {
			return
		}
		if key.d == nil {
			continue
		}
		owner, name := unmangle(d.bytes(key.i))
		if len(name) > maxName {
			continue
		}
		sum := maphash.Bytes(seed, name)
		other, dup := seen[sum]
		if !dup {
			seen[sum] = key.i
			continue
		}
		before, _ := unmangle(d.bytes(other))
		if rank(owner, class) >= rank(before, class) {
			d.nodes[other].flags |= fParent
			seen[sum] = key.i
		} else {
			d.nodes[key.i].flags |= fParent
		}
	}
}

func rank(owner, class []byte) int {
	switch {
	case owner == nil:
		return 3 // there is no class to show it with
	case bytes.EqualFold(owner, class):
		return 2
	case len(owner) == 1 && owner[0] == '*':
		return 1
	}
	return 0
}
