// Package gobuild compiles the cluster's programs with the machine's Go, as
// static binaries, and keeps them in the cache.
package gobuild

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"kiln/e2e/cluster/internal/cache"
	"kiln/e2e/cluster/internal/command"
	"kiln/e2e/cluster/internal/progress"
	"kiln/e2e/cluster/internal/source"
)

// Program is a main package to compile.
type Program struct {
	// Name is the file name of the binary and of its cache entry.
	Name string
	// Module is the directory of its module in the repository.
	Module string
	// Package is its import path or path relative to Module.
	Package string
	// LDFlags are given to the linker beside -s -w.
	LDFlags string
	// Inputs are the file patterns, relative to Module, that decide whether a
	// binary made earlier can be used again. go.mod and go.sum always count.
	Inputs []string
	// Hint says how long it usually takes.
	Hint string
}

// Builder compiles programs of one checkout into one cache.
type Builder struct {
	Tree     source.Tree
	Store    cache.Store
	Progress *progress.Printer
}

// Build returns the path of the program's binary, compiling it when the cache
// has none made from the same sources by the same Go.
func (b Builder) Build(ctx context.Context, p Program) (string, error) {
	key, err := b.key(ctx, p)
	if err != nil {
		return "", err
	}
	dir, err := b.Store.Get(p.Name, key, func(dir string) error {
		end := b.Progress.During("compiling "+p.Name, p.Hint, 20*time.Second)
		err := b.compile(ctx, p, filepath.Join(dir, p.Name))
		end(err)
		return err
	})
	return filepath.Join(dir, p.Name), err
}

// Cached says whether Build would find a binary.
func (b Builder) Cached(ctx context.Context, p Program) bool {
	key, err := b.key(ctx, p)
	return err == nil && b.Store.Has(p.Name, key)
}

func (b Builder) key(ctx context.Context, p Program) (string, error) {
	version, err := command.Output(ctx, "go", "env", "GOVERSION", "GOOS", "GOARCH")
	if err != nil {
		return "", fmt.Errorf("find the Go toolchain: %w", err)
	}
	inputs := append([]string{"go.mod", "go.sum"}, p.Inputs...)
	files, err := cache.FilesKey(b.Tree.Dir(p.Module), inputs...)
	if err != nil {
		return "", err
	}
	return cache.Key(version, files, p.Package, p.LDFlags), nil
}

// compile runs go build, at a low priority: these builds are long and whatever
// else the machine does should not wait for them.
func (b Builder) compile(ctx context.Context, p Program, out string) error {
	args := []string{"go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w " + p.LDFlags, "-o", out, p.Package}
	if nice, err := exec.LookPath("nice"); err == nil {
		args = append([]string{nice, "-n", "5"}, args...)
	}
	err := command.Run(ctx, command.Options{
		Dir: b.Tree.Dir(p.Module),
		Env: []string{"CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off"},
	}, args[0], args[1:]...)
	if err != nil {
		return fmt.Errorf("compile %s: %w", p.Name, err)
	}
	return os.Chmod(out, 0o755)
}
