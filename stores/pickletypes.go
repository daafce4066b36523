package stores

import (
	"fmt"
	"math/big"
	"strings"
)

// pyClass is a class or function that a pickle names. These few of Python's
// standard library are known by what they make of plain data; none of them is
// called.
type pyClass uint8

const (
	pyNone pyClass = iota
	pyDatetime
	pyDate
	pyTime
	pyDelta
	pyZone
	pyUUID
	pyDecimal
	pySet
	pyFrozenset
	pyBytes
	pyBytearray
	pyEncode
	pyOrderedDict
	pyObject
	pyReconstructor
)

var pyClasses = map[string]pyClass{
	"datetime.datetime":       pyDatetime,
	"datetime.date":           pyDate,
	"datetime.time":           pyTime,
	"datetime.timedelta":      pyDelta,
	"datetime.timezone":       pyZone,
	"uuid.UUID":               pyUUID,
	"decimal.Decimal":         pyDecimal,
	"builtins.set":            pySet,
	"builtins.frozenset":      pyFrozenset,
	"builtins.bytes":          pyBytes,
	"builtins.bytearray":      pyBytearray,
	"builtins.object":         pyObject,
	"_codecs.encode":          pyEncode,
	"collections.OrderedDict": pyOrderedDict,
	"copyreg._reconstructor":  pyReconstructor,
	"copy_reg._reconstructor": pyReconstructor, // its name in Python 2, which protocols 0 to 2 keep
	"__builtin__.set":         pySet,
	"__builtin__.frozenset":   pyFrozenset,
	"__builtin__.bytes":       pyBytes,
	"__builtin__.bytearray":   pyBytearray,
	"__builtin__.object":      pyObject,
}

// pyText is an object by what str makes of it.
type pyText string

func (t pyText) text() string { return string(t) }

// pyInterval is a datetime.timedelta; days is within ±999,999,999.
type pyInterval struct{ days, seconds, micros int64 }

func (d pyInterval) text() string {
	var b strings.Builder
	if d.days != 0 {
		s := "s"
		if d.days == 1 || d.days == -1 {
			s = ""
		}
		fmt.Fprintf(&b, "%d day%s, ", d.days, s)
	}
	fmt.Fprintf(&b, "%d:%02d:%02d", d.seconds/3600, d.seconds/60%60, d.seconds%60)
	if d.micros != 0 {
		fmt.Fprintf(&b, ".%06d", d.micros)
	}
	return b.String()
}

// pyOffset is a datetime.timezone without a name, in seconds.
type pyOffset int64

// text returns the offset as it stands in a date: +05:30, with seconds if it
// has any.
func (o pyOffset) text() string {
	sign := '+'
	if o < 0 {
		sign, o = '-', -o
	}
	s := fmt.Sprintf("%c%02d:%02d", sign, o/3600, o/60%60)
	if o%60 != 0 {
		s += fmt.Sprintf(":%02d", o%60)
	}
	return s
}

// pyID is a uuid.UUID, which gets its number after it was made.
type pyID struct{ id string }

func (p *pyID) text() string  { return p.id }
func (p *pyID) unready() bool { return p.id == "" }

// object makes one of the known objects.
func (u *unpickler) object(op byte) error {
	switch op {
	case 'c': // GLOBAL
		module, err := u.line()
		if err != nil {
			return err
		}
		name, err := u.line()
		if err != nil {
			return err
		}
		return u.pushClass(module, name)
	case 0x93: // STACK_GLOBAL
		names, err := u.popN(2)
		if err != nil {
			return err
		}
		module, ok1 := names[0].(string)
		name, ok2 := names[1].(string)
		if !ok1 || !ok2 {
			return errPickleStack
		}
		return u.pushClass(module, name)
	case 'b': // BUILD
		values, err := u.popN(1)
		if err != nil {
			return err
		}
		return u.build(values[0])
	case 0x92: // NEWOBJ_EX
		return errObject
	}
	values, err := u.popN(2) // REDUCE, NEWOBJ
	if err != nil {
		return err
	}
	class, ok := values[0].(pyClass)
	args, isTuple := values[1].(*treeList)
	if !ok || !isTuple || args.kind != aTuple {
		return errObject
	}
	v, err := u.make(class, args.items)
	if err != nil {
		return err
	}
	return u.push(v)
}

func (u *unpickler) pushClass(module, name string) error {
	class := pyClasses[module+"."+name]
	if class == pyNone {
		return errObject
	}
	return u.push(class)
}

func (u *unpickler) make(c pyClass, args []any) (any, error) {
	switch c {
	case pyDatetime, pyDate, pyTime:
		return makeDate(c, args)
	case pyDelta:
		return makeDelta(args)
	case pyZone:
		if len(args) >= 1 {
			if d, ok := args[0].(pyInterval); ok && d.days >= -1 && d.days <= 0 && d.micros == 0 {
				return pyOffset(d.days*86400 + d.seconds), nil
			}
		}
	case pyUUID:
		if len(args) == 0 {
			return &pyID{}, nil
		}
	case pyDecimal:
		if len(args) == 1 {
			if s, ok := args[0].(string); ok && len(s) <= 2*maxBigInt {
				return pyText(s), nil
			}
		}
	case pySet, pyFrozenset:
		return makeSet(args)
	case pyBytes, pyBytearray, pyEncode:
		return u.makeBytes(c, args)
	case pyOrderedDict:
		return u.makeOrderedDict(args)
	case pyReconstructor: // protocols 0 and 1: (class, object, None)
		if len(args) == 3 && args[0] == pyUUID && args[1] == pyObject && args[2] == nil {
			return &pyID{}, nil
		}
	}
	return nil, errObject
}

