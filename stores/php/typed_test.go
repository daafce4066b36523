package php

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// typed walks v the way the vectors' session_typed describes what PHP read:
// types, mangled names, which slots are shared and which object is which.
func typed(v Value) []any {
	w := newTypedWalk(v)
	return w.entries(v.i)
}

// typedOne is typed for a session that is not an array.
func typedOne(v Value) any {
	w := newTypedWalk(v)
	return w.value(v.i)
}

func newTypedWalk(v Value) *typedWalk {
	w := &typedWalk{d: v.d, places: map[uint32]map[uint32]bool{}, refs: map[uint32]int{}, oids: map[uint32]int{}}
	w.places[v.i] = map[uint32]bool{v.i: true}
	w.count(v.i, map[uint32]bool{})
	return w
}

const tooDeep = "too deep to show"

type typedWalk struct {
	d      *document
	places map[uint32]map[uint32]bool // slot → the cells that lead to it
	refs   map[uint32]int
	oids   map[uint32]int
	depth  int
}

func (w *typedWalk) count(i uint32, seen map[uint32]bool) {
	if seen[i] {
		return
	}
	seen[i] = true
	for c := w.d.entries(i); ; {
		_, cell, ok := w.d.step(&c)
		if !ok {
			return
		}
		slot := w.d.slot(cell)
		if w.places[slot] == nil {
			w.places[slot] = map[uint32]bool{}
		}
		w.places[slot][cell] = true
		w.count(w.d.resolve(cell), seen)
	}
}

func (w *typedWalk) entries(i uint32) []any {
	out := []any{}
	for c := w.d.entries(i); ; {
		key, cell, ok := w.d.step(&c)
		if !ok {
			return out
		}
		e := map[string]any{"k": typedKey(key)}
		slot := w.d.slot(cell)
		if len(w.places[slot]) > 1 {
			id, seen := w.refs[slot]
			if !seen {
				id = len(w.refs) + 1
				w.refs[slot] = id
			}
			e["ref"] = float64(id)
			if seen {
				e["seen"] = true
				out = append(out, e)
				continue
			}
		}
		e["v"] = w.value(w.d.resolve(cell))
		out = append(out, e)
	}
}

func typedKey(k Key) any {
	if n, ok := k.Int(); ok {
		return map[string]any{"i": strconv.FormatInt(n, 10)}
	}
	return typedText(k.Mangled(), map[string]any{}, "s")
}

func typedText(s string, m map[string]any, name string) map[string]any {
	switch {
	case len(s) > 1000:
		sum := sha256.Sum256([]byte(s))
		m["len"], m["sha256"] = float64(len(s)), hex.EncodeToString(sum[:])
	case utf8.ValidString(s):
		m[name] = s
	default:
		m["b64"] = base64.StdEncoding.EncodeToString([]byte(s))
	}
	return m
}

func (w *typedWalk) value(i uint32) any {
	if w.depth++; w.depth > 300 {
		return tooDeep
	}
	defer func() { w.depth-- }()
	v := Value{w.d, i}
	switch v.Kind() {
	case Null:
		return map[string]any{"t": "null"}
	case Bool:
		return map[string]any{"t": "bool", "v": v.Bool()}
	case Int:
		return map[string]any{"t": "int", "v": strconv.FormatInt(v.Int(), 10)}
	case Float:
		return map[string]any{"t": "float", "bits": fmt.Sprintf("%016x", v.node().v)}
	case String:
		return typedText(v.Text(), map[string]any{"t": "string"}, "v")
	case Array:
		return map[string]any{"t": "array", "v": w.entries(i)}
	case Enum:
		return map[string]any{"t": "enum", "class": v.Class(), "case": v.Text()}
	}
	if id, seen := w.oids[i]; seen {
		return map[string]any{"t": "object", "oid": float64(id), "seen": true}
	}
	w.oids[i] = len(w.oids) + 1
	m := map[string]any{"t": "object", "oid": float64(len(w.oids))}
	m = typedText(v.Class(), m, "class")
	m["props"] = w.entries(i)
	return m
}

// normalize drops from a vector's session_typed what typed does not give, and
// shortens strings as typed does.
func normalize(x any) any {
	switch x := x.(type) {
	case []any:
		for i := range x {
			x[i] = normalize(x[i])
		}
	case map[string]any:
		delete(x, "via")
		if x["t"] == "float" {
			delete(x, "v")
		}
		if s, ok := x["v"].(string); ok && x["t"] == "string" && len(s) > 1000 {
			delete(x, "v")
			typedText(s, x, "v")
		}
		if s, ok := x["b64"].(string); ok {
			if b, err := base64.StdEncoding.DecodeString(s); err == nil && len(b) > 1000 {
				delete(x, "b64")
				typedText(string(b), x, "v")
			}
		}
		for k := range x {
			x[k] = normalize(x[k])
		}
	}
	return x
}
