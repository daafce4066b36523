package stores_test

import (
	"encoding/gob"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/stores"
)

type (
	describedUser struct {
		ID     int64
		Name   string
		Admin  bool
		Score  float64
		Raw    []byte
		Roles  []string
		Next   *describedUser
		Labels map[string]int
		Pair   [2]uint8
		Extra  any
	}
	describedOther struct{ Of describedUser }
)

func init() {
	gob.RegisterName("app.User", describedUser{})
	gob.RegisterName("app.Other", describedOther{})
	gob.Register([]any{})
}

// TestGorillaTypes holds what is read without the types against what is read
// with them.
func TestGorillaTypes(t *testing.T) {
	user := describedUser{ID: 42, Name: "Zoë", Roles: []string{"a", "b"}, Next: &describedUser{Name: "next"}, Labels: map[string]int{"x": -1}, Pair: [2]uint8{1, 2}, Extra: "e"}
	for name, session := range map[string]map[any]any{
		"empty":   {},
		"scalars": {"s": "x", "i": -7, "u": uint8(200), "f": 1.5, "inf": math.Inf(1), "b": true, "n": int64(math.MinInt64), "m": uint64(math.MaxUint64), 3: "three"},
		"struct":  {"user": user},
		"twice":   {"a": user, "b": describedOther{user}},
		"time":    {"at": time.Date(2026, 11, 22, 1, 2, 3, 4, time.UTC)},
		"nested":  {"l": []any{1, "two", nil, []any{user}}, "m": map[string]any{"k": map[string]any{}}},
	} {
		t.Run(name, func(t *testing.T) {
			value := gobSession(t, session)
			registered, _, err := stores.Gorilla(nil).Decode(value)
			if err != nil {
				t.Fatal(err)
			}
			described, _, err := stores.GorillaTypes().Decode(value)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(spelled(registered.Map()), spelled(described.Map())); diff != "" {
				t.Errorf("the session (-registered +described):\n%s", diff)
			}
		})
	}
}

// spelled is a session with its scalars as text, without what a struct leaves
// out.
func spelled(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, m := range v {
			switch m := spelled(m); m {
			case nil, "", "0", "false":
				delete(v, k)
			default:
				v[k] = m
			}
		}
		if len(v) == 0 {
			return nil
		}
		return v
	case []any:
		for i := range v {
			v[i] = spelled(v[i])
		}
		if len(v) == 0 {
			return nil
		}
		return v
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case nil:
		return nil
	}
	return fmt.Sprint(v)
}

func FuzzGorillaTypes(f *testing.F) {
	for _, session := range []map[any]any{
		{"user_id": 42},
		{"user": describedUser{ID: 42, Labels: map[string]int{"x": 1}}, "l": []any{1, nil, "x"}},
		{"at": time.Unix(0, 0)},
	} {
		f.Add(gobSession(f, session))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		v, _, err := stores.GorillaTypes().Decode(value)
		if err != nil {
			return
		}
		if v.Map() == nil {
			t.Error("a session without a map")
		}
		v.Lookup("user.ID")
	})
}
