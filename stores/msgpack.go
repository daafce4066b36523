package stores

import (
	"encoding/binary"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"
)

var (
	errMsgpack      = errors.New("it is not valid msgpack")
	errMsgpackExt   = errors.New("it is msgpack with an extension type other than a timestamp")
	errMsgpackAfter = errors.New("something follows the msgpack value")
)

// unmsgpack reads a msgpack value and nothing after it. Timestamps become text,
// as Python's str writes them.
func unmsgpack(data []byte) (any, error) {
	r := msgpackReader{room: len(data), budget: newTreeBudget(len(data))}
	v, rest, err := r.value(data, 0)
	if err == nil && len(rest) > 0 {
		err = errMsgpackAfter
	}
	return v, err
}

type msgpackReader struct {
	// room is how many values may still be declared: each has a byte of its
	// own.
	room   int
	budget treeBudget
}

func (r *msgpackReader) value(in []byte, depth int) (v any, rest []byte, err error) {
	if depth > maxTreeDepth {
		return nil, nil, errTreeDepth
	}
	if len(in) == 0 {
		return nil, nil, errShort
	}
	switch t := msgp.NextType(in); t {
	case msgp.NilType:
		return nil, in[1:], nil
	case msgp.BoolType:
		v, rest, err = wrapMsgpack(msgp.ReadBoolBytes(in))
	case msgp.IntType:
		v, rest, err = wrapMsgpack(msgp.ReadInt64Bytes(in))
	case msgp.UintType:
		v, rest, err = wrapMsgpack(msgp.ReadUint64Bytes(in))
	case msgp.Float32Type:
		var f float32
		f, rest, err = msgp.ReadFloat32Bytes(in)
		v = float64(f)
	case msgp.Float64Type:
		v, rest, err = wrapMsgpack(msgp.ReadFloat64Bytes(in))
	case msgp.StrType:
		var s []byte
		if s, rest, err = msgp.ReadStringZC(in); err == nil && !utf8.Valid(s) {
			return nil, nil, errNotUTF8
		}
		v = string(s)
	case msgp.BinType:
		var b []byte
		b, rest, err = msgp.ReadBytesZC(in)
		v = blob(b)
	case msgp.ArrayType:
		return r.array(in, depth)
	case msgp.MapType:
		return r.dict(in, depth)
	default:
		return msgpackTime(in)
	}
	if err != nil {
		return nil, nil, errMsgpack
	}
	return v, rest, nil
}

func wrapMsgpack[T any](v T, rest []byte, err error) (any, []byte, error) { return v, rest, err }

func (r *msgpackReader) array(in []byte, depth int) (any, []byte, error) {
	n, rest, err := msgp.ReadArrayHeaderBytes(in)
	switch {
	case err != nil:
		return nil, nil, errMsgpack
	case uint64(n) > uint64(r.room):
		return nil, nil, errShort
	}
	r.room -= int(n)
	l := &treeList{}
	if n > 0 {
		l.items = make([]any, 0, n)
	}
	for range n {
		var v any
		if v, rest, err = r.value(rest, depth+1); err != nil {
			return nil, nil, err
		}
		l.items = append(l.items, v)
	}
	return l, rest, nil
}

func (r *msgpackReader) dict(in []byte, depth int) (any, []byte, error) {
	n, rest, err := msgp.ReadMapHeaderBytes(in)
	switch {
	case err != nil:
		return nil, nil, errMsgpack
	case uint64(n) > uint64(r.room/2):
		return nil, nil, errShort
	}
	r.room -= 2 * int(n)
	d := &treeDict{}
	if n > 0 {
		d.members = make([]treeEntry, 0, n)
	}
	for range n {
		var key, value any
		if key, rest, err = r.value(rest, depth+1); err != nil {
			return nil, nil, err
		}
		if value, rest, err = r.value(rest, depth+1); err != nil {
			return nil, nil, err
		}
		if err = r.budget.checkKey(key); err != nil {
			return nil, nil, err
		}
		d.members = append(d.members, treeEntry{key, value})
	}
	return d, rest, nil
}

// msgpackTime reads the timestamp extension, type -1, in its three sizes
// (msgpack's spec.md, "Timestamp extension type").
func msgpackTime(in []byte) (any, []byte, error) {
	size, data := 0, in
	switch in[0] {
	case 0xd6:
		size, data = 4, in[1:]
	case 0xd7:
		size, data = 8, in[1:]
	case 0xc7:
		if len(in) > 1 && in[1] == 12 {
			size, data = 12, in[2:]
		}
	case 0xc1:
		return nil, nil, errMsgpack
	}
	if size == 0 {
		return nil, nil, errMsgpackExt
	}
	if len(data) < 1+size {
		return nil, nil, errShort
	}
	if data[0] != 0xff {
		return nil, nil, errMsgpackExt
	}
	rest := data[1+size:]
	data = data[1 : 1+size]
	var seconds, nanos int64
	switch size {
	case 4:
		seconds = int64(binary.BigEndian.Uint32(data))
	case 8:
		n := binary.BigEndian.Uint64(data)
		seconds, nanos = int64(n&(1<<34-1)), int64(n>>34)
	default:
		nanos = int64(binary.BigEndian.Uint32(data))
		seconds = int64(binary.BigEndian.Uint64(data[4:]))
	}
	const minSeconds, maxSeconds = -62135596800, 253402300799 // the years 1 to 9999
	if nanos > 999999999 || seconds < minSeconds || seconds > maxSeconds {
		return nil, nil, errMsgpack
	}
	return pyText(pyDateText(time.Unix(seconds, nanos))), rest, nil
}

// pyDateText writes a time as str(datetime) does.
func pyDateText(t time.Time) string {
	t = t.UTC()
	if t.Nanosecond() < 1000 {
		return t.Format("2006-01-02 15:04:05+00:00")
	}
	return t.Format("2006-01-02 15:04:05.000000+00:00")
}
