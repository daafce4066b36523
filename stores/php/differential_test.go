package php

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	rounds = flag.Int("php.rounds", 1500, "generated sessions per format that are put to real PHP")
	seed   = flag.Uint64("php.seed", 1, "seed of the sessions that are put to real PHP")
)

// oracle is a running PHP that decodes what it is sent.
type oracle struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startPHP(t *testing.T) *oracle {
	t.Helper()
	cmd := exec.Command("php", "-d", "memory_limit=512M", "testdata/dump.php")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &oracle{cmd, in, bufio.NewReaderSize(out, 1<<20)}
}

func (o *oracle) stop() {
	o.in.Close()
	_, _ = io.Copy(io.Discard, o.out)
	_ = o.cmd.Wait() // PHP may have died of its input
}

type verdict struct {
	OK, Skip bool
	Typed    []any
	One      any
}

func (o *oracle) ask(mode string, h Handler, data []byte) (v verdict, err error) {
	if _, err := fmt.Fprintf(o.in, "%s %s %s\n", mode, h, base64.StdEncoding.EncodeToString(data)); err != nil {
		return v, err
	}
	line, err := o.out.ReadBytes('\n')
	if err != nil {
		return v, err
	}
	return v, json.Unmarshal(line, &v)
}

// TestAgainstPHP decodes sessions made by a generator that loves corners, and
// real sessions with damage, here and in real PHP.
func TestAgainstPHP(t *testing.T) {
	if out, err := exec.Command("php", "-m").Output(); err != nil || !strings.Contains(string(out), "igbinary") || !strings.Contains(string(out), "msgpack") {
		if strings.Contains(os.Getenv("BRIDGE_REQUIRE"), "php") {
			t.Fatal("BRIDGE_REQUIRE asks for php with the igbinary and msgpack extensions")
		}
		t.Skip("needs PHP: apt-get install php-cli php-igbinary php-msgpack")
	}
	single := map[Handler]func([]byte) (Value, error){HandlerSerialize: Unserialize, HandlerIgbinary: UnserializeIgbinary}
	for _, h := range handlers {
		t.Run(string(h), func(t *testing.T) {
			php := startPHP(t)
			defer func() { php.stop() }()
			r := rand.New(rand.NewPCG(*seed, 0))
			g := generator{r: r, h: h}
			for _, v := range load(t, string(h)+".json") {
				if !needsClasses(v.Value) && len(v.Value) < 4000 {
					g.seeds = append(g.seeds, v.Value)
				}
			}
			for _, v := range load(t, "cases-"+string(h)+".json") {
				if v.Generated == "" {
					g.seeds = append(g.seeds, v.Value)
				}
			}
			decoded := 0
			for i := range *rounds {
				data := g.next(i)
				want, err := php.ask("session", h, data)
				if err != nil { // PHP died
					php.stop()
					php = startPHP(t)
					continue
				}
				if want.Skip || needsClasses(data) {
					continue
				}
				got, err := Decode(h, data)
				if diff := compare(want, got, err); diff != "" {
					t.Errorf("round %d: %q: %s", i, data, diff)
				}
				if err == nil {
					decoded++
					checkOutputs(t, got)
				}
				if read := single[h]; read != nil && len(data) > 0 { // unserialize("") is false without a word
					want, err := php.ask("value", h, data)
					if err != nil {
						php.stop()
						php = startPHP(t)
						continue
					}
					got, err := read(data)
					if diff := compare(want, got, err); diff != "" && !want.Skip {
						t.Errorf("round %d: %q as one value: %s", i, data, diff)
					}
				}
			}
			if decoded < *rounds/10 {
				t.Errorf("only %d of %d inputs could be decoded", decoded, *rounds)
			}
			t.Logf("%d of %d inputs could be decoded", decoded, *rounds)
		})
	}
}

func compare(want verdict, got Value, err error) string {
	var syntax *SyntaxError
	switch {
	case errors.Is(err, ErrAmbiguousReference):
		return "" // PHP guesses
	case err != nil && !errors.As(err, &syntax):
		return fmt.Sprintf("not a SyntaxError: %v", err)
	case err != nil && want.OK:
		return fmt.Sprintf("PHP decodes it, but here: %v", err)
	case err == nil && !want.OK:
		if hasUnknownEnum(got, 0) {
			return "" // PHP knows the enums that there are
		}
		return "PHP does not decode it"
	case err != nil:
		return ""
	}
	if strings.Contains(fmt.Sprint(want.Typed), "__PHP_Incomplete_Class_Name") {
		return "" // a session that is an object of an unknown class
	}
	var php, here any = want.Typed, typed(got)
	if want.One != nil {
		php, here = want.One, typedOne(got)
	}
	if strings.Contains(fmt.Sprint(here), tooDeep) {
		return "" // an array inside itself that is no reference: damaged igbinary
	}
	return cmp.Diff(pairedRefs(normalize(php)), pairedRefs(here))
}

