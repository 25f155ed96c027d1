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
)

// maxLooks bounds how many entries of the context are compared with patterns,
// which takes time where many patterns meet many entries.
const maxLooks = 5_000_000

// Within tells what the build context holds, without which [Dockerfile.Check]
// does not look at the sources of COPY and ADD. The tree may be nil: then it is
// not known.
func (d *Dockerfile) Within(tree *buildcontext.Tree) { d.walker.tree = tree }

// Missing returns an error of type [*Error] if a COPY or ADD names what is not
// in the build context, with all that do: Docker fails then, and so does kiln.
// It knows of none before [Dockerfile.Within].
func (d *Dockerfile) Missing() error {
	var missing []*Error
	err := d.walker.walk(func(s *site) {
		for _, finding := range s.findings() {
			if finding.Problem == copysource.Missing && len(missing) < maxRefused {
				missing = append(missing, s.missing(finding))
			}
		}
	})
	if err != nil || len(missing) == 0 {
		return err
	}
	first := missing[0]
	first.More = missing[1:]
	return first
}

// missing is the error of a source that is not there.
func (s *site) missing(finding copysource.Finding) *Error {
	name := shorten(finding.Name)
	e := s.errorf("%s is not in the build context, the directory of the Dockerfile", name)
	if finding.Target != "" {
		e = s.errorf("%s is a symbolic link to %s, which is not in the build context, the directory of the Dockerfile", name, shorten(finding.Target))
	}
	e.Advice = "Check the path and .dockerignore."
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
	if s.walker.tree == nil || !ok || c.from != "" || len(c.SourcePaths) == 0 {
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
		s.expander.looks += (1 + s.walker.tree.Len()) * len(sources.Paths)
	}
	if s.expander.looks <= maxLooks {
		s.found = copysource.Compare(s.walker.tree, sources)
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
	if s.walker.tree == nil || c.from != "" {
		return false
	}
	return slices.ContainsFunc(c.SourcePaths, func(source string) bool {
		value, known := s.expand(source)
		if !known || remote.MatchString(value) || copysource.Wild(value) {
			return false
		}
		node, found := s.walker.tree.Follow(value)
		return found && node.Dir
	})
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
	case finding.Source < 0 && finding.Name != "", finding.Problem == copysource.Whole && finding.Name != ".":
		return shorten(finding.Name) + ": "
	case finding.Problem == copysource.Lost:
		return shorten(finding.Name) + " lies behind a symbolic link: "
	}
	return ""
}
