package php

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// AppendJSON appends v as JSON and fails with ErrTooLarge when that takes more
// than limit bytes.
//
// An Array with the keys 0…n−1 in order is a list, every other Array an object;
// an Object is an object of its property names (see Key.String), without its
// class. Integers are exact. Floats have the digits of PHP's own json_encode
// (the shortest that read back the same), negative zero is -0.0, and what JSON
// lacks is the string "INF", "-INF" or "NAN". A string that is not UTF-8 is
// {"$base64": "…"}, a name that is not UTF-8 "$base64:…". An Enum is the string
// "Class::Case", an Opaque {"$serialized": its body}. A shared value is printed
// in full in each place; a value inside itself is {"$ref": "path"} with the
// dotted path from v to where it began, in which a dot inside a name is \.
func (v Value) AppendJSON(dst []byte, limit int) ([]byte, error) {
	return v.appendJSON(dst, limit, false)
}

// AppendSessionJSON is AppendJSON for a whole session, which is an object even
// when it is empty or has the keys 0…n−1, or has no variables at all.
func (v Value) AppendSessionJSON(dst []byte, limit int) ([]byte, error) {
	if k := v.Kind(); k != Array && k != Object {
		v = Value{}
	}
	return v.appendJSON(dst, limit, true)
}

type jsonFrame struct {
	cursor cursor
	node   uint32
	key    Key // of the entry being printed
	object bool
	some   bool // an entry has been printed
}

type jsonWriter struct {
	d     *document
	out   []byte
	limit int // of len(out)
	open  []jsonFrame
	depth map[uint32]int // open shared containers → their place in open
	idle  uint32         // overwritten entries passed over
}

func (v Value) appendJSON(dst []byte, limit int, object bool) ([]byte, error) {
	w := jsonWriter{d: v.d, out: dst, limit: len(dst) + max(limit, 0)}
	if v.d == nil {
		if object {
			w.out = append(w.out, "{}"...)
		} else {
			w.out = append(w.out, "null"...)
		}
	} else {
		w.value(v.i, object)
	}
	// A shared container full of overwritten entries costs time but no output.
	// Passing all of them a few times is enough for any session.
	var idle uint32
	if v.d != nil {
		idle = uint32(min(8*uint64(len(v.d.nodes)), math.MaxUint32/2))
	}
	for len(w.open) > 0 {
		if len(w.out) > w.limit {
			break
		}
		// References can make the text deeper than the data.
		if len(w.open) > MaxDepth+1 {
			return dst, fmt.Errorf("php: json: %w", ErrTooDeep)
		}
		f := &w.open[len(w.open)-1]
		key, cell, ok := w.d.step(&f.cursor)
		if w.idle += f.cursor.dead; w.idle > idle {
			w.limit = -1
			break
		}
		f.cursor.dead = 0
		if !ok {
			w.close(f)
			continue
		}
		if f.some {
			w.out = append(w.out, ',')
		}
		f.some = true
		f.key = key
		if f.object {
			w.name(key)
			w.out = append(w.out, ':')
		}
		w.value(w.d.resolve(cell), false)
	}
	if len(w.out) > w.limit {
		return dst, fmt.Errorf("php: json over %d bytes: %w", limit, ErrTooLarge)
	}
	return w.out, nil
}

func (w *jsonWriter) close(f *jsonFrame) {
	if f.object {
		w.out = append(w.out, '}')
	} else {
		w.out = append(w.out, ']')
	}
	if w.d.nodes[f.node].flags&fShared != 0 {
		delete(w.depth, f.node)
	}
	w.open = w.open[:len(w.open)-1]
}

// value prints a scalar, or opens a container for appendJSON to fill.
func (w *jsonWriter) value(i uint32, object bool) {
	v := Value{w.d, i}
	switch v.Kind() {
	case Null:
		w.out = append(w.out, "null"...)
	case Bool:
		w.out = strconv.AppendBool(w.out, v.Bool())
	case Int:
		w.out = strconv.AppendInt(w.out, v.Int(), 10)
	case Float:
		w.float(v.Float())
	case String:
		w.text(v.text())
	case Enum:
		w.enum(v)
	case Opaque:
		w.out = append(w.out, `{"$serialized":`...)
		w.text(v.text())
		w.out = append(w.out, '}')
	case Array, Object:
		if w.d.nodes[i].flags&fShared != 0 {
			if at, cycle := w.depth[i]; cycle {
				w.ref(at)
				return
			}
			if w.depth == nil {
				w.depth = make(map[uint32]int)
			}
			w.depth[i] = len(w.open)
		}
		object = object || !v.IsList()
		if object {
			w.out = append(w.out, '{')
		} else {
			w.out = append(w.out, '[')
		}
		w.open = append(w.open, jsonFrame{cursor: w.d.entries(i), node: i, object: object})
	}
}

