// Package cache keeps what was built under the hash of what it was built
// from, so that any checkout of the repository on the machine reuses it.
//
// An entry appears whole or not at all: it is made beside its place and
// renamed. The caller holds the machine-wide lock; the package does no locking
// of its own.
package cache

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// kept is how many entries of one name stay: the current one and one more, for
// switching between two branches.
const kept = 2

// Store is a directory of entries, <Dir>/<name>/<key>/.
type Store struct{ Dir string }

// Key is a short hash of a list of strings. Each is framed by its length, so
// that moving a byte from one to the next makes another key.
func Key(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s;", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// FilesKey is the Key of the names and contents of the files that match one of
// the patterns (filepath.Glob) below root. Names count relative to root, so
// the key does not depend on where the checkout is. Go's test files do not
// count: nothing is built from them.
func FilesKey(root string, patterns ...string) (string, error) {
	var parts []string
	for _, pattern := range patterns {
		files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil {
			return "", fmt.Errorf("match %s: %w", pattern, err)
		}
		slices.Sort(files)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			content, err := os.ReadFile(file)
			if err != nil {
				return "", fmt.Errorf("hash inputs: %w", err)
			}
			name, err := filepath.Rel(root, file)
			if err != nil {
				return "", fmt.Errorf("hash inputs: %w", err)
			}
			parts = append(parts, filepath.ToSlash(name), string(content))
		}
	}
	return Key(parts...), nil
}

// FileKey is the hash of one file, read as a stream.
func FileKey(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("hash file: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("hash file %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// Path is where the entry is or would be.
func (s Store) Path(name, key string) string { return filepath.Join(s.Dir, name, key) }

// Has says whether the entry is there.
func (s Store) Has(name, key string) bool {
	_, err := os.Stat(s.Path(name, key))
	return err == nil
}

// Get returns the directory of an entry, and calls build to fill it when it is
// not there. A build that fails leaves nothing. Older entries of the name are
// removed.
func (s Store) Get(name, key string, build func(dir string) error) (string, error) {
	dir := s.Path(name, key)
	if s.Has(name, key) {
		now := time.Now()
		_ = os.Chtimes(dir, now, now) // only the order of removal depends on it
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", fmt.Errorf("create cache: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".building-")
	if err != nil {
		return "", fmt.Errorf("create cache entry: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := build(tmp); err != nil {
		return "", err
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", fmt.Errorf("finish cache entry: %w", err)
	}
	if err := os.Rename(tmp, dir); err != nil {
		return "", fmt.Errorf("finish cache entry: %w", err)
	}
	return dir, s.prune(name, key)
}

// prune removes all but the newest entries of a name, and what a killed build
// left. The entry of key always stays.
func (s Store) prune(name, key string) error {
	entries, err := os.ReadDir(filepath.Join(s.Dir, name))
	if err != nil {
		return fmt.Errorf("prune cache: %w", err)
	}
	type aged struct {
		path string
		used time.Time
	}
	var old []aged
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || e.Name() == key {
			continue
		}
		old = append(old, aged{filepath.Join(s.Dir, name, e.Name()), info.ModTime()})
	}
	slices.SortFunc(old, func(a, b aged) int { return cmp.Compare(b.used.UnixNano(), a.used.UnixNano()) })
	for i, entry := range old {
		if i < kept-1 && filepath.Base(entry.path)[0] != '.' {
			continue
		}
		if err := os.RemoveAll(entry.path); err != nil {
			return fmt.Errorf("prune cache: %w", err)
		}
	}
	return nil
}
