package wish

import (
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Bounds of a look.
const (
	maxDepth    = 12 // of a directory below _actions; a reference may have slashes
	maxEntries  = 20_000
	maxListed   = 2_000 // of one directory
	maxActions  = 200
	maxManifest = 256 << 10
)

// actionsDir is where the runner keeps the actions of a job, below its work folder.
const actionsDir = "_actions"

// Dockerfiles lists at most limit Dockerfiles of the container actions below a work
// folder, by their absolute paths: those of named first, in that order, then those that
// composite actions use. Where named is nil the job's message is not known.
func Dockerfiles(work string, named []Action, limit int) []string {
	dir := filepath.Join(work, actionsDir)
	if info, err := os.Lstat(dir); err != nil || !info.IsDir() {
		return nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil
	}
	defer root.Close()
	f := &finder{root: root, limit: limit, seen: map[string]bool{}, entries: maxEntries}
	f.repositories(".", 0)
	for _, action := range named {
		f.visitNamed(action)
	}
	if named == nil {
		for _, repository := range f.found {
			f.visitAny(repository)
		}
	}
	for i := range f.dockerfiles {
		f.dockerfiles[i] = filepath.Join(dir, filepath.FromSlash(f.dockerfiles[i]))
	}
	return f.dockerfiles
}

// finder is one look. Its paths are relative to _actions.
type finder struct {
	root    *os.Root
	limit   int
	entries int             // that may still be looked at
	found   []string        // repositories that were downloaded
	seen    map[string]bool // actions and Dockerfiles

	dockerfiles []string
}

// repositories finds what was downloaded below dir.
func (f *finder) repositories(dir string, depth int) {
	entries := f.list(dir)
	has := func(name string) bool {
		return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == name && e.Type().IsRegular() })
	}
	for _, entry := range entries {
		name := path.Join(dir, entry.Name())
		switch {
		case !entry.IsDir():
		case has(entry.Name() + ".completed"):
			f.found = append(f.found, name)
		case depth < maxDepth:
			f.repositories(name, depth+1)
		}
	}
}

// list is what a directory holds, in order, as far as it may be looked at; a link is no
// directory.
func (f *finder) list(dir string) []fs.DirEntry {
	if info, err := f.root.Lstat(dir); err != nil || !info.IsDir() || f.entries <= 0 {
		return nil
	}
	file, err := f.root.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer file.Close()
	entries, _ := file.ReadDir(min(maxListed, f.entries)) // what cannot be read is not there
	f.entries -= len(entries)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries
}

// visitAny looks at the action at the root of a repository, or, where there is none, at
// those below it.
func (f *finder) visitAny(repository string) {
	if f.visit(repository) || f.bare(repository) {
		return
	}
	f.below(repository, 0)
}

// below looks at all actions below dir.
func (f *finder) below(dir string, depth int) {
	for _, entry := range f.list(dir) {
		name := path.Join(dir, entry.Name())
		if entry.IsDir() && !strings.HasPrefix(entry.Name(), ".") && !f.visit(name) && depth < maxDepth {
			f.below(name, depth+1)
		}
	}
}

// visitNamed looks at an action that something names.
func (f *finder) visitNamed(action Action) {
	if dir := path.Join(action.Repository, action.Ref, action.Path); !f.visit(dir) {
		f.bare(dir)
	}
}

// visit looks at the action in dir and at those that it uses, and reports whether there
// is one.
func (f *finder) visit(dir string) bool {
	if f.seen[dir] {
		return true
	}
	if !f.downloaded(dir) || len(f.seen) >= maxActions {
		return false
	}
	text, found := f.manifest(dir)
	if !found {
		return false
	}
	f.seen[dir] = true
	m := parseManifest(text)
	if name := m.dockerfile(); name != "" {
		f.add(path.Join(dir, name))
	}
	if m.using == "composite" {
		for _, uses := range m.uses {
			if action, ok := parseUses(uses); ok {
				f.visitNamed(action)
			}
		}
	}
	return true
}

// downloaded reports whether a directory is of a repository that is there.
func (f *finder) downloaded(dir string) bool {
	return slices.ContainsFunc(f.found, func(repository string) bool {
		return dir == repository || strings.HasPrefix(dir, repository+"/")
	})
}

// manifest reads the action.yml of a directory.
func (f *finder) manifest(dir string) (string, bool) {
	for _, name := range []string{"action.yml", "action.yaml"} {
		if text, err := f.read(path.Join(dir, name)); err == nil {
			return text, true
		}
	}
	return "", false
}

// bare adds the Dockerfile of an action that is nothing else, and reports whether there
// is one.
func (f *finder) bare(dir string) bool {
	return f.add(path.Join(dir, "Dockerfile")) || f.add(path.Join(dir, "dockerfile"))
}

// add adds a Dockerfile, once, if it is a regular file of a repository that is there. A
// link is left to the step: it may lead anywhere.
func (f *finder) add(name string) bool {
	if f.seen[name] {
		return true
	}
	info, err := f.root.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || !f.downloaded(name) {
		return false
	}
	f.seen[name] = true
	if len(f.dockerfiles) < f.limit {
		f.dockerfiles = append(f.dockerfiles, name)
	}
	return true
}

// read reads a small regular file.
func (f *finder) read(name string) (string, error) {
	info, err := f.root.Lstat(name)
	if err != nil || !info.Mode().IsRegular() {
		return "", fs.ErrNotExist
	}
	file, err := f.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxManifest))
	return string(text), err
}
