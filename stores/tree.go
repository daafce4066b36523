package stores

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"iter"
	"math"
	"math/big"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/sessionbridge/sessionbridge/stores/php"
)

// Bounds of values that are decoded into a tree.
const (
	maxTreeDepth = 512

	// maxBigInt bounds integers, in bytes: the time to write one in decimal
	// grows with the square of its length. Python itself refuses more than
	// 4,300 digits.
	maxBigInt = 1024
)

var (
	errTreeDepth = errors.New("it is nested more than 512 levels deep")
	errCycle     = errors.New("it contains itself")
	errShared    = errors.New("it repeats its parts more often than its length allows")
	errShort     = errors.New("it ends too early")
	errBigInt    = errors.New("an integer is longer than 1 KiB")
	errNoMap     = errors.New("it is not a map")
	errMapKey    = errors.New("a map's key is no string, number, boolean or null")
	errObject    = errors.New("it holds an object of a class, and making one could run code")
)

// A tree is made of nil, bool, int64, uint64, *big.Int, float64, string, blob,
// encoded, *treeList, *treeDict, and what implements texter.

// blob is a string of bytes that are no text.
type blob string

// encoded is a string in another encoding than UTF-8.
type encoded string

// texter is a value that stands for its text: a date, say.
type texter interface{ text() string }

// treeList is a list, tuple or set.
type treeList struct {
	items []any
	treeSeen
}

type listKind uint8

const (
	aList listKind = iota
	aTuple
	aSet
)

// treeDict is a map in the order in which it was written.
type treeDict struct {
	members []treeEntry
	treeSeen
}

// treeEntry is one entry of a treeDict. Its name is made when it is asked for:
// a few bytes of input can use a long key again and again.
type treeEntry struct{ key, value any }

// newTreeEntry makes an entry, if the key has a name.
func newTreeEntry(key, value any) (treeEntry, error) {
	b := treeBudget(maxBigInt * 8)
	if _, isBlob := key.(blob); isBlob {
		return treeEntry{key, value}, nil
	}
	return treeEntry{key, value}, b.checkKey(key)
}

// name returns a key as JSON would write it. Of keys that are written alike,
// the one counts that is text.
func (e *treeEntry) name() (name string, isText bool) {
	switch k := e.key.(type) {
	case string:
		return k, true
	case blob:
		if utf8.ValidString(string(k)) {
			return string(k), false
		}
		return "$base64:" + base64.StdEncoding.EncodeToString([]byte(k)), false
	case encoded:
		return "$base64:" + base64.StdEncoding.EncodeToString([]byte(k)), false
	case texter:
		return k.text(), false
	case bool:
		return strconv.FormatBool(k), false
	case int64:
		return strconv.FormatInt(k, 10), false
	case uint64:
		return strconv.FormatUint(k, 10), false
	case *big.Int:
		return k.String(), false
	case float64:
		return floatName(k), false
	}
	return "null", false
}

// treeBudget bounds the work that repeated parts of a tree make, in bytes that
// are copied or looked at again.
type treeBudget int

// newTreeBudget is the budget for an input of n bytes.
func newTreeBudget(n int) treeBudget { return treeBudget(16*n + 64<<10) }

func (b *treeBudget) spend(n int) error {
	if *b -= treeBudget(n); *b < 0 {
		return errShared
	}
	return nil
}

// checkKey refuses a key that has no name, and counts one that is slow to name.
func (b *treeBudget) checkKey(key any) error {
	switch k := key.(type) {
	case nil, bool, int64, uint64, float64, string:
		return nil
	case texter:
		return b.spend(64)
	case blob:
		return b.spend(2 * len(k))
	case encoded:
		return b.spend(2 * len(k))
	case *big.Int:
		return b.spend(k.BitLen())
	}
	return errMapKey
}

// push appends a value. Unlike append, it doubles the room for long lists too:
// what is allocated in all stays below 4 times what is needed.
func push[T any](s []T, v ...T) []T {
	if n := len(s) + len(v); n > cap(s) {
		s = append(make([]T, 0, max(4, 2*cap(s), n)), s...)
	}
	return append(s, v...)
}

// treeSeen is what a treeCheck found out about a list or map, and of a list its
// kind, which has room there.
type treeSeen struct {
	size   uint32 // how many values it stands for, written out
	height uint16
	state  uint8 // 0: not yet, 1: on the way to it, 2: done
	kind   listKind
}

