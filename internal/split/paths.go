package split

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"kiln/internal/buildcontext"
	"kiln/internal/copysource"
)

// maxLooks bounds how many entries of the context are compared with patterns.
const maxLooks = 5_000_000

// selection are entries of the context.
type selection struct {
	tree  *buildcontext.Tree
	names map[string]bool
	whole bool
	looks int
}

// paths returns the entries of the context that the Dockerfile up to a line takes,
// whole where it may be any of them. Stages that nothing uses count too, unless they are
// skipped: an executor may build them.
func (d *decision) paths(last int) (names []string, whole bool) {
	taken := &selection{tree: d.Tree, names: map[string]bool{}}
	behind := make([]*cursor, len(d.stages))
	for i := range d.stages {
		if d.stages[i].Location[0].Start.Line > last {
			break
		}
		if d.Skips[i] {
			continue
		}
		if behind[i] = d.follow(taken, behind, i, last); behind[i] == nil || taken.whole {
			return nil, true
		}
	}
	return slices.Sorted(maps.Keys(taken.names)), false
}

// follow goes through one stage and returns what is known behind it, nil where that
// is not certain. Behind has it for the stages before.
func (d *decision) follow(taken *selection, behind []*cursor, index, last int) *cursor {
	steps, err := d.own(index)
	if err != nil {
		return nil
	}
	var at *cursor
	if steps[0].image != "" {
		if at, err = d.begin(steps[0]); err != nil {
			return nil
		}
		steps = steps[1:]
	} else if base := behind[d.baseOf(index)]; base != nil {
		at = base.copy()
	} else {
		return nil // it is built on what is skipped
	}
	for _, step := range steps {
		if step.Line > last {
			break
		}
		c, err := step.Command()
		if err != nil || at.scope.Resolve(c) != nil {
			return nil
		}
		taken.take(c)
		if at.pass(c) != nil {
			return nil
		}
	}
	return at
}

// take adds what a command takes from the context.
func (s *selection) take(c instructions.Command) {
	switch c := c.(type) {
	case *instructions.CopyCommand:
		if c.From == "" {
			s.sources(c.SourcePaths, c.Parents)
		}
	case *instructions.AddCommand:
		s.sources(c.SourcePaths, false)
	case *instructions.RunCommand:
		for _, mount := range instructions.GetMounts(c) {
			s.whole = s.whole || mount.From == "" && mount.Type != instructions.MountTypeCache &&
				mount.Type != instructions.MountTypeTmpfs && mount.Type != instructions.MountTypeSecret && mount.Type != instructions.MountTypeSSH
		}
		s.whole = s.whole || len(c.FlagsUsed) > 0 && instructions.GetMounts(c) == nil
	}
}

// sources adds what the sources of a COPY or ADD name.
func (s *selection) sources(sources []string, parents bool) {
	for _, source := range sources {
		if remote.MatchString(source) {
			continue
		}
		if parents {
			// Its patterns are others than those of sources.
			if strings.ContainsAny(source, `*?[\!`) {
				s.whole = true
				return
			}
			source = strings.Replace(source, "/./", "/", 1)
		}
		if s.looks += 1 + s.tree.Len(); s.looks > maxLooks {
			s.whole = true
			return
		}
		matches, err := copysource.Docker(s.tree, source)
		if err != nil && len(matches) == 0 {
			s.whole = true
			return
		}
		for _, m := range matches {
			s.add(m.Name)
		}
	}
}

// maxHops bounds the links on the way to one name.
const maxHops = 255

// add adds the entry that a name leads to with all that is in it, and what leads
// there.
func (s *selection) add(name string) {
	at, rest := buildcontext.Node{Path: ".", Dir: true}, name
	for hops := 0; rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		switch part {
		case "", ".":
			continue
		case "..":
			at, _ = s.tree.Find(path.Dir(at.Path))
			continue
		}
		next, found := s.tree.Find(path.Join(at.Path, part))
		if !found {
			return
		}
		s.names[next.Path] = true
		if next.Link == "" {
			at = next
			continue
		}
		if hops++; hops > maxHops {
			return
		}
		target := next.Link
		if !path.IsAbs(target) {
			target = path.Join("/", path.Dir(next.Path), target)
		}
		at, rest = buildcontext.Node{Path: ".", Dir: true}, target+"/"+rest
	}
	if at.Path == "." {
		s.whole = true
		return
	}
	if at.Dir {
		for _, node := range s.tree.Below(at.Path) {
			s.names[node.Path] = true
		}
	}
}
