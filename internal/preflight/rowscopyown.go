package preflight

import (
	"path"
	"slices"
	"strings"

	"kiln/internal/copysource"
)

// containerRows are the constructs of paths that the builder or the container has
// of its own.
func containerRows() []Row {
	return []Row{
		{
			ID:                "TargetKaniko",
			Name:              "COPY, ADD or WORKDIR below /kaniko",
			Example:           "FROM busybox\nCOPY a /kaniko/a\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "/kaniko belongs to the builder: what is written there can be missing from the image, or break the build",
			Advice:            "Use another directory.",
			match:             targets(func(_ *site, target string) bool { return below(target, "/kaniko") }),
		},
		{
			ID:                "TargetContainerPath",
			Name:              "COPY, ADD or WORKDIR below a path of the container itself",
			Example:           "FROM busybox\nCOPY a /etc/hosts\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "the path belongs to the running container: what is written there can be missing from the image",
			Advice:            "Use another path, or write the file in the action's entrypoint.",
			match: targets(func(_ *site, target string) bool {
				return slices.ContainsFunc(containerPaths(), func(own string) bool { return below(target, own) })
			}),
		},
	}
}

// copyOwnRows are the constructs that meet what every container has of its own: what
// its runtime mounts, and what the executor leaves out for that reason.
func copyOwnRows() []Row {
	return []Row{
		{
			ID:                "CopyFromContainerPath",
			Name:              "COPY --from of a stage's directory in which the container has files of its own, such as /etc",
			Example:           "FROM busybox AS a\nRUN true\nFROM busybox\nCOPY --from=a /etc /out\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko copies the files of its own container with it, such as /etc/hosts and /etc/resolv.conf",
			Advice:            "Name the files and directories that are needed, for example /etc/passwd or /etc/ssl; or collect them in a directory of their own by cp in a RUN.",
			match: copies(func(s *site, c copying) bool {
				from, found := s.source(c.from)
				return found && slices.ContainsFunc(c.SourcePaths, func(text string) bool {
					value, known := s.expand(text)
					return known && value != "" && !isRoot(value) && s.meetsOwn(from, path.Join("/", value))
				})
			}),
		},
		{
			ID:                "CopyDirectoryContainerPath",
			Name:              "COPY or ADD of a directory with files for paths of the container itself",
			Example:           "FROM busybox\nCOPY root /\n",
			Context:           []string{"root/", "root/etc/", "root/etc/hosts"},
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "the path belongs to the running container: what is written there is missing from the image",
			Advice:            "Leave the file out by .dockerignore, or write it in the action's entrypoint.",
			find:              landsOnOwn,
		},
		{
			ID:                "CopyFromOntoContainerPath",
			Name:              "COPY --from of a directory to / or /etc that can hold files for paths of the container itself",
			Example:           "FROM busybox AS a\nRUN mkdir -p /r/etc && echo a > /r/etc/hosts\nFROM busybox\nCOPY --from=a /r /\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "/etc/hosts, /etc/hostname and /etc/resolv.conf belong to the running container: what is written there is missing from the image",
			Advice:            "Do not make these files in the stage, or copy the others by their names.",
			match:             copies(func(s *site, c copying) bool { return s.bringsOwn(c) }),
		},
	}
}

// ownFiles are the files that a runtime mounts, and the one that the executor
// takes for such; ownDirectories are so with all that is in them.
func ownFiles() []string {
	return []string{"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab", "/run/.containerenv"}
}

func ownDirectories() []string {
	return []string{"/proc", "/sys", "/dev", "/run/secrets", "/tmp/apt-key-gpghome"}
}

// containerPaths are mounted into every container by the kubelet, or left out
// by the executor (util.defaultIgnoreList in its source).
func containerPaths() []string { return slices.Concat(ownFiles(), ownDirectories()) }

// source returns the stage that a --from names.
func (s *site) source(from string) (*stage, bool) {
	index, found := s.walker.origin(from)
	if from == "" || !found || index < 0 || index >= len(s.walker.stages) {
		return nil, false
	}
	return s.walker.stages[index], true
}

// isRoot reports whether a source is the whole root, which has a row of its own.
func isRoot(source string) bool {
	source = path.Join("/", source)
	return source == "/" || source == "/*"
}

