package assemble

import (
	"errors"
	"path"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/patternmatcher"

	"kiln/internal/buildcontext"
	"kiln/internal/copysource"
	"kiln/internal/tarball"
	"kiln/internal/treeindex"
)

// copying is what COPY and ADD have in common.
type copying struct {
	instructions.SourcesAndDest
	chown, chmod string
	link         bool
	parents      bool
	exclude      []string
	// archives are those of the context that are unpacked.
	archives map[string][]tarball.Entry
}

// errCopy says that a COPY cannot be done here.
var errCopy = errors.New("what is copied is not certain")

// copyTo does a COPY whose variables are expanded, below a working directory.
func (a *assembly) copyTo(c copying, workdir string) error {
	change, err := parseMode(c.chmod, 0)
	if err != nil {
		return err
	}
	if c.link && named(c.chown) {
		return errOwner
	}
	by, err := a.root.ownerOf(c.chown)
	if err != nil {
		return err
	}
	at := a.root
	linked := c.link && !change.set
	if linked {
		at = newRoot(treeindex.Empty(), a.root.done)
	}
	p := &copier{root: at, listing: a.listing, change: change, by: by, dest: destination(workdir, c.DestPath), cost: 2 + len(c.exclude), archives: c.archives}
	if p.exclude, err = matcher(c.exclude); err != nil {
		return err
	}
	for _, source := range c.SourcePaths {
		if err := p.source(source, c.parents); err != nil {
			return err
		}
	}
	p.include = nil
	for _, document := range c.SourceContents {
		if err := p.document(document); err != nil {
			return err
		}
	}
	if linked {
		a.root.steps += at.steps
		return a.root.lay(at)
	}
	return a.root.within()
}

// destination is the target of a COPY: absolute and clean, but for a slash or a slash
// and a dot at its end.
func destination(workdir, dest string) string {
	if dest == "" || dest == "." {
		dest = "./"
	}
	clean := path.Clean("/" + dest)
	if !path.IsAbs(dest) {
		clean = path.Join("/", workdir, dest)
	}
	switch {
	case clean == "/":
	case strings.HasSuffix(dest, "/."):
		clean += "/."
	case strings.HasSuffix(dest, "/"):
		clean += "/"
	}
	return clean
}

// matcher returns a matcher of patterns, nil for none.
func matcher(patterns []string) (*patternmatcher.PatternMatcher, error) {
	if len(patterns) == 0 {
		return nil, nil
	}
	return patternmatcher.New(patterns)
}

// copier copies one COPY's sources (fsutil's copy.Copy).
type copier struct {
	root             *root
	listing          *listing
	change           chmod
	by               *owner
	dest             string
	include, exclude *patternmatcher.PatternMatcher
	// cost is what one entry counts: each pattern is asked.
	cost     int
	archives map[string][]tarball.Entry
	// above are the directories in which the copier is, of which those that no pattern
	// includes are made when something in them is.
	above []passed
}

// passed is a directory that the copier is in.
type passed struct {
	from buildcontext.Node
	to   string
	done bool
}

