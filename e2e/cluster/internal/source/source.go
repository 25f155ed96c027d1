// Package source finds the kiln repository that this program belongs to: the
// node image, the registry and Kaniko are built from it.
package source

import (
	"errors"
	"os"
	"path/filepath"
)

// marker is a file that only the root of the repository has.
const marker = "e2e/nodeimage/go.mod"

// Tree is a checkout of the repository.
type Tree struct {
	// Root is the absolute path of its top directory.
	Root string
}

// Find looks for the repository above the working directory, then above the
// program's own file, so that both `go run .` and a built binary find theirs.
func Find() (Tree, error) {
	var starts []string
	if dir, err := os.Getwd(); err == nil {
		starts = append(starts, dir)
	}
	if exe, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(exe))
	}
	for _, start := range starts {
		if root, ok := Above(start); ok {
			return Tree{Root: root}, nil
		}
	}
	return Tree{}, errors.New("the kiln repository is not here: run this program from a checkout, it builds the cluster's parts from it")
}

// Above walks from a directory to the root of the file system and returns the
// first one that holds the repository.
func Above(dir string) (string, bool) {
	for {
		if _, err := os.Stat(filepath.Join(dir, marker)); err == nil {
			return dir, true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", false
		}
		dir = parent
	}
}

// Dir is the path of a directory of the repository.
func (t Tree) Dir(name string) string { return filepath.Join(t.Root, filepath.FromSlash(name)) }
