package stores_test

import (
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/sessionbridge/sessionbridge/stores"
)

// values has one value, at "u".
type values struct{ u any }

func (v values) Lookup(path string) (any, bool) { return v.u, path == "u" }
func (v values) Map() map[string]any            { return map[string]any{"u": v.u} }

type (
	namedString string
	namedInt    int16
	namedFloat  float64
	namedBool   bool
)

// uuid marshals itself as github.com/google/uuid's does.
type uuid [2]byte

func (u uuid) MarshalText() ([]byte, error) {
	if u == (uuid{}) {
		return nil, errors.New("nil UUID 00")
	}
	return []byte{u[0], '-', u[1]}, nil
}

func TestUserID(t *testing.T) {
	long := strings.Repeat("long", 30)
	wide := map[string]any{}
	for _, c := range "abcdefghijklmnop" {
		wide[string(c)] = 1.0
	}
	for _, c := range []struct {
		name string
		v    any
		want string // the id, or with none what the error says
		kind error  // nil: a user; ErrNoUser: nobody; errBad: neither
	}{
		{"zero", 0.0, "0", nil},
		{"minus zero", math.Copysign(0, -1), "0", nil},
		{"zero as int", 0, "0", nil},
		{"zero as string", "0", "0", nil},
		{"number", 42.0, "42", nil},
		{"negative", -7.0, "-7", nil},
		{"string", "5f3c-uuid", "5f3c-uuid", nil},
		{"text", "Zoë ✓", "Zoë ✓", nil},
		{"bytes that are no text", "\x80\x00", "\x80\x00", nil},
		{"fraction", 0.1, "0.1", nil},
		{"third", 1.0 / 3, "0.3333333333333333", nil},
		{"2^53", 9007199254740992.0, "9007199254740992", nil},
		{"1e20", 1e20, "100000000000000000000", nil},
		{"1e21", 1e21, "1e+21", nil},
		{"1.5e300", 1.5e300, "1.5e+300", nil},
		{"123456789012345680000", 123456789012345680000.0, "123456789012345680000", nil},
		{"1e-6", 1e-6, "0.000001", nil},
		{"1e-7", 1e-7, "1e-7", nil},
		{"-1.5e-7", -1.5e-7, "-1.5e-7", nil},
		{"least", 5e-324, "5e-324", nil},
		{"int64", int64(math.MaxInt64), "9223372036854775807", nil},
		{"least int64", int64(math.MinInt64), "-9223372036854775808", nil},
		{"uint64", uint64(math.MaxUint64), "18446744073709551615", nil},
		{"uint8", uint8(7), "7", nil},
		{"float32", float32(2), "2", nil},
		{"named string", namedString("ada"), "ada", nil},
		{"named int", namedInt(-3), "-3", nil},
		{"named float", namedFloat(3), "3", nil},
		{"text marshaler", uuid{'7', 'b'}, "7-b", nil},
		{"big number", big.NewInt(1 << 40), "1099511627776", nil},

		{"nothing", nothing{}, "nothing", stores.ErrNoUser},
		{"null", nil, "null", stores.ErrNoUser},
		{"false", false, "false", stores.ErrNoUser},
		{"empty", "", "empty", stores.ErrNoUser},
		{"named false", namedBool(false), "false", stores.ErrNoUser},
		{"named empty", namedString(""), "empty", stores.ErrNoUser},

		{"true", true, `true at "u"`, errBad},
		{"named true", namedBool(true), `true at "u"`, errBad},
		{"NaN", math.NaN(), "number", errBad},
		{"Inf", math.Inf(1), "number", errBad},
		{"-Inf", math.Inf(-1), "number", errBad},
		{"replacement character", "a\ufffd", "U+FFFD", errBad},
		{"list", []any{42.0}, "a list", errBad},
		{"empty list", []any{}, "a list", errBad},
		{"empty object", map[string]any{}, "an object", errBad},
		{"object", map[string]any{"id": 42.0, "name": "x", "roles": []any{}, "o": map[string]any{}}, `inside it are "u.id", "u.name"`, errBad},
		{"object with a dot in a name", map[string]any{"a.b": 1}, `"u.a\\.b"`, errBad},
		{"object with a long name", map[string]any{long: 1}, `an object at "u" is no user id`, errBad},
		{"object with many names", wide, `"u.j", …`, errBad},
		{"failing text marshaler", uuid{}, "no user id", errBad},
		{"complex", complex(1, 1), "no user id", errBad},
		{"function", func() {}, "no user id", errBad},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := stores.UserID(values{c.v}, "u")
			if _, gone := c.v.(nothing); gone {
				got, err = stores.UserID(values{}, "v")
			}
			switch {
			case c.kind == nil:
				if got != c.want || err != nil {
					t.Errorf("= %q, %v, want %q", got, err, c.want)
				}
			case got != "" || err == nil || errors.Is(err, stores.ErrNoUser) != (c.kind == stores.ErrNoUser) || !strings.Contains(err.Error(), c.want):
				t.Errorf("= %q, %v, want a %v with %q", got, err, c.kind, c.want)
			}
			if err != nil && strings.Contains(err.Error(), long) {
				t.Errorf("error %q repeats a long name", err)
			}
		})
	}
}

// nothing marks the case without a value.
type nothing struct{}

var errBad = errors.New("another error")

// The whole session is an object: what stands in it is named.
func TestUserIDOfTheWholeSession(t *testing.T) {
	ks := stores.PHPKeyspace()
	s, err := ks.Decode(record([]byte(`uid|i:42;name|s:1:"x";`), -1), recorded)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = stores.UserID(s, ""); err == nil || !strings.Contains(err.Error(), `"name", "uid"`) || errors.Is(err, stores.ErrNoUser) {
		t.Errorf("error %v", err)
	}
}
