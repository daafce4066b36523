package docs_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// known are the names that the documentation's snippets take for granted.
const known = `package snippets

var (
	ctx                   context.Context
	rdb                   redis.UniversalClient
	store                 stores.Store
	redisStore            *stores.Redis
	secretOf              func(context.Context, string) ([]byte, error)
	stack                 cookie.Stack
	phpAuth, expressAuth  *cookie.Authenticator
	provider              *jwtmode.Provider
	auth                  bridge.Authenticator
	b                     *bridge.Bridge
	secret, hashKey, blockKey []byte
	secretKeyBase, sid    string
	mux                   *http.ServeMux
	err                   error
)
`

// packages are what the snippets import.
var packages = map[string]string{
	"context": "context", "fmt": "fmt", "http": "net/http", "log": "log", "os": "os", "slog": "log/slog", "time": "time", "errors": "errors", "json": "encoding/json",
	"bridge": ours + "bridge", "cookie": ours + "cookie", "jwtmode": ours + "jwtmode", "stores": ours + "stores", "php": ours + "stores/php",
	"metrics": ours + "metrics", "tracing": ours + "tracing", "pusher": ours + "pusher", "socketcluster": ours + "socketcluster",
	"redis": "github.com/redis/go-redis/v9", "websocket": "github.com/gorilla/websocket", "jwt": "github.com/golang-jwt/jwt/v5",
	"promhttp": "github.com/prometheus/client_golang/prometheus/promhttp", "rsa": "crypto/rsa", "ecdsa": "crypto/ecdsa",
}

const ours = "github.com/sessionbridge/sessionbridge/"

// Every Go snippet of the documentation compiles: each is the body of a
// function, in which a line of … alone stands for what is left out.
func TestSnippetsCompile(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	pages = append(pages, "../README.md", "../bench/README.md")
	dir := t.TempDir()
	overlay := map[string]string{}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	add := func(name, text string) {
		t.Helper()
		text, err := withImports(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay[filepath.Join(root, "docs", "snippets", name)] = file
	}
	block := regexp.MustCompile("(?ms)^```go\n(.*?)^```$")
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range block.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "socketio.") {
				continue // of a module of its own, which compiles it
			}
			name := strings.NewReplacer("/", "_", ".", "_").Replace(page)
			add(fmt.Sprintf("page_%s_%d.go", name, i), function(m[1])) // go passes over names that begin with _
		}
	}
	if len(overlay) < 9 {
		t.Fatalf("only %d snippets were found", len(overlay))
	}
	add("known.go", known)
	list, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		t.Fatal(err)
	}
	listed := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(listed, list, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", listed, "./snippets").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// function makes a function of a snippet; what it declares need not be used.
func function(snippet string) string {
	snippet = regexp.MustCompile(`(?m)^\s*…$`).ReplaceAllString(snippet, "")
	head := "package snippets\n\nfunc _() {\n"
	file, err := parser.ParseFile(token.NewFileSet(), "", head+snippet+"\n}\n", 0)
	if err != nil {
		return head + snippet + "\n}\n" // the compiler says where
	}
	body := file.Decls[0].(*ast.FuncDecl).Body
	var declared []string
	for _, s := range body.List {
		if a, ok := s.(*ast.AssignStmt); ok && a.Tok == token.DEFINE {
			for _, lhs := range a.Lhs {
				if name := lhs.(*ast.Ident).Name; name != "_" && !slices.Contains(declared, name) {
					declared = append(declared, name)
				}
			}
		}
	}
	for _, name := range declared {
		snippet += "\n_ = " + name
	}
	return head + snippet + "\n}\n"
}

// withImports adds the imports that the text needs.
func withImports(text string) (string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "", text, 0)
	if err != nil {
		return "", err
	}
	var used []string
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && packages[x.Name] != "" && !slices.Contains(used, x.Name) {
				used = append(used, x.Name)
			}
		}
		return true
	})
	var imports strings.Builder
	for _, name := range used {
		fmt.Fprintf(&imports, "import %q\n", packages[name])
	}
	return strings.Replace(text, "package snippets\n", "package snippets\n\n"+imports.String(), 1), nil
}