// pairedRefs drops the marks of references that show in one place only, and
// numbers the others anew: where damaged data overwrites a reference, PHP may
// hold its other end until the request is over.
func pairedRefs(x any) any {
	paired := map[float64]bool{}
	var walk func(x any, f func(map[string]any))
	walk = func(x any, f func(map[string]any)) {
		switch x := x.(type) {
		case []any:
			for _, e := range x {
				walk(e, f)
			}
		case map[string]any:
			if _, ok := x["ref"].(float64); ok {
				f(x)
			}
			walk(x["v"], f)
			walk(x["props"], f)
		}
	}
	walk(x, func(m map[string]any) {
		if m["seen"] != nil {
			paired[m["ref"].(float64)] = true
		}
	})
	ids := map[float64]float64{}
	walk(x, func(m map[string]any) {
		id := m["ref"].(float64)
		if !paired[id] {
			delete(m, "ref")
			return
		}
		if ids[id] == 0 {
			ids[id] = float64(len(ids) + 1)
		}
		m["ref"] = ids[id]
	})
	return x
}

func hasUnknownEnum(v Value, depth int) bool {
	if v.Kind() == Enum {
		return v.Class() != "Suit" || v.Text() != "Hearts" && v.Text() != "Spades"
	}
	for _, e := range v.All() {
		if depth < 100 && hasUnknownEnum(e, depth+1) {
			return true
		}
	}
	return false
}

// needsClasses reports whether data names a class of PHP's own that has its own
// idea of what its properties may be, or an object in a place where PHP's
// stand-in for an unknown class shows.
func needsClasses(data []byte) bool {
	for _, name := range []string{"Array", "Spl", "Date", "Closure", "Incomplete", "Level", "Generator"} {
		if strings.Contains(string(data), name) {
			return true
		}
	}
	return false
}

// generator makes sessions in one format.
type generator struct {
	r     *rand.Rand
	h     Handler
	seeds [][]byte
	b     []byte
	slots int
	texts int
	known [][]byte
	open  map[int]bool // igbinary: open arrays → whether they are references
}

func (g *generator) next(i int) []byte {
	switch {
	case g.h == HandlerMsgpack:
		// The extension reads memory that it should not when a marker is damaged.
		return g.msgpackSession()
	case i%2 == 0 && g.h == HandlerIgbinary:
		return g.igbinarySession()
	case i%2 == 0:
		return g.session()
	}
	return g.damage(g.seeds[g.r.IntN(len(g.seeds))])
}

// damage changes a few bytes of a real session.
func (g *generator) damage(seed []byte) []byte {
	b := append([]byte(nil), seed...)
	for range g.r.IntN(4) {
		if len(b) == 0 {
			break
		}
		i := g.r.IntN(len(b))
		switch g.r.IntN(7) {
		case 0:
			b[i] = byte(g.r.IntN(256))
		case 1:
			b[i] += byte(g.r.IntN(5)) - 2
		case 2:
			b = append(b[:i], b[i+1:]...)
		case 3:
			b = b[:i]
		case 4:
			n := i + g.r.IntN(len(b)-i)
			b = append(b[:n:n], b[i:]...)
		case 5:
			b[i] = b[g.r.IntN(len(b))]
		case 6:
			b = append(b[:i:i], append([]byte{byte(g.r.IntN(48))}, b[i:]...)...)
		}
	}
	return b
}

func (g *generator) pick(s ...string) { g.b = append(g.b, s[g.r.IntN(len(s))]...) }

func (g *generator) printf(format string, a ...any) { g.b = fmt.Appendf(g.b, format, a...) }

func (g *generator) session() []byte {
	g.b, g.slots = nil, 0
	switch g.h {
	case HandlerSerialize:
		g.value(0)
	case HandlerPHP:
		for range g.r.IntN(5) {
			g.pick("a", "b", "5", "", "x y", "a")
			g.b = append(g.b, '|')
			g.value(0)
		}
	default:
		for range g.r.IntN(5) {
			n := g.r.IntN(3)
			g.b = append(append(g.b, byte(n)), "abc"[:n]...)
			g.value(0)
		}
	}
	if g.r.IntN(30) == 0 {
		return g.damage(g.b)
	}
	return g.b
}

