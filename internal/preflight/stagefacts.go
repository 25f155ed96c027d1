package preflight

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// facts are what the RUN instructions of a stage say of its file system, as far
// as their words tell. They are read once for each stage.
type facts struct {
	// ownLinks are links that it makes to absolute paths.
	ownLinks []madeLink
	// ownSpecial is where it makes pipes and devices, "?" where that cannot be
	// told.
	ownSpecial []string
	// links, special and hosts are whether the stage, or one that it is built
	// from, makes links, makes pipes or devices, and names files such as
	// etc/hosts in a directory of its own.
	links, special, hosts bool
}

// madeLink is a symbolic link; both paths are absolute.
type madeLink struct{ name, target string }

// facts returns those of a stage.
func (w *walker) facts(s *stage) *facts {
	var unread []*stage
	for at := s; at != nil && at.facts == nil; at = at.base {
		unread = append(unread, at)
	}
	for _, at := range slices.Backward(unread) {
		at.facts = &facts{}
		if at.base != nil {
			of := at.base.facts
			at.facts.links, at.facts.special, at.facts.hosts = of.links, of.special, of.hosts
		}
		for _, text := range w.scripts(at) {
			at.facts.read(text)
		}
	}
	return s.facts
}

// scripts are the texts of a stage's RUN instructions, and of those that it has
// by ONBUILD from a stage.
func (w *walker) scripts(s *stage) []string {
	var texts []string
	for i := range s.triggers {
		if _, ok := s.triggers[i].command.(*instructions.RunCommand); ok && s.triggers[i].ofStage {
			texts = append(texts, s.triggers[i].node.Original)
		}
	}
	for _, command := range w.parsed[s.index].Commands {
		c, ok := command.(*instructions.RunCommand)
		if !ok {
			continue
		}
		texts = append(texts, w.node(startLine(c.Location())).Original)
		for _, file := range c.Files {
			texts = append(texts, file.Data)
		}
	}
	return texts
}

var (
	// links finds "ln -s TARGET NAME" with an absolute target.
	links = regexp.MustCompile(`\bln\s+(?:-\w+\s+)*["']?(/[^\s"';&|]*)["']?\s+["']?([^\s"';&|]+)`)
	// makes finds the commands that make pipes and devices, and what they make.
	makes = regexp.MustCompile(`\b(?:mkfifo|mknod)\s+(?:-\S+\s+(?:[0-7]+\s+)?)*["']?([^\s"';&|)]+)`)
	// ownNamed finds the files that the container has of its own, by their last
	// names, and the directories before them.
	ownNamed = regexp.MustCompile(`([^\s"'=:<>;&|(]+)/(?:hosts|hostname|resolv\.conf|mtab)(?:[^./\w-]|$)`)
)

// read adds what one script says.
func (f *facts) read(text string) {
	if strings.Contains(text, "ln") {
		for _, found := range links.FindAllStringSubmatch(text, -1) {
			f.ownLinks = append(f.ownLinks, madeLink{name: path.Join("/", found[2]), target: path.Clean(found[1])})
		}
	}
	if strings.Contains(text, "mkfifo") || strings.Contains(text, "mknod") {
		for _, found := range makes.FindAllStringSubmatch(text, -1) {
			at := path.Clean(found[1])
			if strings.ContainsAny(at, "$`*?[{") || !path.IsAbs(at) {
				at = "?"
			}
			f.ownSpecial = append(f.ownSpecial, at)
		}
	}
	f.links = f.links || len(f.ownLinks) > 0
	f.special = f.special || len(f.ownSpecial) > 0
	f.hosts = f.hosts || slices.ContainsFunc(ownNamed.FindAllStringSubmatch(text, -1), func(found []string) bool {
		return path.Clean(found[1]) != "/etc"
	})
}

// takesSpecial matches a FROM and a COPY that take a pipe or device over which a
// RUN of another stage has made.
func takesSpecial(s *site) bool {
	if s.stage == nil {
		return false
	}
	if s.command == nil { // FROM
		return s.stage.base != nil && s.walker.facts(s.stage.base).special
	}
	c, ok := s.copying()
	from, found := s.source(c.from)
	return ok && found && slices.ContainsFunc(c.SourcePaths, func(text string) bool {
		value, known := s.expand(text)
		if !known {
			return s.walker.facts(from).special
		}
		return s.makesSpecial(from, literalPart(path.Join("/", value)))
	})
}

// makesSpecial reports whether a stage, or one that it is built from, makes a
// pipe or device that a copy of a path takes along.
func (s *site) makesSpecial(from *stage, copied string) bool {
	for stage := from; stage != nil && s.walker.facts(stage).special; stage = stage.base {
		s.expander.steps++
		if slices.ContainsFunc(stage.facts.ownSpecial, func(at string) bool {
			return at == "?" || below(at, copied) || below(copied, at)
		}) {
			return true
		}
	}
	return false
}

// literalPart cuts a path before its first part with a wildcard.
func literalPart(source string) string {
	if at := strings.IndexAny(source, "*?["); at >= 0 {
		return path.Dir(source[:at] + "x")
	}
	return source
}