// ref prints where the open container number at began.
func (w *jsonWriter) ref(at int) {
	var path []byte
	for i := range w.open[:at] {
		if i > 0 {
			path = append(path, '.')
		}
		for _, c := range w.open[i].key.appendName(nil) {
			if c == '.' {
				path = append(path, '\\')
			}
			path = append(path, c)
		}
		if len(w.out)+len(path) > w.limit {
			break
		}
	}
	w.out = append(w.out, `{"$ref":`...)
	w.quote(path)
	w.out = append(w.out, '}')
}

func (w *jsonWriter) text(s []byte) {
	if utf8.Valid(s) {
		w.quote(s)
		return
	}
	w.out = append(w.out, `{"$base64":"`...)
	w.base64(s)
	w.out = append(w.out, `"}`...)
}

func (w *jsonWriter) name(k Key) {
	var buf [64]byte
	name := k.appendName(buf[:0])
	if utf8.Valid(name) {
		w.quote(name)
		return
	}
	w.out = append(w.out, `"$base64:`...)
	w.base64(name)
	w.out = append(w.out, '"')
}

func (w *jsonWriter) base64(s []byte) {
	if w.fits(len(s)) {
		w.out = base64.StdEncoding.AppendEncode(w.out, s)
	}
}

// fits makes sure that the output fails as too large instead of growing by n
// bytes that it has no room for.
func (w *jsonWriter) fits(n int) bool {
	if n > w.limit-len(w.out) {
		w.limit = -1
		return false
	}
	return true
}

func (w *jsonWriter) enum(v Value) {
	class, name := v.class(), v.text()
	if !w.fits(len(class) + len(name)) {
		return
	}
	w.out = append(w.out, '"')
	w.escape(class)
	w.out = append(w.out, "::"...)
	w.escape(name)
	w.out = append(w.out, '"')
}

const hexDigits = "0123456789abcdef"

// quote prints a JSON string. Bytes that are not UTF-8, of which only class
// names and paths can have any, become U+FFFD.
func (w *jsonWriter) quote(s []byte) {
	if !w.fits(len(s)) {
		return
	}
	w.out = append(w.out, '"')
	w.escape(s)
	w.out = append(w.out, '"')
}

func (w *jsonWriter) escape(s []byte) {
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRune(s[i:])
			if r == utf8.RuneError && n == 1 {
				w.out = append(append(w.out, s[start:i]...), "\ufffd"...)
				start = i + 1
			}
			i += n
			continue
		}
		i++
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		w.out = append(w.out, s[start:i-1]...)
		start = i
		switch c {
		case '"', '\\':
			w.out = append(w.out, '\\', c)
		case '\n':
			w.out = append(w.out, `\n`...)
		case '\r':
			w.out = append(w.out, `\r`...)
		case '\t':
			w.out = append(w.out, `\t`...)
		default:
			w.out = append(w.out, `\u00`...)
			w.out = append(w.out, hexDigits[c>>4], hexDigits[c&15])
		}
		if len(w.out) > w.limit {
			return // appendJSON sees it
		}
	}
	w.out = append(w.out, s[start:]...)
}

func (w *jsonWriter) float(f float64) {
	switch {
	case math.IsNaN(f):
		w.out = append(w.out, `"NAN"`...)
	case math.IsInf(f, 1):
		w.out = append(w.out, `"INF"`...)
	case math.IsInf(f, -1):
		w.out = append(w.out, `"-INF"`...)
	case f == 0 && math.Signbit(f):
		w.out = append(w.out, "-0.0"...)
	default:
		w.out = appendFloat(w.out, f, 17)
	}
}

// appendFloat writes f, which is finite, as php_gcvt does with that many digits
// (main/snprintf.c); with 17 they are as few as read back the same, which is
// what PHP's json_encode does with serialize_precision -1.
func appendFloat(dst []byte, f float64, digits int) []byte {
	if f == 0 {
		if math.Signbit(f) {
			dst = append(dst, '-')
		}
		return append(dst, '0')
	}
	precision := -1
	if digits != 17 {
		precision = digits - 1
	}
	var buf [32]byte
	e := strconv.AppendFloat(buf[:0], f, 'e', precision, 64) // d.ddde±xx
	i := bytes.IndexByte(e, 'e')
	exp, _ := strconv.Atoi(string(e[i+1:]))
	if exp >= -4 && exp < digits {
		if precision >= 0 {
			f, _ = strconv.ParseFloat(string(e), 64)
		}
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	mantissa := e[:i]
	if precision > 0 {
		mantissa = bytes.TrimRight(bytes.TrimRight(mantissa, "0"), ".")
	}
	dst = append(dst, mantissa...)
	if len(mantissa) <= 2 { // a digit, or a sign and a digit
		dst = append(dst, ".0"...)
	}
	dst = append(dst, 'e')
	if exp >= 0 {
		dst = append(dst, '+')
	}
	return strconv.AppendInt(dst, int64(exp), 10)
}
