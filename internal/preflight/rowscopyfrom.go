package preflight

import (
	"path"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// copyFromRows are the constructs of COPY --from.
func copyFromRows() []Row {
	return []Row{
		{
			ID:                "CopyFromRoot",
			Name:              "COPY --from of a stage's whole root",
			Example:           "FROM busybox AS a\nRUN true\nFROM scratch\nCOPY --from=a / /\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko copies its own /proc, /sys and /dev with the root of a stage, and fails",
			Advice:            "Name the directories, or build the last stage FROM that one.",
			match: copies(func(s *site, c copying) bool {
				return s.walker.namesStage(c.from) && slices.ContainsFunc(c.SourcePaths, func(source string) bool {
					value, known := s.expand(source)
					value = path.Join("/", value)
					return known && (value == "/" || value == "/*")
				})
			}),
		},
		{
			ID:                "CopyFromOSRelease",
			Name:              "COPY --from of /etc/os-release",
			Example:           "FROM busybox AS a\nRUN true\nFROM busybox\nCOPY --from=a /etc/os-release /r\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "it is a symbolic link in most images: Docker copies what it leads to, Kaniko the link",
			Advice:            "Copy /usr/lib/os-release.",
			match: copies(func(s *site, c copying) bool {
				return c.from != "" && slices.ContainsFunc(c.SourcePaths, func(source string) bool {
					value, known := s.expand(source)
					return known && path.Join("/", value) == "/etc/os-release"
				})
			}),
		},
		{
			ID:                "CopyFromCase",
			Name:              "COPY --from of a stage in other letters than it is named",
			Example:           "FROM busybox AS a\nRUN true\nFROM busybox\nCOPY --from=A /bin/true /t\n",
			Osscontainertools: Refuse,
			Message:           "Kaniko knows stages by their names in lower case alone",
			Advice:            "Write the name of the stage in lower case.",
			match: copies(func(s *site, c copying) bool {
				return s.walker.namesStage(c.from) && c.from != strings.ToLower(c.from)
			}),
		},
		{
			ID:         "OnbuildCopyFrom",
			Name:       "ONBUILD COPY --from in a stage that another one is built from",
			Example:    "FROM busybox AS a\nRUN mkdir /d && touch /d/a /d/b\nFROM busybox AS b\nONBUILD COPY --from=a /d /d\nFROM b\nCOPY --from=a /d/a /a\n",
			Chainguard: Refuse,
			Message:    "this Kaniko keeps of another stage or image only what COPY names, not what a trigger of a stage names",
			Advice:     "Write the COPY in the stages themselves.",
			match: copies(func(s *site, c copying) bool {
				return c.from != "" && s.trigger != nil && s.trigger.ofStage && !s.keeps(c)
			}),
		},
	}
}

// namesStage reports whether a --from names a stage.
func (w *walker) namesStage(from string) bool {
	_, found := w.origin(from)
	return found
}

// keeps reports whether the instructions of used stages copy all that a COPY
// --from names too.
func (s *site) keeps(c copying) bool {
	return !slices.ContainsFunc(c.SourcePaths, func(source string) bool {
		return strings.Contains(source, "$") || !slices.ContainsFunc(s.walker.stages, func(stage *stage) bool {
			return stage.used && s.copiesToo(stage, c.from, source)
		})
	})
}

// copiesToo reports whether a stage copies a source from the same place. What it
// looks at counts: both can be many.
func (s *site) copiesToo(stage *stage, from, source string) bool {
	return slices.ContainsFunc(s.walker.parsed[stage.index].Commands, func(command instructions.Command) bool {
		c, ok := command.(*instructions.CopyCommand)
		if s.expander.steps++; !ok || c.From != from || s.expander.steps > maxSteps {
			return false
		}
		s.expander.steps += len(c.SourcePaths)
		return slices.Contains(c.SourcePaths, source)
	})
}