// find returns the value under a name. Of equal keys the last counts.
func (d *treeDict) find(name string) (value any, ok bool) {
	for i := len(d.members) - 1; i >= 0; i-- {
		m := &d.members[i]
		n, isText := m.name()
		switch {
		case n != name:
		case isText:
			return m.value, true
		case !ok:
			value, ok = m.value, true
		}
	}
	return value, ok
}

// all yields the members that count, each in the place of the first that is
// written like it.
func (d *treeDict) all() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		best := make(map[string]int, len(d.members)) // the one that counts
		var names []string
		for i := range d.members {
			name, isText := d.members[i].name()
			at, again := best[name]
			if !again {
				names = append(names, name)
			}
			if _, wasText := d.members[at].key.(string); !again || isText || !wasText {
				best[name] = i
			}
		}
		for _, name := range names {
			if !yield(name, d.members[best[name]].value) {
				return
			}
		}
	}
}

// treeCheck bounds a tree whose parts may be shared: it must not contain
// itself, be too deep, or be much larger when it is written out than what it
// was read from.
type treeCheck struct{ most uint32 }

// checkTree checks a tree that was read from n bytes.
func checkTree(root any, bytes int) error {
	c := treeCheck{most: uint32(2*bytes + 1024)} // MaxValue keeps it far from overflow
	_, _, err := c.visit(root, 0)
	return err
}

func (c *treeCheck) visit(v any, depth int) (size uint32, height uint16, err error) {
	switch v := v.(type) {
	case nil, bool, int64, uint64, *big.Int, float64, string, blob, encoded:
		return 1, 0, nil
	case texter:
		if u, ok := v.(interface{ unready() bool }); ok && u.unready() {
			return 0, 0, errObject
		}
		return 1, 0, nil
	case *treeList:
		return c.container(&v.treeSeen, depth, len(v.items), func(i int) any { return v.items[i] })
	case *treeDict:
		return c.container(&v.treeSeen, depth, len(v.members), func(i int) any { return v.members[i].value })
	}
	return 0, 0, errObject
}

func (c *treeCheck) container(s *treeSeen, depth, n int, item func(int) any) (size uint32, height uint16, err error) {
	switch {
	case s.state == 1:
		return 0, 0, errCycle
	case s.state == 2:
		if depth+int(s.height) > maxTreeDepth {
			return 0, 0, errTreeDepth
		}
		return s.size, s.height, nil
	case depth >= maxTreeDepth:
		return 0, 0, errTreeDepth
	}
	s.state = 1
	size = 1
	for i := range n {
		// Both sides are at most c.most, which is below 2³¹.
		below, h, err := c.visit(item(i), depth+1)
		if err != nil {
			return 0, 0, err
		}
		if size += below; size > c.most {
			return 0, 0, errShared
		}
		height = max(height, h)
	}
	height++
	s.state, s.size, s.height = 2, size, height
	return size, height, nil
}

// treeValues is a session that was decoded into a tree.
type treeValues struct{ root *treeDict }

// newTreeValues makes a session of a decoded value.
func newTreeValues(root any) (Values, error) {
	d, ok := root.(*treeDict)
	if !ok {
		return nil, errNoMap
	}
	return treeValues{d}, nil
}

func (v treeValues) Lookup(path string) (any, bool) {
	var at any = v.root
	for _, name := range SplitPath(path) {
		ok := false
		switch c := at.(type) {
		case *treeDict:
			at, ok = c.find(name)
		case *treeList:
			i, err := strconv.Atoi(name)
			if ok = err == nil && i >= 0 && i < len(c.items) && strconv.Itoa(i) == name; ok {
				at = c.items[i]
			}
		}
		if !ok {
			return nil, false
		}
	}
	return plainTree(at), true
}

func (v treeValues) Map() map[string]any {
	m, _ := plainTree(v.root).(map[string]any)
	return m
}

func plainTree(v any) any {
	switch v := v.(type) {
	case blob:
		return string(v)
	case encoded:
		return string(v)
	case texter:
		return v.text()
	case *treeList:
		items := make([]any, len(v.items))
		for i := range v.items {
			items[i] = plainTree(v.items[i])
		}
		return items
	case *treeDict:
		m := make(map[string]any, len(v.members))
		for name, value := range v.all() {
			m[name] = plainTree(value)
		}
		return m
	}
	return v
}

