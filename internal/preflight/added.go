package preflight

import (
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"kiln/internal/buildcontext"
	"kiln/internal/copysource"
	"kiln/internal/tarball"
)

const (
	// maxAdded bounds the files that ADD instructions name, which are looked into.
	maxAdded = 1000
	// maxUnpacked bounds what all of them unpack to on the way, in bytes.
	maxUnpacked = 4 << 30
	// minUnpacked is what each of them may take all the same: enough to tell one that is no
	// archive.
	minUnpacked = 4 << 10
)

// addition is what one ADD takes from the context.
type addition struct {
	// files are the files that it names itself, not those in directories.
	files []string
	// others is whether it names something else too.
	others bool
}

// Context is the context with a list of what is in it, as [Listed], of which the
// files that ADD names are looked into: for them it reads the canonical context that
// open opens. Errors come from the context, also once nobody waits any more, or are of
// type [*Error] where the Dockerfile is beyond a bound.
func (f *File) Context(ctx context.Context, tree *buildcontext.Tree, open func() (io.ReadCloser, error)) (*Context, error) {
	known := Listed(tree)
	wanted, err := f.additions(known)
	if err != nil || len(wanted) == 0 {
		return known, err
	}
	src, err := open()
	if err != nil {
		return nil, err
	}
	defer src.Close()
	if err := known.look(ctx, src, wanted); err != nil {
		return nil, err
	}
	return known, nil
}

// look looks into files of the canonical context.
func (c *Context) look(ctx context.Context, canonical io.Reader, wanted map[string]bool) error {
	watch, left := watchOwn(), tarball.MaxRepacked
	unpacked := int64(maxUnpacked)
	c.archives, c.repacked = map[string]tarball.Facts{}, map[string][]byte{}
	return buildcontext.Files(canonical, wanted, func(name string, content io.Reader) error {
		watch.Bytes = max(unpacked, minUnpacked)
		kept := &keeper{}
		facts, err := tarball.Look(ctx, io.TeeReader(content, kept), watch)
		c.archives[name] = facts
		unpacked -= facts.Bytes
		if err != nil || !facts.Docker || facts.Excess || !facts.Repacked() && !facts.Root {
			return err
		}
		if _, err := io.Copy(kept, content); err != nil {
			return fmt.Errorf("read context: %w", err)
		}
		if repacked, err := tarball.Repack(kept.content); err == nil && kept.whole() && len(repacked) <= left {
			left -= len(repacked)
			c.repacked[name] = repacked
		}
		return nil
	})
}

// keeper keeps a file that is not too large to be written anew.
type keeper struct {
	content []byte
	over    bool
}

// Write implements [io.Writer].
func (k *keeper) Write(p []byte) (int, error) {
	if k.over = k.over || len(k.content)+len(p) > tarball.MaxRepacked; k.over {
		k.content = nil
		return len(p), nil
	}
	k.content = append(k.content, p...)
	return len(p), nil
}

// whole reports whether all of the file was kept.
func (k *keeper) whole() bool { return !k.over }

// additions notes what ADD takes from the context, and returns the files.
func (f *File) additions(context *Context) (map[string]bool, error) {
	context.added = map[int]addition{}
	wanted := map[string]bool{}
	tree := context.tree
	err := f.outline.over(context).walk(func(s *site) {
		c, ok := s.command.(*instructions.AddCommand)
		if !ok || s.trigger != nil || tree == nil {
			return
		}
		a := addition{others: len(c.SourceContents) > 0}
		for _, text := range c.SourcePaths {
			value, known := s.expand(text)
			if !known || remote.MatchString(value) {
				a.others = true
				continue
			}
			s.expander.looks += 1 + tree.Len()/100
			if above(path.Clean(value)) {
				value = inside(value)
			}
			matches, err := copysource.Docker(tree, value)
			for _, m := range matches {
				if err != nil || m.Node.Dir || len(wanted) >= maxAdded {
					a.others = true
					continue
				}
				a.files = append(a.files, m.Node.Path)
				wanted[m.Node.Path] = true
			}
		}
		context.added[s.line] = a
	})
	return wanted, err
}

// archives returns what is known of the files of an ADD, by their paths.
func (s *site) archives() (files []string, of map[string]tarball.Facts) {
	if _, ok := s.command.(*instructions.AddCommand); !ok || s.trigger != nil {
		return nil, nil
	}
	return s.walker.context.added[s.line].files, s.walker.context.archives
}

// finds the first file of an ADD whose content has something.
func (s *site) adds(has func(tarball.Facts) bool) (copysource.Finding, bool) {
	files, facts := s.archives()
	at := slices.IndexFunc(files, func(name string) bool {
		f, known := facts[name]
		return known && has(f)
	})
	if at < 0 {
		return copysource.Finding{}, false
	}
	return copysource.Finding{Name: files[at], Problem: copysource.Lost, Source: -1}, true
}

// watchOwn watches what lands on a path of the container itself, whatever
// directory an archive is unpacked in.
func watchOwn() tarball.Watch {
	suffixes := func(paths []string) []string {
		var all []string
		for _, own := range paths {
			for rest := strings.TrimPrefix(own, "/"); rest != ""; _, rest, _ = strings.Cut(rest, "/") {
				all = append(all, rest)
			}
		}
		return all
	}
	return tarball.Watch{
		Files: suffixes(ownFiles()), Directories: suffixes(append(ownDirectories(), "/kaniko")),
		Absolute: func(at string) bool {
			return slices.ContainsFunc(allOwn(), func(own string) bool { return below(at, own) })
		},
	}
}
