package stores_test

import (
	"go/parser"
	gotoken "go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

// The package knows where sessions are and how they are written, and nothing of
// connections: it must not come to import the hook.
func TestImports(t *testing.T) {
	allowed := []string{
		"github.com/sessionbridge/sessionbridge/stores/php",
		"github.com/redis/go-redis/v9",
		"github.com/redis/go-redis/v9/",
		"github.com/redis/go-redis/v9/",
		"github.com/gorilla/sessions",
		"github.com/rbcervilla/redisstore/v9",
		"github.com/klauspost/compress/", // phpredis compresses
		"github.com/pierrec/lz4/v4",
		"github.com/tinylib/msgp/", // what Python writes
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(gotoken.NewFileSet(), e.Name(), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		checked++
	imports:
		for _, i := range f.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if first, _, _ := strings.Cut(path, "/"); !strings.Contains(first, ".") {
				continue // the standard library
			}
			for _, a := range allowed {
				if path == a || strings.HasSuffix(a, "/") && strings.HasPrefix(path, a) {
					continue imports
				}
			}
			t.Errorf("%s must not import %s", e.Name(), path)
		}
	}
	if checked == 0 {
		t.Error("no file was checked")
	}
}
