package preflight

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"kiln/internal/buildcontext"
	"kiln/internal/copysource"
	"kiln/internal/tarball"
)

// maxLooks bounds how many entries of the context are compared with patterns,
// which takes time where many patterns meet many entries.
const maxLooks = 5_000_000

// Context is what is known of a build context. Nothing changes it.
type Context struct {
	// tree is what it holds, nil where that is not known.
	tree *buildcontext.Tree
	// added are what ADD instructions take from it, by line, and archives what the
	// files are, by path, where they were looked into.
	added    map[int]addition
	archives map[string]tarball.Facts
	// repacked are those that were written anew.
	repacked map[string][]byte
	// whiteouts has an entry that a layer takes for a whiteout, by each directory in
	// which one is.
	whiteouts map[string]string
}

// Listed is a context of which no more is known than what is in it: no file was
// looked into. The tree may be nil, and then nothing is known.
func Listed(tree *buildcontext.Tree) *Context {
	return &Context{tree: tree, whiteouts: whiteoutsOf(tree)}
}

// Archive is what is known of a file that an ADD names, if it was looked into. The path is
// clean and relative.
func (c *Context) Archive(path string) (facts tarball.Facts, known bool) {
	facts, known = c.archives[path]
	return facts, known
}

// Unlisted is what stays known without the list, which can be large.
func (c *Context) Unlisted() *Context {
	if c == nil {
		return nil
	}
	return &Context{added: c.added, archives: c.archives, repacked: c.repacked}
}

// noteMissing notes the sources of a site that the context does not hold: Docker
// fails then, and so does kiln.
func (c *check) noteMissing(s *site) {
	for _, finding := range s.findings() {
		if finding.Problem == copysource.Missing && len(c.missing) < maxRefused {
			c.missing = append(c.missing, s.missing(finding))
		}
	}
}

// missing is the error of a source that is not there.
func (s *site) missing(finding copysource.Finding) *Error {
	name := shorten(finding.Name)
	e := s.errorf("%s is not in the build context, the directory of the Dockerfile", name)
	if finding.Target != "" {
		e = s.errorf("%s is a symbolic link to %s, which is not in the build context, the directory of the Dockerfile", name, shorten(finding.Target))
	}
	e.Advice, e.Kind = "Check the path and .dockerignore.", Missing
	if s.trigger == nil {
		e.Column = s.column(finding, e)
	}
	return e
}

// shorten leaves room in a message for more than one path.
func shorten(name string) string {
	const longest = 45
	if len(name) <= longest {
		return name
	}
	return strings.ToValidUTF8(name[:longest], "") + "..."
}

// findings compares the sources of a COPY or ADD of the context, once. There is
// nothing to find where the context is not known.
func (s *site) findings() []copysource.Finding {
	c, ok := s.copying()
	if s.walker.context.tree == nil || !ok || c.from != "" || len(c.SourcePaths) == 0 {
		return nil
	}
	if s.compared {
		return s.found
	}
	s.compared = true
	sources := copysource.Sources{Paths: make([]string, len(c.SourcePaths)), Partial: len(c.SourceContents) > 0}
	for i, source := range c.SourcePaths {
		value, known := s.expand(source)
		if !known || remote.MatchString(value) {
			sources.Partial = true
			continue
		}
		if above(path.Clean(value)) {
			value = inside(value) // as it is sent
		}
		if sources.Paths[i] = value; value == "" {
			sources.Paths[i] = "."
		}
	}
	if slices.ContainsFunc(sources.Paths, copysource.Wild) {
		s.expander.looks += (1 + s.walker.context.tree.Len()) * len(sources.Paths)
	}
	if s.expander.looks <= maxLooks {
		s.found = copysource.Compare(s.walker.context.tree, sources)
	}
	return s.found
}

// remote finds sources that are not in the context: URLs and Git references.
var remote = regexp.MustCompile(`://|^[^/]+@[^/]+:`)

// column is where in the line of an error the source of a finding begins, in
// characters from 1.
func (s *site) column(finding copysource.Finding, e *Error) int {
	c, _ := s.copying()
	if finding.Source < 0 {
		return e.Column
	}
	_, words, _ := strings.Cut(e.Text, " ")
	at := strings.Index(words, c.SourcePaths[finding.Source])
	if at < 0 {
		return e.Column
	}
	return utf8.RuneCountInString(e.Text[:len(e.Text)-len(words)+at]) + 1
}

// copiesDirectory reports whether a source is a directory: as it is written, or
// in the context.
func (s *site) copiesDirectory(c copying) bool {
	if copiesDirectory(c) {
		return true
	}
	if s.walker.context.tree == nil || c.from != "" {
		return false
	}
	return slices.ContainsFunc(c.SourcePaths, func(source string) bool {
		value, known := s.expand(source)
		if !known || remote.MatchString(value) || copysource.Wild(value) {
			return false
		}
		node, found := s.walker.context.tree.Follow(value)
		return found && node.Dir
	})
}

// several reports whether more than one source of a copy is there. Of patterns in the
// context those count that match something in it, and none where it is not listed: Kaniko
// ends with an error at what comes to several then.
func (s *site) several(c copying) bool {
	count := len(c.SourceContents)
	for _, source := range c.SourcePaths {
		value, known := s.expand(source)
		if c.from == "" && known && copysource.Wild(value) && !s.matches(value) {
			continue
		}
		count++
	}
	return count > 1
}

// matches reports whether a pattern is known to match something of the context.
func (s *site) matches(pattern string) bool {
	if s.walker.context.tree == nil {
		return false
	}
	s.expander.looks += 1 + s.walker.context.tree.Len()
	found, err := copysource.Docker(s.walker.context.tree, pattern)
	return err != nil || len(found) > 0
}

// look reports whether a place has the construct, and what it found in the
// context.
func (r Row) look(s *site) (copysource.Finding, bool) {
	if r.find != nil {
		return r.find(s)
	}
	return copysource.Finding{}, r.match(s)
}

// about says which entry a finding is about, as the beginning of a message.
func about(finding copysource.Finding) string {
	switch {
	case finding.Target != "":
		return fmt.Sprintf("%s is a symbolic link to %s: ", shorten(finding.Name), shorten(finding.Target))
	case finding.Problem == copysource.Mode:
		return fmt.Sprintf("%s has the mode %o: ", shorten(finding.Name), finding.Mode)
	case finding.Source < 0 && finding.Name != "", finding.Problem == copysource.Twice,
		finding.Problem == copysource.Whole && finding.Name != ".":
		return shorten(finding.Name) + ": "
	case finding.Problem == copysource.Lost:
		return shorten(finding.Name) + " lies behind a symbolic link: "
	}
	return ""
}
