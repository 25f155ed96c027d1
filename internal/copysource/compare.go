package copysource

import (
	"errors"
	"path"
	"slices"

	"kiln/internal/buildcontext"
)

// Problem is a way in which a source comes out otherwise than with Docker.
type Problem int

// The problems.
const (
	// Missing: Docker fails, since there is no such entry.
	Missing Problem = iota
	// Link: the entry is a symbolic link. Docker copies what it leads to, Kaniko
	// the link.
	Link
	// Lost: Kaniko does not find what Docker does, since it lies behind a link.
	Lost
	// Whole: the pattern matches "." for Kaniko, which copies the whole context
	// besides.
	Whole
	// Nothing: no source matches anything. Docker copies nothing then, and
	// Kaniko takes all that has changed in its file system for the copy.
	Nothing
	// Several: a pattern matches more than one entry, for which Kaniko wants a
	// target that is a directory.
	Several
	// Mode: the source is a directory with another mode than 755. Docker gives
	// the target the mode 755 or leaves it as it is, chainguard's Kaniko gives it
	// the mode of the source.
	Mode
	// LinkBelow: a directory that is copied has a symbolic link in it, which Kaniko
	// gives no owner.
	LinkBelow
	// SetBelow: it has a directory with the setuid or setgid bit in it, which one
	// Kaniko drops.
	SetBelow
	// Twice: the pattern matches a directory and, by a class that stands for a slash,
	// what is in it. Docker copies the directory, Kaniko what is in it besides.
	Twice
)

// Finding is a problem of one source.
type Finding struct {
	Problem Problem
	// Source is the index of the source.
	Source int
	// Name is the entry's path, relative to the context; empty for Nothing and
	// Several.
	Name string
	// Target is what a link leads to by its own words, if Name is one.
	Target string
	// Mode is that of the directory, for Mode.
	Mode int64
}

// Sources are the sources of one COPY or ADD that are in the context.
type Sources struct {
	// Paths have their variables expanded. An empty one stands for a source
	// that is not known or not in the context, and is not looked at.
	Paths []string
	// Partial is whether there are such.
	Partial bool
}

// Compare tells where Kaniko copies other things than Docker, in the order of
// the sources, each problem of a source once. Patterns that are malformed fail
// with both.
func Compare(tree *buildcontext.Tree, sources Sources) []Finding {
	wild := slices.ContainsFunc(sources.Paths, Wild)
	var findings []Finding
	var copied []buildcontext.Node
	for i, source := range sources.Paths {
		if source == "" {
			continue
		}
		found, nodes, bad := compare(tree, source, wild)
		if bad {
			return nil
		}
		copied = append(copied, nodes...)
		for _, finding := range found {
			if finding.Problem == Whole && slices.ContainsFunc(sources.Paths, isWhole) {
				continue // Docker copies it too
			}
			finding.Source = i
			findings = append(findings, finding)
		}
	}
	switch {
	case len(findings) == 0 && len(copied) == 0 && !sources.Partial && wild:
		findings = append(findings, Finding{Problem: Nothing})
	case wild && !slices.ContainsFunc(findings, isMissing) && several(tree, copied):
		findings = append(findings, Finding{Problem: Several})
	}
	return findings
}

// isWhole reports whether a source is the context's own directory.
func isWhole(source string) bool { return source != "" && path.Join("/", source) == "/" }

func isMissing(f Finding) bool { return f.Problem == Missing }