// source copies a source of the context.
func (p *copier) source(source string, parents bool) error {
	if parents {
		base, pattern, pivoted := strings.Cut(source, "/./")
		if !pivoted {
			base, pattern = "/", source
		}
		pattern = strings.TrimPrefix(path.Join("/", pattern), "/")
		// Of a pattern that names one entry BuildKit wants that it is there.
		if !copysource.Wild(base) && !copysource.Wild(pattern) {
			if _, found := p.listing.tree.Find(insideOf(base, pattern)); !found {
				return errCopy
			}
		}
		var err error
		if p.include, err = matcher([]string{pattern}); err != nil {
			return err
		}
		source = base
	}
	p.root.steps += p.listing.tree.Len() / 4
	if err := p.root.within(); err != nil {
		return err
	}
	matches, err := copysource.Docker(p.listing.tree, source)
	if err != nil {
		return err
	}
	for _, m := range matches {
		if entries, is := p.archives[m.Node.Path]; is {
			err = p.unpack(m.Node.Path, entries)
		} else {
			err = p.one(item{node: m.Node, name: m.Name})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// insideOf joins two paths of a context.
func insideOf(base, name string) string {
	if at := strings.TrimPrefix(path.Join("/", base, name), "/"); at != "" {
		return at
	}
	return "."
}

// document copies a heredoc.
func (p *copier) document(document instructions.SourceContent) error {
	content := []byte(document.Data)
	if content == nil {
		content = []byte{}
	}
	return p.one(item{node: buildcontext.Node{Path: document.Path, Mode: 0o644}, name: document.Path, inline: content})
}

// item is what is copied: an entry of the context by the name that leads to it, or a
// heredoc.
type item struct {
	node   buildcontext.Node
	name   string
	inline []byte
}

// one copies one match.
func (p *copier) one(i item) error {
	dir, file := path.Split(p.dest)
	if file == "" || file == "." {
		dir = p.dest
	}
	at, err := p.root.follow(dir)
	if err != nil {
		return err
	}
	if err := p.root.mkdirAll(at, p.change.made(), p.by); err != nil {
		return err
	}
	target, err := p.root.follow(p.dest)
	if err != nil {
		return err
	}
	there, found := p.root.find(target)
	if !i.node.Dir && found && there.Kind == treeindex.Dir {
		target = relative(target + "/" + path.Base(i.name))
	}
	above := parent(target)
	if i.node.Dir && !found {
		above = target
	}
	if err := p.root.mkdirAll(above, p.change.made(), p.by); err != nil {
		return err
	}
	return p.copy(step{item: i, target: target})
}

// step is one entry on the way of a copier. Inside is its path below the source, empty
// for that itself.
type step struct {
	item
	inside, target string
	included       patternmatcher.MatchInfo
	excluded       patternmatcher.MatchInfo
}

// copy copies an entry with what is in it.
func (p *copier) copy(s step) error {
	p.root.steps += p.cost
	if err := p.root.within(); err != nil {
		return err
	}
	include, excluded, err := p.choose(&s)
	if err != nil || !include && !s.node.Dir {
		return err
	}
	if include {
		if err := p.makeAbove(); err != nil {
			return err
		}
	}
	if s.node.Dir {
		return p.directory(s, include, excluded)
	}
	if e, found := p.root.find(s.target); found && e.Kind == treeindex.Dir {
		return errCopy // Docker fails
	}
	n := &node{entry: treeindex.Entry{Kind: treeindex.File, Mode: p.change.of(uint32(s.node.Mode), false)}, source: s.node.Path, inline: s.inline}
	if s.inline != nil {
		n.source = ""
	}
	if s.node.Link != "" {
		n = &node{entry: treeindex.Entry{Kind: treeindex.Link, Mode: 0o777, Target: s.node.Link}}
	}
	p.give(&n.entry)
	p.root.put(s.target, n)
	return nil
}

// give sets the owner: the context's is root.
func (p *copier) give(e *treeindex.Entry) {
	e.UID, e.GID = 0, 0
	if p.by != nil {
		e.UID, e.GID = p.by.uid, p.by.gid
	}
}

// choose asks the patterns about an entry. The source itself is always chosen.
func (p *copier) choose(s *step) (include, excluded bool, err error) {
	if s.inside == "" {
		return true, false, nil
	}
	include = true
	if p.include != nil {
		if include, s.included, err = p.include.MatchesUsingParentResults(s.inside, s.included); err != nil {
			return false, false, err
		}
	}
	if p.exclude != nil {
		if excluded, s.excluded, err = p.exclude.MatchesUsingParentResults(s.inside, s.excluded); err != nil {
			return false, false, err
		}
	}
	return include && !excluded, excluded, nil
}

// makeAbove makes the directories in which the copier is and that are not yet made.
func (p *copier) makeAbove() error {
	for i := range p.above {
		if p.above[i].done {
			continue
		}
		e, found := p.root.find(p.above[i].to)
		if found && e.Kind != treeindex.Dir {
			return errCopy
		}
		mode := uint32(p.above[i].from.Mode)
		if found { // only its mode becomes that of the source
			e.Mode = mode
			p.root.change(e)
		} else {
			e := treeindex.Entry{Kind: treeindex.Dir, Mode: p.change.of(mode, true)}
			p.give(&e)
			p.root.put(p.above[i].to, &node{entry: e})
		}
		p.above[i].done = true
	}
	return nil
}

// change sets mode and owner of a directory that is there.
func (r *root) change(e treeindex.Entry) {
	r.put(e.Path, &node{entry: e})
}

// directory copies a directory. The source itself leaves a directory that is there as
// it is; those in it give theirs mode and owner.
func (p *copier) directory(s step, include, excluded bool) error {
	if include {
		e, found := p.root.find(s.target)
		if found && e.Kind != treeindex.Dir {
			return errCopy
		}
		if !found || s.inside != "" {
			e.Path, e.Kind, e.Mode = s.target, treeindex.Dir, p.change.of(uint32(s.node.Mode), true)
			p.give(&e)
			p.root.change(e)
		}
	}
	if excluded && !p.exclude.Exclusions() {
		return nil
	}
	p.above = append(p.above, passed{from: s.node, to: s.target, done: include})
	defer func() { p.above = p.above[:len(p.above)-1] }()
	for _, child := range p.listing.in(s.node.Path) {
		name := path.Base(child.Path)
		next := step{
			item:   item{node: child, name: child.Path},
			inside: path.Join(s.inside, name), target: relative(s.target + "/" + name),
			included: s.included, excluded: s.excluded,
		}
		if err := p.copy(next); err != nil {
			return err
		}
	}
	return nil
}

// listing is the build context, with what is in each directory.
type listing struct {
	tree     *buildcontext.Tree
	children map[string][]buildcontext.Node
}

// newListing lists a context.
func newListing(tree *buildcontext.Tree) *listing {
	c := &listing{tree: tree, children: map[string][]buildcontext.Node{}}
	for _, node := range tree.Below(".") {
		dir := path.Dir(node.Path)
		c.children[dir] = append(c.children[dir], node)
	}
	return c
}

// in returns what is in a directory, in order.
func (c *listing) in(dir string) []buildcontext.Node { return c.children[dir] }
