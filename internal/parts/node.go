package parts

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

// NodePrograms is the folder of the test programs for Node.js, and of the
// packages that are tested against.
const NodePrograms = "internal/parts/testdata/node"

// Node returns the path of Node.js, and the node_modules of a folder of the
// source tree. It returns a [MissingError] if Node.js is not here, or a package
// that is named is not in that folder.
func Node(folder string, packages ...string) (path, modules string, err error) {
	dir, err := root()
	if err != nil {
		return "", "", err
	}
	path, err = exec.LookPath("node")
	if err != nil {
		return "", "", &MissingError{"node", "install Node.js 20 or later, then run: npm ci --prefix " + folder}
	}
	modules = filepath.Join(dir, filepath.FromSlash(folder), "node_modules")
	for _, name := range packages {
		if _, err := os.Stat(filepath.Join(modules, name)); err != nil {
			return "", "", &MissingError{"node", "node is here, but not its package " + name + ": run npm ci --prefix " + folder}
		}
	}
	return path, modules, nil
}

var nodeReady = regexp.MustCompile(`listening on (http://\S+)`)

// startNode starts a program of a folder that needs a package and says where it
// listens.
func startNode(ctx context.Context, folder, needs, program string, env ...string) (*Process, error) {
	path, modules, err := Node(folder, needs)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, program)
	cmd.Dir = filepath.Dir(modules)
	cmd.Env = append(os.Environ(), env...)
	p, m, err := start(ctx, cmd, nodeReady)
	if err != nil {
		return nil, err
	}
	p.URL = m[1]
	return p, nil
}