func (g *generator) value(depth int) {
	kind := g.r.IntN(22)
	if depth > 4 && kind > 12 {
		kind -= 10
	}
	if kind != 11 {
		g.slots++
	}
	ref := func() int { return max(0, g.slots+2-g.r.IntN(g.slots+3)) }
	switch kind {
	case 0:
		g.pick("N;", "N;", "N:", "n;")
	case 1:
		g.pick("b:0;", "b:1;", "b:2;", "b:1")
	case 2, 3:
		g.pick("i:1;", "i:-5;", "i:+42;", "i:0042;", "i:-0;", "i:9223372036854775807;", "i:9223372036854775808;", "i:-9223372036854775808;", "i:-9223372036854775809;", "i:99999999999999999999;", "i:;", "i:1")
	case 4, 5:
		g.pick("d:1;", "d:-0;", "d:.5;", "d:5.;", "d:1.0E+25;", "d:1e5;", "d:+1.5e-7;", "d:INF;", "d:-INF;", "d:NAN;", "d:nan;", "d:1e400;", "d:1e-400;", "d:0.1;", "d:0.10000000000000001;", "d:.;", "d:1e;", "d:123456789012345678901234567890;", "d:4.9E-324;", "d:1.7976931348623157E+308;", "d:;", "d:0x1p3;", "d:1_0;")
	case 6, 7:
		g.text(false)
	case 8:
		g.pick(`S:2:"\34\32";`, `S:1:"a";`, `S:1:"\\3";`, `S:2:"\3";`, `S:0:"";`, `S:3:"\00a\fF";`, `S:1:"\4G";`)
	case 9:
		g.pick(`E:11:"Suit:Hearts";`, `E:11:"Suit:Spades";`, `E:11:"Suit:Spades":`, `E:4:"Suit";`)
	case 10:
		g.printf("r:%d;", ref())
	case 11:
		g.printf("R:%d;", ref())
	case 12:
		g.pick(`C:3:"Foo":5:{a:1:x}`, `C:3:"Foo":0:{}`, `C:3:"Foo":2:{}}}`, `C:3:"Foo":+2:{ab}`, `C:3:"Foo"::{}`, `C:3:"Foo":-1:{}`)
	case 13, 14, 15, 16, 17:
		n := g.r.IntN(5)
		g.printf("a:%d:{", n)
		g.entries(n, depth)
	default:
		n := g.r.IntN(4)
		g.pick(`O:8:"stdClass":`, `O:3:"Foo":`, `O:8:"STDclass":`, `O:5:"A\B_1":`, `O:3:"Foo":+`, `O:03:"Foo":0`)
		g.printf("%d:{", n)
		g.entries(n, depth)
	}
}

func (g *generator) text(key bool) {
	s := []string{"", "a", "5", "-5", "05", "-0", "x\"y;", "\x00*\x00p", "\x00Foo\x00q", "\x00Bar\x00q", "q", "\xff\xfe", "9223372036854775807", "9223372036854775808", "-9223372036854775808"}
	w := s[g.r.IntN(len(s))]
	if !key && strings.HasPrefix(w, "\x00") {
		w = "v"
	}
	g.printf("s:%d:\"%s\";", len(w), w)
}

func (g *generator) entries(n, depth int) {
	for range n {
		switch g.r.IntN(10) {
		case 0, 1, 2:
			g.text(true)
		case 3:
			g.pick(`S:1:"\61";`, "i:+1;", "i:007;", "i:-1;", "b:1;", "N;", "d:1;", "i:9223372036854775808;")
		default:
			g.printf("i:%d;", g.r.IntN(4))
		}
		g.value(depth + 1)
	}
	if g.r.IntN(60) != 0 {
		g.b = append(g.b, '}')
	}
}

func (g *generator) add(b ...byte) { g.b = append(g.b, b...) }

func (g *generator) str(s string) { g.b = append(g.b, s...) }

// igbinarySession is mostly well formed, with numbers of strings and values
// that mostly exist.
func (g *generator) igbinarySession() []byte {
	g.b, g.slots, g.texts, g.open = nil, 0, 0, map[int]bool{}
	g.add(0, 0, 0, byte(1+g.r.IntN(2)))
	n := g.r.IntN(5)
	g.slots++
	g.add(0x14, byte(n))
	for range n {
		g.igText()
		g.igValue(0)
	}
	if g.r.IntN(40) == 0 {
		return g.damage(g.b)
	}
	return g.b
}