// build gives an object its attributes.
func (u *unpickler) build(state any) error {
	v, err := u.top()
	if err != nil {
		return err
	}
	id, ok := v.(*pyID)
	attributes, isDict := state.(*treeDict)
	if !ok || !isDict {
		return errObject
	}
	value, _ := attributes.find("int")
	n := new(big.Int)
	switch value := value.(type) {
	case int64:
		n.SetInt64(value)
	case *big.Int:
		n = value
	default:
		return errObject
	}
	if n.Sign() < 0 || n.BitLen() > 128 {
		return errObject
	}
	id.id = dashed(fmt.Sprintf("%032x", n))
	return nil
}

// dashed writes 32 hexadecimal digits as a UUID.
func dashed(hex string) string {
	return hex[:8] + "-" + hex[8:12] + "-" + hex[12:16] + "-" + hex[16:20] + "-" + hex[20:]
}

// makeDate makes a date of the bytes that CPython's _datetimemodule.c packs it
// into, and a time zone.
func makeDate(c pyClass, args []any) (any, error) {
	if len(args) < 1 || len(args) > 2 || c == pyDate && len(args) != 1 {
		return nil, errObject
	}
	packed, ok := bytesOf(args[0])
	size := map[pyClass]int{pyDatetime: 10, pyDate: 4, pyTime: 6}[c]
	if !ok || len(packed) != size {
		return nil, errObject
	}
	var text string
	if c != pyTime {
		year, month, day := int(packed[0])<<8|int(packed[1]), packed[2]&0x7f, packed[3] // bit 0x80 is fold
		if year < 1 || year > 9999 || month < 1 || month > 12 || day < 1 || day > 31 {
			return nil, errObject
		}
		text = fmt.Sprintf("%04d-%02d-%02d", year, month, day)
		packed = packed[4:]
	}
	if c != pyDate {
		if c == pyDatetime {
			text += " "
		}
		hour := packed[0] & 0x7f
		micros := int(packed[3])<<16 | int(packed[4])<<8 | int(packed[5])
		if hour > 23 || packed[1] > 59 || packed[2] > 59 || micros > 999999 {
			return nil, errObject
		}
		text += fmt.Sprintf("%02d:%02d:%02d", hour, packed[1], packed[2])
		if micros != 0 {
			text += fmt.Sprintf(".%06d", micros)
		}
	}
	if len(args) == 2 {
		zone, ok := args[1].(pyOffset)
		if !ok {
			return nil, errObject // zones of pytz, dateutil and zoneinfo are code
		}
		text += zone.text()
	}
	return pyText(text), nil
}

// bytesOf returns a bytes object's content. Python 2 wrote strings instead.
func bytesOf(v any) (string, bool) {
	switch v := v.(type) {
	case blob:
		return string(v), true
	case string:
		return latin1Bytes(v)
	}
	return "", false
}

// latin1Bytes encodes text as Latin-1.
func latin1Bytes(s string) (string, bool) {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 0xff {
			return "", false
		}
		b = append(b, byte(r))
	}
	return string(b), true
}

func makeDelta(args []any) (any, error) {
	var n [3]int64
	if len(args) > 3 {
		return nil, errObject
	}
	for i, a := range args {
		var ok bool
		if n[i], ok = a.(int64); !ok {
			return nil, errObject
		}
	}
	d := pyInterval{n[0], n[1], n[2]} // normalised by whoever wrote it
	if d.days < -999999999 || d.days > 999999999 || d.seconds < 0 || d.seconds >= 86400 || d.micros < 0 || d.micros > 999999 {
		return nil, errObject
	}
	return d, nil
}

func makeSet(args []any) (any, error) {
	switch len(args) {
	case 0:
		return newList(aSet, nil), nil
	case 1:
		if l, ok := args[0].(*treeList); ok {
			// The list's own values, not a copy of them: the same list can be
			// made a set again and again.
			n := len(l.items)
			return &treeList{items: l.items[:n:n], treeSeen: treeSeen{kind: aSet}}, nil
		}
	}
	return nil, errObject
}

// makeBytes makes bytes of what protocols 0 to 2 write in their place.
func (u *unpickler) makeBytes(c pyClass, args []any) (any, error) {
	if len(args) == 0 && c != pyEncode {
		return blob(""), nil
	}
	if len(args) < 1 || len(args) > 2 || len(args) == 2 && args[1] != "latin1" && args[1] != "latin-1" {
		return nil, errObject
	}
	if b, ok := args[0].(blob); ok && c == pyBytearray && len(args) == 1 {
		return b, nil
	}
	if s, ok := args[0].(string); ok && (c == pyEncode || len(args) == 2) {
		if err := u.budget.spend(len(s)); err != nil {
			return nil, err
		}
		if b, ok := latin1Bytes(s); ok {
			return blob(b), nil
		}
	}
	return nil, errObject
}

func (u *unpickler) makeOrderedDict(args []any) (any, error) {
	d := &treeDict{}
	if len(args) == 0 {
		return d, nil
	}
	pairs, ok := args[0].(*treeList)
	if len(args) != 1 || !ok {
		return nil, errObject
	}
	if err := u.budget.spend(32 * len(pairs.items)); err != nil {
		return nil, err
	}
	for _, p := range pairs.items {
		pair, ok := p.(*treeList)
		if !ok || len(pair.items) != 2 {
			return nil, errObject
		}
		if err := u.budget.checkKey(pair.items[0]); err != nil {
			return nil, err
		}
		d.members = push(d.members, treeEntry{pair.items[0], pair.items[1]})
	}
	return d, nil
}
