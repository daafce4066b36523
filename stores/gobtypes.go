package stores

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strings"
	"time"
	"unicode/utf8"
)

// GorillaTypes returns a codec that reads the same values as Gorilla(nil) by the
// descriptions of types that gob puts into them, so that no type of the
// application's needs to be registered. It is for tools: a service has the
// types, and [Gorilla] gives their own values.
//
// A struct is a map of its exported fields, those that gob left out because
// they are zero included. What encodes itself (GobEncoder and the like) is its
// bytes, but a time.Time is its text.
func GorillaTypes() Codec { return gobTypesCodec{} }

type gobTypesCodec struct{}

func (gobTypesCodec) Name() string { return "gob" }

func (gobTypesCodec) Decode(value []byte) (Values, time.Time, error) {
	// What is left out and filled in again must not be much more than what is
	// there.
	r := gobReader{in: value, types: map[int64]*gobType{}, fill: len(value)/4 + 256}
	root, err := r.message()
	if err != nil {
		return nil, time.Time{}, err
	}
	if err := checkTree(root, len(value)); err != nil {
		return nil, time.Time{}, err
	}
	v, err := newTreeValues(root)
	return v, time.Time{}, err
}

var (
	errGobType  = errors.New("gob: a type is not described")
	errGobBad   = errors.New("gob: it is damaged")
	errGobZeros = errors.New("gob: it leaves out more than it holds")
)

// The types that gob knows without a description (encoding/gob, type.go).
const (
	gobBool      = 1
	gobInt       = 2
	gobUint      = 3
	gobFloat     = 4
	gobBytes     = 5
	gobString    = 6
	gobComplex   = 7
	gobInterface = 8
	gobFirstUser = 64
)

type gobKind uint8

const (
	gobArray gobKind = iota
	gobSlice
	gobStruct
	gobMap
	gobItself // GobEncoder, BinaryMarshaler or TextMarshaler
)

// gobType is a type that the value describes.
type gobType struct {
	kind      gobKind
	key, elem int64
	fields    []gobField
}

type gobField struct {
	name string
	id   int64
}

type gobReader struct {
	in    []byte
	types map[int64]*gobType
	depth int
	fill  int // fields that may still be filled in
}

// message reads a whole value: descriptions of types, each with its length
// before it, then the value.
func (r *gobReader) message() (any, error) {
	for {
		n, err := r.uint()
		if err != nil || n > uint64(len(r.in)) {
			return nil, errShort
		}
		id, err := r.int()
		if err != nil {
			return nil, err
		}
		if id >= 0 {
			return r.single(id, "")
		}
		if err := r.describe(-id); err != nil {
			return nil, err
		}
	}
}

// single reads a value that stands for itself: what is no struct has a zero
// before it.
func (r *gobReader) single(id int64, name string) (any, error) {
	if t := r.types[id]; t == nil || t.kind != gobStruct {
		if zero, err := r.uint(); err != nil || zero != 0 {
			return nil, errGobBad
		}
	}
	return r.value(id, name)
}

