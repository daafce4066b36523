package bridge_test

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The hook knows no store, no token format and no framework.
func TestImports(t *testing.T) {
	allowed := map[string]bool{"github.com/gorilla/websocket": true}
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
			// Only a path outside the standard library has a dot in its first
			// element.
			if root, _, _ := strings.Cut(path, "/"); strings.Contains(root, ".") && !allowed[path] {
				t.Errorf("%s imports %s; package bridge may import gorilla/websocket and the standard library only", name, path)
			}
		}
	}
	if read == 0 {
		t.Error("no file was read")
	}
}
