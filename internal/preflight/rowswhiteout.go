package preflight

import (
	"path"
	"strings"

	"kiln/internal/buildcontext"
	"kiln/internal/copysource"
)

// whiteout is how the name of a file begins by which a layer deletes another one.
const whiteout = ".wh."

// whiteoutRows are the constructs whose result no image holds. Docker builds the same
// image: where it was built, the file is there until the image is pulled again.
func whiteoutRows() []Row {
	return []Row{{
		ID:                "CopyWhiteout",
		Name:              "COPY or ADD of a file whose name begins with .wh.",
		Example:           "FROM busybox\nCOPY d /x/\n",
		Context:           []string{"d/", "d/.wh.old"},
		Chainguard:        Warn,
		Osscontainertools: Warn,
		Anywhere:          true,
		Message:           "a file whose name begins with .wh. cannot be in an image, with Docker neither: a layer takes it for a deletion of what is named behind that",
		Advice:            "Rename it, or exclude it in .dockerignore.",
		find:              copiedWhiteout,
	}}
}

// whiteoutsOf finds the entries that a layer would take for whiteouts.
func whiteoutsOf(tree *buildcontext.Tree) map[string]string {
	if tree == nil {
		return nil
	}
	found := map[string]string{}
	for _, node := range tree.Below(".") {
		if !isWhiteout(node.Path) {
			continue
		}
		for dir := node.Path; dir != "."; {
			dir = path.Dir(dir)
			if _, known := found[dir]; known {
				break // and so are those above it
			}
			found[dir] = node.Path
		}
	}
	return found
}

func isWhiteout(name string) bool { return strings.HasPrefix(path.Base(name), whiteout) }

// copiedWhiteout finds the first whiteout that a COPY or ADD copies.
func copiedWhiteout(s *site) (copysource.Finding, bool) {
	c, ok := s.copying()
	if !ok || c.from != "" || !s.walker.final(s.stage) {
		return copysource.Finding{}, false
	}
	for _, source := range c.SourcePaths {
		value, known := s.expand(source)
		if !known || remote.MatchString(value) {
			continue
		}
		renamed := s.renames(c, value)
		name, found := s.whiteoutIn(inside(value), renamed)
		if target, _, _ := s.path(c.DestPath); renamed && isWhiteout(target) {
			name, found = target, true
		}
		if found {
			return copysource.Finding{Name: name, Problem: copysource.Lost, Source: -1}, true
		}
	}
	return copysource.Finding{}, false
}

// final reports whether a stage is the last one, or one that it is built from. Of any other
// stage the image has only what is copied out of it.
func (w *walker) final(of *stage) bool {
	for s := w.stages[len(w.stages)-1]; s != nil; s = s.base {
		if s == of {
			return true
		}
	}
	return false
}

// renames reports whether a COPY gives a file another name, as far as can be told.
func (s *site) renames(c copying, source string) bool {
	target, slash, known := s.path(c.DestPath)
	return len(c.SourcePaths) == 1 && !copysource.Wild(source) && known && !slash && !s.exists(target)
}

// whiteoutIn finds a whiteout among what a source of the context comes to. Renamed is
// whether that itself gets another name.
func (s *site) whiteoutIn(source string, renamed bool) (string, bool) {
	context := s.walker.context
	if len(context.whiteouts) == 0 {
		return "", false
	}
	if copysource.Wild(source) {
		if s.expander.looks += 1 + context.tree.Len(); s.expander.looks > maxLooks {
			return "", false
		}
	}
	matches, _ := copysource.Docker(context.tree, source) // what is missing is told elsewhere
	for _, m := range matches {
		if name, found := context.whiteouts[m.Node.Path]; found && m.Node.Dir {
			return name, true
		}
		if !m.Node.Dir && !renamed && isWhiteout(m.Name) {
			return m.Name, true
		}
	}
	return "", false
}
