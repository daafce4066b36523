package web_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/remote"

	"github.com/sessionbridge/sessionbridge/internal/parts/partstest"
)

func execute(t *testing.T, name string, env []string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v:\n%s", err, output)
	}
}

func TestClientInNode(t *testing.T) {
	path, _ := partstest.Node(t, "examples/web", "ws")
	execute(t, path, []string{"BRIDGE_URL=" + newService(t)}, "--test", filepath.Join("testdata", "client.test.js"))
}

func TestClientInChromium(t *testing.T) {
	browser := partstest.Chromium(t)
	url := newService(t)
	ctx, cancel := remote.NewAllocator(t.Context(), browser.URL, remote.NoModifyURL)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Navigate(url+"/scenarios.html")); err != nil {
		t.Fatal(err)
	}
	result, err := chromedp.Run(ctx, chromedp.Poll[struct {
		Ran      int               `json:"ran"`
		Failures map[string]string `json:"failures"`
	}](`window.result`, chromedp.WithPollingTimeout(time.Minute), chromedp.WithPollingInterval(50*time.Millisecond)))
	if err != nil {
		t.Fatal(err)
	}
	if result.Ran == 0 {
		t.Error("no scenario ran")
	}
	for name, failure := range result.Failures {
		t.Errorf("%s: %s", name, failure)
	}
}

// The declarations must be what a program in TypeScript needs, and no more.
func TestTypes(t *testing.T) {
	path, modules := partstest.Node(t, "examples/web", "typescript")
	compiler := filepath.Join(modules, "typescript", "bin", "tsc")
	execute(t, path, nil, compiler, "--noEmit", "--strict", "--target", "es2022", "--lib", "es2022,dom",
		"--module", "nodenext", "--types", "", filepath.Join("testdata", "types.test.ts"))
}

// The service's codes and the client's must be the same ones.
func TestEveryCodeIsKnown(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", "bridge", "refusal.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if typ, named := identOf(spec, ok); named && typ == "Code" {
			code, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			codes = append(codes, code)
		}
		return true
	})
	if len(codes) < 15 {
		t.Fatalf("only %d codes were found: %v", len(codes), codes)
	}
	client := read(t, "bridge-client.js")
	types := read(t, "bridge-client.d.ts")
	scenarios := read(t, filepath.Join("testdata", "scenarios.js"))
	for _, code := range codes {
		if !regexp.MustCompile(`(?m)^  `+code+`: '(end|once|retry)',$`).MatchString(client) ||
			!strings.Contains(types, "| '"+code+"'") || !regexp.MustCompile(`ed `+code+`': \d,`).MatchString(scenarios) {
			t.Errorf("%s is missing in bridge-client.js, bridge-client.d.ts or scenarios.js", code)
		}
	}
}

func identOf(spec *ast.ValueSpec, ok bool) (string, bool) {
	if !ok {
		return "", false
	}
	id, ok := spec.Type.(*ast.Ident)
	if !ok {
		return "", false
	}
	return id.Name, true
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