// meetsOwn reports whether a source, a path or pattern, takes anything from a
// stage that the container has of its own, also behind links that a RUN of the
// stage has made.
func (s *site) meetsOwn(from *stage, source string) bool {
	if takesOwn(source) {
		return true
	}
	for stage := from; stage != nil && s.walker.facts(stage).links; stage = stage.base {
		s.expander.steps++
		for _, link := range s.walker.facts(stage).ownLinks {
			if rest, found := strings.CutPrefix(source, link.name+"/"); found && takesOwn(path.Join(link.target, rest)) {
				return true
			}
		}
	}
	return false
}

// takesOwn reports whether a path or pattern names what the container has of its
// own, or a directory that it is in.
func takesOwn(source string) bool {
	if rest, found := strings.CutPrefix(source, "/var/run"); found && (rest == "" || rest[0] == '/') {
		source = "/run" + rest
	}
	for _, directory := range ownDirectories() {
		if matchesPrefix(source, directory) {
			return true
		}
	}
	return slices.ContainsFunc(slices.Concat(ownFiles(), ownDirectories()), func(own string) bool {
		for at := own; at != "/"; at = path.Dir(at) {
			if matched, err := path.Match(source, at); matched || err != nil {
				return true
			}
		}
		return false
	})
}

// matchesPrefix reports whether the beginning of a path or pattern matches a
// directory.
func matchesPrefix(source, directory string) bool {
	parts := strings.SplitAfterN(source, "/", strings.Count(directory, "/")+2)
	prefix := strings.TrimSuffix(strings.Join(parts[:min(len(parts), strings.Count(directory, "/")+1)], ""), "/")
	matched, err := path.Match(prefix, directory)
	return matched || err != nil
}

// landsOnOwn finds an entry of the context that a COPY or ADD puts where the
// container has something of its own.
func landsOnOwn(s *site) (copysource.Finding, bool) {
	c, ok := s.copying()
	if s.walker.context.tree == nil || !ok || c.from != "" {
		return copysource.Finding{}, false
	}
	target, slash, known := s.path(c.DestPath)
	if !known || !slices.ContainsFunc(allOwn(), func(own string) bool { return below(own, target) }) {
		return copysource.Finding{}, false
	}
	for i, text := range c.SourcePaths {
		value, known := s.expand(text)
		if !known || remote.MatchString(value) {
			continue
		}
		s.expander.looks += 1 + s.walker.context.tree.Len()/100
		matches, err := copysource.Docker(s.walker.context.tree, value)
		if err != nil {
			continue // there is another row for it
		}
		for _, m := range matches {
			into := target
			if !m.Node.Dir && (slash || len(matches)+len(c.SourcePaths) > 2 || s.exists(target)) {
				into = path.Join(target, path.Base(m.Name))
			}
			if name, found := s.landing(m, into); found {
				return copysource.Finding{Source: i, Name: name, Problem: copysource.Whole}, true
			}
		}
	}
	return copysource.Finding{}, false
}

// allOwn are the paths of the container itself, and the builder's.
func allOwn() []string { return slices.Concat(ownFiles(), ownDirectories(), []string{"/kaniko"}) }

// landing returns the entry of a match that comes to lie on a path of the
// container itself, if there is one.
func (s *site) landing(m copysource.Match, target string) (string, bool) {
	for _, own := range allOwn() {
		if !below(own, target) {
			continue
		}
		rest := strings.TrimPrefix(strings.TrimPrefix(own, target), "/")
		if rest == "" && !m.Node.Dir {
			return m.Name, true
		}
		if !m.Node.Dir {
			continue
		}
		node, found := s.walker.context.tree.Find(path.Join(m.Node.Path, rest))
		if found && (!node.Dir || own == "/kaniko" || len(s.walker.context.tree.Below(node.Path)) > 0) {
			return node.Path, true
		}
	}
	return "", false
}

// bringsOwn reports whether a COPY --from can bring files for paths of the
// container itself: of an image where it copies that path's own directory, of a
// stage where a RUN names such a file, or the stage's own.
func (s *site) bringsOwn(c copying) bool {
	if c.from == "" {
		return false
	}
	target, _, known := s.path(c.DestPath)
	if !known || target != "/" && target != "/etc" {
		return false
	}
	from, isStage := s.source(c.from)
	return slices.ContainsFunc(c.SourcePaths, func(text string) bool {
		value, known := s.expand(text)
		value = path.Join("/", value)
		if !known || !isStage {
			return known && (value == target || value == path.Join(target, "*"))
		}
		return s.walker.facts(from).hosts && (target == "/" || value != "/etc")
	})
}