func (g *generator) igText() {
	if g.texts > 0 && g.r.IntN(3) == 0 {
		id := byte(g.r.IntN(g.texts))
		switch g.r.IntN(3) {
		case 0:
			g.add(0x0e, id)
		case 1:
			g.add(0x0f, 0, id)
		default:
			g.add(0x10, 0, 0, 0, id)
		}
		return
	}
	words := []string{"a", "b", "5", "05", "\x00*\x00p", "\x00Foo\x00p", "p", "", "\xff", "longer text"}
	w := words[g.r.IntN(len(words))]
	n := byte(len(w))
	switch g.r.IntN(5) {
	case 0:
		g.add(0x12, 0, n)
	case 1:
		g.add(0x13, 0, 0, 0, n)
	case 2:
		g.add(0x26, 0, 0, 0, 0, 0, 0, 0, n)
	default:
		g.add(0x11, n)
	}
	g.texts++
	g.str(w)
}

func (g *generator) igKey() {
	switch g.r.IntN(8) {
	case 0:
		g.add(0x06, byte(g.r.IntN(4)))
	case 1:
		g.add(0x07, byte(g.r.IntN(4)))
	case 2:
		g.add(0x08, 0, byte(g.r.IntN(4)))
	case 3:
		g.add(0x20, 0x80, 0, 0, 0, 0, 0, 0, byte(g.r.IntN(2)))
	case 4:
		g.add(0x0d)
	default:
		g.igText()
	}
}

func (g *generator) igEntries(n, depth int) {
	for range n {
		if g.r.IntN(20) == 0 {
			g.add(0x00) // a missing entry
			continue
		}
		g.igKey()
		g.igValue(depth + 1)
	}
}

func (g *generator) igValue(depth int) {
	slot := g.r.IntN(5) == 0
	if slot {
		g.add(0x25)
	}
	kind := g.r.IntN(15)
	if depth > 4 && kind > 9 {
		kind -= 6
	}
	if kind < 8 && slot {
		defer func() { g.slots++ }()
	}
	switch kind {
	case 0:
		g.add(0x00)
	case 1:
		g.add(0x04 + byte(g.r.IntN(2)))
	case 2, 3:
		tag := []byte{0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x20, 0x21}[g.r.IntN(8)]
		size := map[byte]int{6: 1, 7: 1, 8: 2, 9: 2, 10: 4, 11: 4, 0x20: 8, 0x21: 8}[tag]
		g.add(tag)
		for range size {
			g.add([]byte{0, 1, 0x7f, 0x80, 0xff}[g.r.IntN(5)])
		}
	case 4:
		g.add(0x0c, 0x3f, 0xf8, 0, 0, 0, 0, 0, byte(g.r.IntN(3)))
	case 5:
		g.add(0x0d)
	case 6, 7:
		g.igText()
	case 8, 9:
		// Not the root: the handler copies it, which shows in what is shared.
		id := byte(max(1, g.slots-g.r.IntN(g.slots+2)))
		// An array inside itself is one only by reference.
		if openSlot, open := g.open[int(id)]; open && !(openSlot && slot) {
			g.add(0x05)
			if slot {
				g.slots++
			}
			return
		}
		tags := [][]byte{{0x01}, {0x02, 0}, {0x03, 0, 0, 0}, {0x22}, {0x23, 0}, {0x24, 0, 0, 0}}
		g.add(tags[g.r.IntN(6)]...)
		g.add(id)
	case 10, 11, 12:
		n := g.r.IntN(4)
		self := g.slots
		g.slots++
		if g.r.IntN(4) == 0 {
			g.add(0x15, 0, byte(n))
		} else {
			g.add(0x14, byte(n))
		}
		g.open[self] = slot
		g.igEntries(n, depth)
		delete(g.open, self)
	default:
		classes := []string{"stdClass", "Foo", "A\\B"}
		c := classes[g.r.IntN(3)]
		if g.r.IntN(6) == 0 {
			g.add(0x17, 4)
			g.str("Suit")
			g.add(0x27, 0x11, 6)
			g.str("Hearts")
			g.texts += 2
			g.slots++
			return
		}
		n := g.r.IntN(4)
		g.add(0x17, byte(len(c)))
		g.str(c)
		g.texts++
		g.slots++
		g.add(0x14, byte(n))
		g.igEntries(n, depth)
	}
}

