package stores_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sessionbridge/sessionbridge/stores"
)

var paths = []struct {
	path  string
	names []string
}{
	{"", nil},
	{"user", []string{"user"}},
	{"passport.user", []string{"passport", "user"}},
	{"a.0.b", []string{"a", "0", "b"}},
	{`a\.b`, []string{"a.b"}},
	{`a\.b.c`, []string{"a.b", "c"}},
	{`a\\.b`, []string{`a\`, "b"}},
	{`a\\\.b`, []string{`a\.b`}},
	{`App\Models\User.id`, []string{`App\Models\User`, "id"}},
	{`\`, []string{`\`}},
	{`a\`, []string{`a\`}},
	{".", []string{"", ""}},
	{"a..b", []string{"a", "", "b"}},
	{`\.`, []string{"."}},
	{"ü.é", []string{"ü", "é"}},
}

func TestSplitPath(t *testing.T) {
	for _, c := range paths {
		if diff := cmp.Diff(c.names, stores.SplitPath(c.path)); diff != "" {
			t.Errorf("SplitPath(%q) (-want +got):\n%s", c.path, diff)
		}
	}
}

func TestEscapeName(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"user", "user"}, {"a.b", `a\.b`}, {`a\b`, `a\\b`}, {`a\.b`, `a\\\.b`}, {".", `\.`}, {`\`, `\\`}, {"", ""},
	} {
		got := stores.EscapeName(c.name)
		if got != c.want {
			t.Errorf("EscapeName(%q) = %q, want %q", c.name, got, c.want)
		}
		if names := stores.SplitPath("x." + got + ".y"); !cmp.Equal(names, []string{"x", c.name, "y"}) {
			t.Errorf("SplitPath of %q with x and y around = %q", got, names)
		}
	}
}
