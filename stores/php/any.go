package php

// Any gives v as plain Go values: nil, bool, int64, float64, string, []any for
// an Array with the keys 0…n−1 in order, and map[string]any for every other
// Array and for an Object, by Key.String. An Enum is the string "Class::Case",
// an Opaque its body.
//
// What PHP shares, by reference or as one object, is one Go map or slice in
// each place, so that shared parts cost nothing. A value inside itself is nil
// where the cycle closes: the result is always finite. The strings of one
// result share memory of the size of the session. Go's maps are large, some 300
// bytes for one entry, which three bytes of input can ask for.
func (v Value) Any() any {
	if v.d == nil {
		return nil
	}
	c := converter{d: v.d, text: string(v.d.in)}
	root := c.convert(v.i)
	// Not recursive: references can chain values deeper than MaxDepth.
	for len(c.open) > 0 {
		f := &c.open[len(c.open)-1]
		key, cell, ok := c.d.step(&f.cursor)
		if !ok {
			c.done(f.node)
			c.open = c.open[:len(c.open)-1]
			continue
		}
		list, dict := f.list, f.dict
		var name string
		if dict == nil {
			f.filled++
		} else {
			name = c.name(key)
		}
		at := f.filled - 1
		x := c.convert(c.d.resolve(cell)) // f is not valid behind this
		if dict == nil {
			list[at] = x
		} else {
			dict[name] = x
		}
	}
	return root
}

type converter struct {
	d      *document
	text   string               // d.in, of which strings are parts
	extra  string               // d.extra, likewise
	joined map[[2]uint64]string // of two texts
	open   []convFrame
	shared map[uint32]any // shared containers; nil while one is open
}

type convFrame struct {
	cursor cursor
	node   uint32
	filled int
	list   []any
	dict   map[string]any
}

// convert gives a scalar, or an empty container and leaves it to be filled.
func (c *converter) convert(i uint32) any {
	v := Value{c.d, i}
	switch v.Kind() {
	case Bool:
		return v.Bool()
	case Int:
		return v.Int()
	case Float:
		return v.Float()
	case String:
		return c.str(i)
	case Enum:
		return c.enum(i)
	case Opaque:
		return c.str(c.d.nodes[i].n + 1)
	case Array, Object:
	default:
		return nil
	}
	if c.d.nodes[i].flags&fShared != 0 {
		if x, seen := c.shared[i]; seen {
			return x
		}
	}
	f := convFrame{cursor: c.d.entries(i), node: i}
	if v.IsList() {
		f.list = make([]any, v.Len())
	} else {
		f.dict = make(map[string]any, v.Len())
	}
	if len(c.open) == cap(c.open) {
		c.open = append(make([]convFrame, 0, 4*len(c.open)+8), c.open...)
	}
	c.open = append(c.open, f)
	if c.d.nodes[i].flags&fShared != 0 {
		if c.shared == nil {
			c.shared = make(map[uint32]any)
		}
		c.shared[i] = nil
	}
	if f.dict == nil {
		return f.list
	}
	return f.dict
}

// done makes the finished container at i available to those that share it.
func (c *converter) done(i uint32) {
	if c.d.nodes[i].flags&fShared == 0 {
		return
	}
	if f := &c.open[len(c.open)-1]; f.dict == nil {
		c.shared[i] = f.list
	} else {
		c.shared[i] = f.dict
	}
}

func (c *converter) str(i uint32) string {
	nd := &c.d.nodes[i]
	if nd.flags&fExtra != 0 {
		if c.extra == "" {
			c.extra = string(c.d.extra)
		}
		return c.extra[nd.hi() : nd.hi()+nd.lo()]
	}
	return c.text[nd.hi() : nd.hi()+nd.lo()]
}

// enum gives "Class::Case". Formats with a string table can name a long class
// in a few bytes, many times, so equal ones are one string.
func (c *converter) enum(i uint32) string {
	class, name := c.d.nodes[i].n, c.d.nodes[i].n+1
	return c.join(class, name, func() string { return c.str(class) + "::" + c.str(name) })
}

func (c *converter) join(a, b uint32, text func() string) string {
	id := [2]uint64{c.d.nodes[a].v, c.d.nodes[b].v}
	s, ok := c.joined[id]
	if !ok {
		s = text()
		if c.joined == nil {
			c.joined = make(map[[2]uint64]string)
		}
		c.joined[id] = s
	}
	return s
}

func (c *converter) name(k Key) string {
	if k.d == nil {
		return k.String()
	}
	s, flags := c.str(k.i), c.d.nodes[k.i].flags
	if flags&fProp == 0 {
		return s
	}
	class, name := unmangle(c.d.bytes(k.i))
	if flags&fParent != 0 && flags&fExtra == 0 {
		return c.join(k.i, k.i, func() string { return string(class) + "::" + string(name) })
	}
	if flags&fParent != 0 {
		return k.String()
	}
	return s[len(s)-len(name):]
}