// msgpackSession is well formed and marks only as the extension does.
func (g *generator) msgpackSession() []byte {
	g.b, g.slots, g.known = nil, 1, nil
	n := g.r.IntN(5)
	g.add(0x80|byte(n+1), 0xc0, 0x01)
	for i := range n {
		g.add(0xa2, 'k', byte('0'+i))
		g.mpValue(0)
	}
	if g.r.IntN(10) == 0 {
		return g.b[:g.r.IntN(len(g.b))]
	}
	return g.b
}

func (g *generator) mpText() {
	words := []string{"a", "b", "5", "-7", "05", "\x00*\x00p", "\x00Foo\x00p", "p", "", "\xff", "longer text"}
	w := words[g.r.IntN(len(words))]
	switch n := byte(len(w)); g.r.IntN(6) {
	case 0:
		g.add(0xd9, n)
	case 1:
		g.add(0xda, 0, n)
	case 2:
		g.add(0xdb, 0, 0, 0, n)
	case 3:
		g.add(0xc4, n)
	default:
		g.add(0xa0 | n)
	}
	g.str(w)
}

func (g *generator) mpValue(depth int) {
	kind := g.r.IntN(22)
	if depth > 4 && kind > 10 {
		kind -= 11
	}
	switch kind {
	case 0:
		g.add(0xc0)
	case 1:
		g.add(0xc2 + byte(g.r.IntN(2)))
	case 2, 3, 4:
		tag := []byte{0xcc, 0xcd, 0xce, 0xcf, 0xd0, 0xd1, 0xd2, 0xd3}[g.r.IntN(8)]
		g.add(tag)
		for range 1 << (tag & 3) {
			g.add([]byte{0, 1, 0x7f, 0x80, 0xff}[g.r.IntN(5)])
		}
	case 5:
		g.add(0xca, 0x3f, 0xc0, 0, byte(g.r.IntN(3)))
	case 6:
		g.add(0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, byte(g.r.IntN(3)))
	case 7:
		g.add([]byte{0x00, 0x7f, 0xe0, 0xff, 0x2a}[g.r.IntN(5)])
	case 8:
		ext := [][]byte{{0xd4, 1, 0}, {0xd5, 1, 0, 0}, {0xc7, 0, 1}, {0xc7, 2, 5, 0, 0}, {0xd6, 0xff, 0, 0, 0, 0}}
		g.add(ext[g.r.IntN(5)]...)
	case 9, 10:
		g.mpText()
	case 11, 12, 13:
		g.slots++
		n := g.r.IntN(4)
		if g.r.IntN(4) == 0 {
			g.add(0xdc, 0, byte(n))
		} else {
			g.add(0x90 | byte(n))
		}
		for range n {
			g.mpValue(depth + 1)
		}
	case 14, 15, 16:
		g.slots++
		n := g.r.IntN(4)
		mark := g.r.IntN(3) == 0 && n > 0
		g.add(0x80 | byte(n))
		if mark {
			g.add(0xc0, 0x01)
			n--
		}
		g.mpEntries(n, depth)
	case 17, 18:
		g.slots++
		self := g.slots
		n := g.r.IntN(4)
		g.add(0x80|byte(n+1), 0xc0)
		classes := []string{"stdClass", "Foo", "A\\B"}
		c := classes[g.r.IntN(3)]
		g.add(0xa0 | byte(len(c)))
		g.str(c)
		g.mpEntries(n, depth)
		g.known = append(g.known, []byte{byte(self)})
	case 19:
		g.slots++
		g.add(0x82, 0xc0, 0x03, 0xa3)
		g.str("Foo")
		g.mpText()
	default:
		if len(g.known) == 0 {
			g.add(0x01)
			return
		}
		g.slots++
		g.add(0x82, 0xc0, []byte{2, 4, 4, 5}[g.r.IntN(4)], 0x00)
		g.add(g.known[g.r.IntN(len(g.known))]...)
	}
}

// mpEntries never repeats a key: the extension goes on using the value that a
// duplicate has destroyed.
func (g *generator) mpEntries(n, depth int) {
	keys := [][]byte{{0x02}, {0xd0, 0xff}, {0xc2}, {0xc3}, {0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0},
		[]byte("\xa1a"), []byte("\xd9\x01b"), []byte("\xda\x00\x015"), []byte("\xc4\x0205"),
		[]byte("\xa4\x00*\x00p"), []byte("\xa6\x00Foo\x00q"), []byte("\xa1\xff"), []byte("\xdb\x00\x00\x00\x02-7")}
	for _, i := range g.r.Perm(len(keys))[:n] {
		g.add(keys[i]...)
		g.mpValue(depth + 1)
	}
}