func (r *gobReader) value(id int64, name string) (any, error) {
	switch id {
	case gobBool:
		u, err := r.uint()
		return u != 0, err
	case gobInt:
		return r.int()
	case gobUint:
		return r.uint()
	case gobFloat:
		return r.float()
	case gobBytes:
		b, err := r.bytes()
		return blob(b), err
	case gobString:
		b, err := r.bytes()
		if err == nil && !utf8.Valid(b) {
			return blob(b), nil
		}
		return string(b), err
	case gobComplex:
		re, err := r.float()
		if err != nil {
			return nil, err
		}
		im, err := r.float()
		return &treeList{items: []any{re, im}}, err
	case gobInterface:
		return r.dynamic()
	}
	t := r.types[id]
	if t == nil {
		return nil, errGobType
	}
	if r.depth++; r.depth > maxGoDepth {
		return nil, errTreeDepth
	}
	defer func() { r.depth-- }()
	switch t.kind {
	case gobStruct:
		return r.structure(t)
	case gobMap:
		return r.mapping(t)
	case gobItself:
		b, err := r.bytes()
		return gobText(name, b), err
	}
	n, err := r.count()
	if err != nil {
		return nil, err
	}
	list := &treeList{items: make([]any, n)}
	for i := range list.items {
		if list.items[i], err = r.value(t.elem, ""); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// gobText gives what encoded itself in the way in which the well-known types
// are written.
func gobText(name string, b []byte) any {
	switch {
	case name == "time.Time":
		var moment time.Time
		if moment.UnmarshalBinary(b) == nil {
			return moment.Format(time.RFC3339Nano)
		}
	case strings.HasSuffix(name, ".UUID") && len(b) == 16:
		return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	}
	return blob(b)
}

// dynamic reads what an interface holds: the name of its type, descriptions,
// the type, a length, the value.
func (r *gobReader) dynamic() (any, error) {
	name, err := r.bytes()
	if err != nil || len(name) == 0 { // nil
		return nil, err
	}
	if r.depth++; r.depth > maxGoDepth {
		return nil, errTreeDepth
	}
	defer func() { r.depth-- }()
	for {
		id, err := r.int()
		if err != nil {
			return nil, err
		}
		if id < 0 {
			if err := r.describe(-id); err != nil {
				return nil, err
			}
		}
		if _, err := r.uint(); err != nil { // the length of what follows
			return nil, err
		}
		if id >= 0 {
			return r.single(id, string(name))
		}
	}
}

func (r *gobReader) structure(t *gobType) (any, error) {
	d := &treeDict{}
	next := 0
	for {
		delta, err := r.uint()
		if err != nil {
			return nil, err
		}
		until := len(t.fields)
		if delta > 0 {
			if delta > uint64(len(t.fields)-next) {
				return nil, errGobBad
			}
			until = next + int(delta) - 1
		}
		for ; next < until; next++ {
			if zero, ok := gobZero(t.fields[next].id); ok {
				if r.fill--; r.fill < 0 {
					return nil, errGobZeros
				}
				d.members = append(d.members, treeEntry{key: t.fields[next].name, value: zero})
			}
		}
		if delta == 0 {
			return d, nil
		}
		f := t.fields[next]
		v, err := r.value(f.id, "")
		if err != nil {
			return nil, err
		}
		d.members = append(d.members, treeEntry{key: f.name, value: v})
		next++
	}
}

// gobZero is the value of a field that was left out, if it is a plain one.
func gobZero(id int64) (any, bool) {
	switch id {
	case gobBool:
		return false, true
	case gobInt, gobUint:
		return int64(0), true
	case gobFloat:
		return float64(0), true
	case gobString, gobBytes:
		return "", true
	case gobInterface:
		return nil, true
	}
	return nil, false
}

func (r *gobReader) mapping(t *gobType) (any, error) {
	n, err := r.count()
	if err != nil {
		return nil, err
	}
	d := &treeDict{members: make([]treeEntry, 0, n/2)}
	for range n {
		key, err := r.value(t.key, "")
		if err != nil {
			return nil, err
		}
		v, err := r.value(t.elem, "")
		if err != nil {
			return nil, err
		}
		entry, err := newTreeEntry(key, v)
		if err != nil {
			return nil, err
		}
		d.members = append(d.members, entry)
	}
	return d, nil
}

// describe reads the description of a type, a wireType.
func (r *gobReader) describe(id int64) error {
	if id < gobFirstUser || r.types[id] != nil {
		return errGobBad
	}
	t := &gobType{}
	err := r.eachField(func(kind int) error {
		switch kind {
		case 0, 1, 2, 3:
			t.kind = [...]gobKind{gobArray, gobSlice, gobStruct, gobMap}[kind]
		case 4, 5, 6:
			t.kind = gobItself
		default:
			return errGobBad
		}
		return r.eachField(func(field int) (err error) {
			switch {
			case field == 0: // CommonType: name and id, which are known
				return r.eachField(func(field int) error {
					if field == 0 {
						_, err := r.bytes()
						return err
					}
					_, err := r.int()
					return err
				})
			case field == 1 && t.kind == gobStruct:
				t.fields, err = r.fields()
			case field == 1 && t.kind == gobMap:
				t.key, err = r.int()
			case field == 1, field == 2 && t.kind == gobMap:
				t.elem, err = r.int()
			case field == 2 && t.kind == gobArray:
				_, err = r.int()
			default:
				err = errGobBad
			}
			return err
		})
	})
	r.types[id] = t
	return err
}

func (r *gobReader) fields() ([]gobField, error) {
	n, err := r.count()
	if err != nil {
		return nil, err
	}
	fields := make([]gobField, n)
	for i := range fields {
		if err := r.eachField(func(field int) (err error) {
			switch field {
			case 0:
				var name []byte
				name, err = r.bytes()
				if fields[i].name = string(name); !utf8.Valid(name) {
					return errNotUTF8
				}
			case 1:
				fields[i].id, err = r.int()
			default:
				err = errGobBad
			}
			return err
		}); err != nil {
			return nil, err
		}
	}
	return fields, nil
}

// eachField reads a struct of gob's own.
func (r *gobReader) eachField(read func(field int) error) error {
	field := -1
	for {
		delta, err := r.uint()
		if err != nil || delta == 0 {
			return err
		}
		if delta > 8 {
			return errGobBad
		}
		field += int(delta)
		if err := read(field); err != nil {
			return err
		}
	}
}

// uint reads gob's unsigned integer: a byte below 128, or how many bytes
// follow, negated.
func (r *gobReader) uint() (uint64, error) {
	if len(r.in) == 0 {
		return 0, errShort
	}
	first := r.in[0]
	if r.in = r.in[1:]; first < 0x80 {
		return uint64(first), nil
	}
	n := -int(int8(first))
	if n > 8 {
		return 0, errGobBad
	}
	if n > len(r.in) {
		return 0, errShort
	}
	var b [8]byte
	copy(b[8-n:], r.in)
	r.in = r.in[n:]
	return binary.BigEndian.Uint64(b[:]), nil
}

func (r *gobReader) int() (int64, error) {
	u, err := r.uint()
	if u&1 != 0 {
		return ^int64(u >> 1), err
	}
	return int64(u >> 1), err
}

func (r *gobReader) float() (float64, error) {
	u, err := r.uint()
	return math.Float64frombits(bits.ReverseBytes64(u)), err
}

func (r *gobReader) bytes() ([]byte, error) {
	n, err := r.count()
	if err != nil {
		return nil, err
	}
	b := r.in[:n]
	r.in = r.in[n:]
	return b, nil
}

// count reads how many elements follow, each of which takes a byte at least.
func (r *gobReader) count() (int, error) {
	n, err := r.uint()
	if err != nil {
		return 0, err
	}
	if n > uint64(len(r.in)) {
		return 0, fmt.Errorf("%w: of %d elements", errShort, n)
	}
	return int(n), nil
}
