// Package arrows keeps the packages' dependencies as they are drawn.
package arrows

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Only fails the test if the package in the current folder imports, outside
// its tests, anything but the standard library and what is allowed. A path
// that ends in a slash allows what is below it.
func Only(t *testing.T, allowed ...string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		read++
		for _, spec := range f.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if !permitted(path, allowed) {
				t.Errorf("%s must not import %s", name, path)
			}
		}
	}
	if read == 0 {
		t.Error("no file was read")
	}
}

func permitted(path string, allowed []string) bool {
	// Only a path outside the standard library has a dot in its first element.
	if first, _, _ := strings.Cut(path, "/"); !strings.Contains(first, ".") {
		return true
	}
	for _, a := range allowed {
		if path == a || strings.HasSuffix(a, "/") && strings.HasPrefix(path, a) {
			return true
		}
	}
	return false
}
