package cookie_test

import (
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

// The package joins the hook and the stores, and knows neither the wire nor
// Redis.
func TestImports(t *testing.T) {
	allowed := []string{
		"github.com/sessionbridge/sessionbridge/bridge",
		"github.com/sessionbridge/sessionbridge/stores",
		"github.com/sessionbridge/sessionbridge/stores/php",
		"github.com/gorilla/securecookie", // the cookies of gorilla's CookieStore
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
		f, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, parser.ImportsOnly)
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
				if path == a {
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
