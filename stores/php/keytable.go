package php

import "hash/maphash"

// A keyTable finds the keys of one container that has many, so that input with
// many duplicate or unordered keys costs linear time.
type keyTable struct {
	*keyHashes
	slots []uint32 // open addressing; index of a key node + 1, or 0
	used  int
}

// keyHashes hashes keys. The seed is random: keys cannot be chosen to collide.
type keyHashes struct {
	seed maphash.Seed
	// igbinary can use one long text as a key many times over.
	long map[uint64]uint64
}

const longKey = 256

// newKeyTable indexes the keys that container has so far.
func newKeyTable(d *document, container uint32, hashes *keyHashes) *keyTable {
	t := &keyTable{keyHashes: hashes, slots: make([]uint32, 8*linearKeys)}
	for k, end := container+1, uint32(len(d.nodes)); k < end; {
		nd := &d.nodes[k]
		if nd.kind == nClass {
			k++
			continue
		}
		if nd.flags&fDead == 0 {
			t.insert(d, k)
		}
		k = d.after(k + 1)
	}
	return t
}

func (h *keyHashes) hash(key *node, text []byte) uint64 {
	if key.kind == nInt {
		return maphash.Comparable(h.seed, key.v)
	}
	if len(text) < longKey || key.flags&fExtra != 0 {
		return maphash.Bytes(h.seed, text)
	}
	sum, ok := h.long[key.v]
	if !ok {
		sum = maphash.Bytes(h.seed, text)
		if h.long == nil {
			h.long = make(map[uint64]uint64)
		}
		h.long[key.v] = sum
	}
	return sum
}

func (t *keyTable) insert(d *document, i uint32) {
	if 2*(t.used+1) > len(t.slots) {
		old := t.slots
		t.slots = make([]uint32, 2*len(old))
		for _, s := range old {
			if s != 0 {
				t.put(d, s-1)
			}
		}
	}
	t.put(d, i)
	t.used++
}

func (t *keyTable) put(d *document, i uint32) {
	var text []byte
	nd := &d.nodes[i]
	if nd.kind == nString {
		text = d.bytes(i)
	}
	mask := uint64(len(t.slots) - 1)
	h := t.hash(nd, text) & mask
	for t.slots[h] != 0 {
		h = (h + 1) & mask
	}
	t.slots[h] = i + 1
}

// find gives the key node that equals key.
func (t *keyTable) find(d *document, key *node, text []byte) (uint32, bool) {
	mask := uint64(len(t.slots) - 1)
	for h := t.hash(key, text) & mask; t.slots[h] != 0; h = (h + 1) & mask {
		if i := t.slots[h] - 1; d.sameKey(i, key, text) {
			return i, true
		}
	}
	return 0, false
}
