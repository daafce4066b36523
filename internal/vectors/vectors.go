// Package vectors reads the recorded cases that tests are made of.
package vectors

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Read returns the cases of a JSON file in the test's folder testdata. A file
// without cases fails the test: it would pass without testing anything.
func Read[T any](tb testing.TB, file string) []T {
	tb.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		tb.Fatal(err)
	}
	var cases []T
	if err := json.Unmarshal(raw, &cases); err != nil {
		tb.Fatalf("%s: %v", file, err)
	}
	if len(cases) == 0 {
		tb.Fatalf("%s holds no cases", file)
	}
	return cases
}
