package stores_test

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"encoding/json"
	"errors"
	"math/big"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/sessions"
	"github.com/rbcervilla/redisstore/v9"

	"github.com/sessionbridge/sessionbridge/stores"
)

type (
	gobKey     string
	gobBase    struct{ Tenant int }
	gobAccount struct {
		gobBase
		Owner *vectorUser
		Tags  []string
		Raw   []byte
		Pair  [2]int8
		When  time.Time
		Next  *gobAccount
	}
)

func init() {
	gob.Register(gobKey(""))
	gob.Register(gobAccount{})
	gob.Register(uuid{})
	gob.Register(time.Time{})
	gob.Register(big.NewInt(0))
	gob.Register(map[string]any{})
	gob.Register(map[int]string{})
}

// gobSession writes a session as the real store does.
func gobSession(tb testing.TB, v map[any]any) []byte {
	tb.Helper()
	b, err := redisstore.GobSerializer{}.Serialize(&sessions.Session{Values: v})
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func goSession(tb testing.TB, v map[any]any) stores.Values {
	tb.Helper()
	s, _, err := stores.Gorilla(nil).Decode(gobSession(tb, v))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestGorillaLookup(t *testing.T) {
	when := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	s := goSession(t, map[any]any{
		"id":            int64(1<<53 + 1),
		"name":          "ada",
		"dot.ted":       true,
		gobKey("typed"): uint8(7),
		7:               "seven",
		"bytes":         []byte("raw"),
		"list":          []any{1, "x", nil},
		"map":           map[string]any{"k": map[string]any{"l": 2.5}},
		"ints":          map[int]string{-3: "c"},
		"account":       gobAccount{Owner: &vectorUser{42, "ada"}, Tags: []string{"a", "b"}, Raw: []byte("r"), Pair: [2]int8{1, 2}, When: when},
		"uuid":          uuid{'7', 'b'},
		"time":          when,
	})
	for _, c := range []struct {
		path string
		want any
		ok   bool
	}{
		{"id", int64(1<<53 + 1), true},
		{"name", "ada", true},
		{`dot\.ted`, true, true},
		{"typed", uint8(7), true},
		{"7", "seven", true},
		{"bytes", "raw", true},
		{"list", []any{1, "x", nil}, true},
		{"list.1", "x", true},
		{"list.2", nil, true},
		{"list.3", nil, false},
		{"list.-1", nil, false},
		{"list.x", nil, false},
		{"map.k.l", 2.5, true},
		{"map", map[string]any{"k": map[string]any{"l": 2.5}}, true},
		{"ints.-3", "c", true},
		{"account.Owner.ID", 42, true},
		{"account.Owner", map[string]any{"ID": 42, "Name": "ada"}, true},
		{"account.Tags.1", "b", true},
		{"account.Raw", "r", true},
		{"account.Pair", []any{int8(1), int8(2)}, true},
		{"account.When", when, true},
		{"account.Next", nil, true},
		{"account.Next.Owner", nil, false},
		{"account.Nobody", nil, false},
		{"account.gobBase", nil, false},
		{"account.owner", nil, false},
		{"uuid", uuid{'7', 'b'}, true},
		{"time", when, true},
		{"name.x", nil, false},
		{"none", nil, false},
	} {
		got, ok := s.Lookup(c.path)
		if ok != c.ok || !cmp.Equal(got, c.want) {
			t.Errorf("Lookup(%q) = %#v, %v, want %#v, %v", c.path, got, ok, c.want, c.ok)
		}
	}
	if diff := cmp.Diff(map[string]any{"k": map[string]any{"l": 2.5}}, s.Map()["map"]); diff != "" {
		t.Errorf("Map (-want +got):\n%s", diff)
	}
	if got := len(s.Map()); got != 12 {
		t.Errorf("Map has %d names", got)
	}
	if user, err := stores.UserID(s, "uuid"); user != "7-b" || err != nil {
		t.Errorf("user of a UUID: %q, %v", user, err)
	}
	if _, err := stores.UserID(s, "account.Owner"); err == nil || !strings.Contains(err.Error(), `"account.Owner.ID", "account.Owner.Name"`) {
		t.Errorf("user of a struct: %v", err)
	}
}

// Keys that are written alike are told apart in the same way every time.
func TestGorillaAmbiguousNames(t *testing.T) {
	for range 50 {
		s := goSession(t, map[any]any{
			gobKey("user"): "typed", "user": "plain",
			1: "int", int64(1): "int64", uint(1): "uint",
		})
		for path, want := range map[string]string{"user": "plain", "1": "int"} {
			if got, _ := s.Lookup(path); got != want {
				t.Fatalf("Lookup(%q) = %v, want %v", path, got, want)
			}
			if got := s.Map()[path]; got != want {
				t.Fatalf("Map()[%q] = %v, want %v", path, got, want)
			}
		}
	}
}

// A type that is not registered makes the whole session unreadable: never is
// the half before it returned.
func TestGorillaUnregisteredType(t *testing.T) {
	for range 20 { // gob writes maps in any order
		b := gobSession(t, map[any]any{"user_id": 42, "user": vectorUser{42, "ada"}, "name": "ada"})
		b = bytes.ReplaceAll(b, []byte("main.User"), []byte("main.Gone"))
		ks := stores.GorillaKeyspace()
		s, err := ks.Decode(record(b, -1), recorded)
		var decode *stores.DecodeError
		if s != nil || !errors.As(err, &decode) || decode.Codec != "gob" || !strings.Contains(err.Error(), "main.Gone") || errors.Is(err, stores.ErrNotFound) {
			t.Fatalf("= %v, %v, want a DecodeError that names the type", s, err)
		}
	}
}

func TestGorillaDamaged(t *testing.T) {
	whole := gobSession(t, map[any]any{"user_id": 42, "user": vectorUser{42, "ada"}})
	for n := range whole {
		if s, _, err := stores.Gorilla(nil).Decode(whole[:n]); s != nil || err == nil {
			t.Errorf("the first %d bytes: %v, %v", n, s, err)
		}
	}
	for name, b := range map[string][]byte{
		"JSON":         []byte(`{"user_id":42}`),
		"PHP":          []byte(`user_id|i:42;`),
		"another type": gobOf(t, "text"),
		"another map":  gobOf(t, map[string]int{"user_id": 42}),
		"huge message": {0xf8, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		if s, _, err := stores.Gorilla(nil).Decode(b); s != nil || err == nil {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
}

func gobOf(t *testing.T, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// gobUint is the encoding of a number in gob.
func gobUint(n int) []byte {
	if n < 128 {
		return []byte{byte(n)}
	}
	b := bytes.TrimLeft(binary.BigEndian.AppendUint64(nil, uint64(n)), "\x00")
	return append([]byte{byte(-len(b))}, b...)
}

// deepGob is a session of one list in another, as deep as fits in a length.
func deepGob(tb testing.TB, length int) []byte {
	tb.Helper()
	shallow := gobSession(tb, map[any]any{"a": []any{}})
	const tail = 6 // a length, the type, a length, and an empty list's two bytes
	head, listType := shallow[:len(shallow)-tail], shallow[len(shallow)-tail+1:len(shallow)-tail+3]
	name := []byte("\x00\x01\x0e[]interface {}") // of a list with one element, which is such a list
	sizes := []int{2}
	for total := 2; len(head)+total+40 < length; {
		total += len(name) + len(listType) + len(gobUint(total))
		sizes = append(sizes, total)
	}
	slices.Reverse(sizes)
	b := append(slices.Clone(head), gobUint(len(listType)+len(gobUint(sizes[0]))+sizes[0])...)
	for _, size := range sizes {
		b = append(append(b, listType...), gobUint(size)...)
		if size > 2 {
			b = append(b, name...)
		}
	}
	return append(b, 0, 0)
}

// A value that would overflow the stack, which cannot be recovered from, is
// refused before gob sees it; one that is not takes bounded memory.
func TestGorillaDeep(t *testing.T) {
	s, _, err := stores.Gorilla(nil).Decode(deepGob(t, 10_000))
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := s.Lookup("a.0.0.0"); !ok || v == nil {
		t.Errorf("the fourth list is %v", v)
	}
	_ = s.Map() // is cut off where it is deeper than any path

	if s, _, err := stores.Gorilla(nil).Decode(deepGob(t, stores.MaxValue)); s != nil || err == nil || !strings.Contains(err.Error(), "1 MiB") {
		t.Errorf("8 MiB: %v, %v", s, err)
	}
	deep := deepGob(t, 1<<17)
	if n := allocated(func() { _, _, err = stores.Gorilla(nil).Decode(deep) }); n > 16<<20 {
		t.Errorf("%d MiB for 128 KiB", n>>20)
	}
	if err != nil {
		t.Error(err)
	}
}

// The key is sent as what the pointer points to, which a map cannot have as its
// key; gob panics.
func TestGorillaUnhashable(t *testing.T) {
	b := gobSession(t, map[any]any{&gobAccount{Owner: &vectorUser{}}: 1})
	if s, _, err := stores.Gorilla(nil).Decode(b); s != nil || err == nil || !strings.Contains(err.Error(), "the serializer panicked: ") {
		t.Errorf("%v, %v", s, err)
	}
}

// What a value of the default types can make gob reserve.
func TestGorillaMemory(t *testing.T) {
	n := 1<<20 - 200
	for name, v := range map[string]any{
		"strings": make([]string, n),
		"bytes":   make([]byte, n),
		"ints":    make([]int, n),
	} {
		b := gobSession(t, map[any]any{"a": v})
		if got := allocated(func() { _, _, _ = stores.Gorilla(nil).Decode(b) }); got > 128<<20 {
			t.Errorf("%s: %d MiB for %d KiB", name, got>>20, len(b)>>10)
		}
	}
	// A length that is a lie.
	b := gobSession(t, map[any]any{"a": []byte("0123456789")})
	at := bytes.LastIndex(b, []byte("\x0a0123456789"))
	for _, lie := range []int{1 << 20, 1 << 30, 1 << 40, 1 << 62} {
		forged := slices.Concat(b[:at], gobUint(lie), b[at+1:])
		if got := allocated(func() { _, _, err := stores.Gorilla(nil).Decode(forged); mustFail(t, err) }); got > 128<<20 {
			t.Errorf("a length of %d: %d MiB", lie, got>>20)
		}
	}
}

func mustFail(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Error("no error")
	}
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// jsonSerializer is one that an application may give to its store.
type jsonSerializer struct{}

func (jsonSerializer) Serialize(s *sessions.Session) ([]byte, error) {
	m := map[string]any{}
	for k, v := range s.Values {
		name, ok := k.(string)
		if !ok {
			return nil, errors.New("a key is no string")
		}
		m[name] = v
	}
	return json.Marshal(m)
}

func (jsonSerializer) Deserialize(b []byte, s *sessions.Session) error {
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		return err
	}
	for name, v := range m {
		s.Values[name] = v
	}
	return nil
}

func TestGorillaSerializer(t *testing.T) {
	codec := stores.Gorilla(jsonSerializer{})
	if got := codec.Name(); got != "stores_test.jsonSerializer" {
		t.Errorf("Name = %q", got)
	}
	b, err := jsonSerializer{}.Serialize(&sessions.Session{Values: map[any]any{"user_id": 42, "auth": map[string]any{"id": "x"}}})
	if err != nil {
		t.Fatal(err)
	}
	ks := stores.GorillaKeyspace()
	ks.Codec = codec
	checkUser(t, ks, record(b, -1), "user_id", "42")
	checkUser(t, ks, record(b, -1), "auth.id", "x")
	var decode *stores.DecodeError
	if s, err := ks.Decode(record([]byte("{"), -1), recorded); s != nil || !errors.As(err, &decode) || decode.Codec != codec.Name() {
		t.Errorf("damaged: %v, %v", s, err)
	}
}
