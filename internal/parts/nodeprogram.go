package parts

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
)

// startNodeProgram starts a program of testdata/node that says where it
// listens.
func startNodeProgram(ctx context.Context, program string, env ...string) (*Process, error) {
	dir, err := root()
	if err != nil {
		return nil, err
	}
	dir = filepath.Join(dir, "internal", "parts", "testdata", "node")
	path, err := exec.LookPath("node")
	if err != nil {
		return nil, &MissingError{"node", "install Node.js 20 or later, then run: npm ci --prefix internal/parts/testdata/node"}
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "jose")); err != nil {
		return nil, &MissingError{"node", "node is here, but not the test programs' packages: run npm ci --prefix internal/parts/testdata/node"}
	}
	cmd := exec.Command(path, program)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	p, m, err := start(ctx, cmd, nodeReady)
	if err != nil {
		return nil, err
	}
	p.URL = m[1]
	return p, nil
}