// AppendJSON appends the session as JSON and fails with php.ErrTooLarge if that
// takes more than limit bytes. Integers are exact, infinities and NaN strings as in PHP's
// output ("INF", "-INF", "NAN"), and bytes that are no text
// {"$base64": …}.
func (v treeValues) AppendJSON(dst []byte, limit int) ([]byte, error) {
	w := treeWriter{out: dst, most: len(dst) + limit}
	if err := w.value(v.root); err != nil {
		return nil, err
	}
	return w.out, nil
}

type treeWriter struct {
	out  []byte
	most int
}

func (w *treeWriter) value(v any) error {
	switch v := v.(type) {
	case nil:
		w.out = append(w.out, "null"...)
	case bool:
		w.out = strconv.AppendBool(w.out, v)
	case int64:
		w.out = strconv.AppendInt(w.out, v, 10)
	case uint64:
		w.out = strconv.AppendUint(w.out, v, 10)
	case *big.Int:
		w.out = v.Append(w.out, 10)
	case float64:
		w.out = appendFloat(w.out, v)
	case string:
		return w.text(v)
	case texter:
		return w.text(v.text())
	case blob:
		if utf8.ValidString(string(v)) {
			return w.text(string(v))
		}
		return w.base64(string(v))
	case encoded:
		return w.base64(string(v))
	case *treeList:
		w.out = append(w.out, '[')
		for i := range v.items {
			if i > 0 {
				w.out = append(w.out, ',')
			}
			if err := w.value(v.items[i]); err != nil {
				return err
			}
		}
		w.out = append(w.out, ']')
	case *treeDict:
		if err := w.dict(v); err != nil {
			return err
		}
	}
	if len(w.out) > w.most {
		return php.ErrTooLarge
	}
	return nil
}

func (w *treeWriter) dict(d *treeDict) error {
	w.out = append(w.out, '{')
	first := true
	for name, value := range d.all() {
		if !first {
			w.out = append(w.out, ',')
		}
		first = false
		if err := w.text(name); err != nil {
			return err
		}
		w.out = append(w.out, ':')
		if err := w.value(value); err != nil {
			return err
		}
	}
	w.out = append(w.out, '}')
	return nil
}

func (w *treeWriter) base64(s string) error {
	if len(w.out)+base64.StdEncoding.EncodedLen(len(s)) > w.most {
		return php.ErrTooLarge
	}
	w.out = append(w.out, `{"$base64":"`...)
	w.out = base64.StdEncoding.AppendEncode(w.out, []byte(s))
	w.out = append(w.out, `"}`...)
	return nil
}

func (w *treeWriter) text(s string) error {
	if len(w.out)+len(s) > w.most {
		return php.ErrTooLarge
	}
	if w.out = appendQuoted(w.out, s); len(w.out) > w.most {
		return php.ErrTooLarge
	}
	return nil
}

const hexDigits = "0123456789abcdef"

// appendQuoted appends a string that is UTF-8.
func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c < ' ' || c == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

func appendFloat(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f), math.IsInf(f, 0):
		return append(append(append(dst, '"'), floatName(f)...), '"')
	}
	text, _ := json.Marshal(f) // finite
	return append(dst, text...)
}

func floatName(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NAN"
	case math.IsInf(f, 1):
		return "INF"
	case math.IsInf(f, -1):
		return "-INF"
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// smallInt makes an int64, or a *big.Int of what does not fit.
func smallInt(n *big.Int) any {
	if n.IsInt64() {
		return n.Int64()
	}
	return n
}

// littleEndian makes an integer of bytes, the lowest first.
func littleEndian(b []byte) any {
	if len(b) < 8 {
		var n int64
		for i, c := range b {
			n |= int64(c) << (8 * i)
		}
		return n
	}
	return smallInt(new(big.Int).SetBytes(reversed(b)))
}

func reversed(b []byte) []byte {
	b = slices.Clone(b)
	slices.Reverse(b)
	return b
}

// negated returns -n.
func negated(n any) any {
	switch n := n.(type) {
	case int64:
		if n != math.MinInt64 {
			return -n
		}
		return new(big.Int).Neg(big.NewInt(n))
	case *big.Int:
		return smallInt(new(big.Int).Neg(n))
	}
	return n
}