// compare tells the problems of one source, and what Kaniko copies for it.
func compare(tree *buildcontext.Tree, source string, wild bool) (findings []Finding, nodes []buildcontext.Node, bad bool) {
	matches, err := Docker(tree, source)
	nodes, patternErr := Kaniko(tree, source, wild)
	if patternErr != nil || err != nil && !errors.Is(err, ErrMissing) {
		return nil, nil, true
	}
	told := map[Problem]bool{}
	tell := func(f Finding) {
		if !told[f.Problem] {
			told[f.Problem] = true
			findings = append(findings, f)
		}
	}
	if err != nil {
		last := matches[len(matches)-1].Name
		tell(Finding{Problem: Missing, Name: last, Target: target(tree, last)})
		return findings, nodes, false
	}
	copies := byName(nodes)
	for _, m := range matches {
		if m.Node.Dir && m.Node.Mode != 0o755 {
			tell(Finding{Problem: Mode, Name: m.Name, Mode: m.Node.Mode})
		}
		if m.Node.Dir {
			below(tree, m, tell)
		}
		switch node, found := counterpart(copies, m, wild); {
		case !found:
			tell(Finding{Problem: Lost, Name: m.Name})
		case node.Link != "":
			tell(Finding{Problem: Link, Name: m.Name, Target: node.Link})
		}
	}
	if wild && takesWhole(tree, matches, nodes) {
		tell(Finding{Problem: Whole, Name: "."})
	}
	if at := slices.IndexFunc(nodes, within(matches)); wild && at >= 0 {
		tell(Finding{Problem: Twice, Name: nodes[at].Path})
	}
	return findings, nodes, false
}

// within reports whether an entry is in a directory that is a match.
func within(matches []Match) func(buildcontext.Node) bool {
	matched := make(map[string]bool, len(matches))
	for _, m := range matches {
		matched[m.Name] = true
	}
	return func(node buildcontext.Node) bool {
		for dir := path.Dir(node.Path); dir != "."; dir = path.Dir(dir) {
			if matched[dir] {
				return true
			}
		}
		return false
	}
}

// below tells what is odd in a directory that is copied.
func below(tree *buildcontext.Tree, m Match, tell func(Finding)) {
	for _, node := range tree.Below(m.Node.Path) {
		switch {
		case node.Link != "":
			tell(Finding{Problem: LinkBelow, Name: node.Path})
		case node.Dir && node.Mode&0o6000 != 0:
			tell(Finding{Problem: SetBelow, Name: node.Path, Mode: node.Mode})
		}
	}
}

// byName finds entries by their paths.
func byName(nodes []buildcontext.Node) map[string]buildcontext.Node {
	named := make(map[string]buildcontext.Node, len(nodes))
	for _, node := range nodes {
		named[node.Path] = node
	}
	return named
}

// counterpart returns what Kaniko copies where Docker copies a match. Without
// wildcards it is what the path leads to, but for a link at its end.
func counterpart(copies map[string]buildcontext.Node, m Match, wild bool) (buildcontext.Node, bool) {
	if wild {
		node, found := copies[m.Name]
		return node, found
	}
	for _, node := range copies {
		if node.Link != "" || node.Path == m.Node.Path {
			return node, true
		}
	}
	return buildcontext.Node{}, false
}

// target is what a name leads to if it is a link.
func target(tree *buildcontext.Tree, name string) string {
	node, _ := tree.Find(name)
	return node.Link
}

// takesWhole reports whether Kaniko copies the context's directory where Docker
// does not, and whether that makes a difference: it makes none where all that is
// in the context are files that match.
func takesWhole(tree *buildcontext.Tree, matches []Match, nodes []buildcontext.Node) bool {
	if len(nodes) == 0 || nodes[0].Path != "." {
		return false
	}
	files := map[string]bool{}
	for _, m := range matches {
		if m.Name == "." {
			return false
		}
		files[m.Name] = !m.Node.Dir
	}
	for _, node := range tree.Below(".") {
		if path.Dir(node.Path) == "." && !files[node.Path] {
			return true
		}
	}
	return false
}

// several reports whether Kaniko wants a directory for what it copies.
func several(tree *buildcontext.Tree, nodes []buildcontext.Node) bool {
	if len(nodes) == 1 && nodes[0].Dir {
		return false
	}
	count := 0
	for _, node := range nodes {
		count++
		if node.Dir {
			count += len(tree.Below(node.Path))
		}
	}
	return count > 1
}
