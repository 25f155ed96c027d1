package preflight

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// copyPlaceRows are the constructs of COPY, ADD and WORKDIR by the paths and
// stages that they name.
func copyPlaceRows() []Row {
	return slices.Concat(copySourceRows(), copyStageRows(), workdirRows())
}

func copySourceRows() []Row {
	return []Row{
		{
			Name:              "COPY or ADD of ../",
			Example:           "FROM busybox\nCOPY ../a /a\n",
			Chainguard:        Mend,
			Osscontainertools: Mend,
			Message:           "Docker takes ../ at the top of the context for the top, Kaniko fails",
			Advice:            "Leave the ../ out: nothing above the directory of the Dockerfile is in the context.",
			mend:              mendAbove,
			match: copies(func(s *site, c copying) bool {
				return c.from == "" && slices.ContainsFunc(c.SourcePaths, func(source string) bool {
					value, known := s.expand(source)
					return known && above(path.Clean(value))
				})
			}),
		},
		{
			Name:              "COPY or ADD of several files to a path without a slash at its end",
			Example:           "FROM busybox\nCOPY a b /new\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko copies several files only to a directory that is there or to a path that ends in a slash",
			Advice:            "Write a slash at the end of the target.",
			match: copies(func(s *site, c copying) bool {
				target, slash, known := s.path(c.DestPath)
				return len(c.SourcePaths)+len(c.SourceContents) > 1 && known && !slash && !s.exists(target)
			}),
		},
		{
			Name:              "COPY or ADD to a new directory that is written with /. at its end",
			Example:           "FROM busybox\nCOPY a /new/.\n",
			Chainguard:        Mend,
			Osscontainertools: Mend,
			Message:           "Docker makes the target a directory, Kaniko can make it a file",
			Advice:            "Write the target with / instead of /. at its end.",
			mend:              mendDot,
			match: copies(func(s *site, c copying) bool {
				value, _ := s.expand(c.DestPath)
				target, _, known := s.path(c.DestPath)
				return known && strings.HasSuffix(value, "/.") && !s.copiesDirectory(c) && !s.exists(target)
			}),
		},
		{
			Name:              "COPY or ADD --chown with a group alone",
			Example:           "FROM busybox\nCOPY --chown=:12 a /a\n",
			Chainguard:        Mend,
			Osscontainertools: Mend,
			Message:           "Kaniko fails without a user in --chown",
			Advice:            "Name the user too, for example --chown=0:12.",
			mend:              mendGroup,
			match: copies(func(s *site, c copying) bool {
				owner, known := s.expand(c.chown)
				return known && strings.HasPrefix(owner, ":")
			}),
		},
	}
}

// copyStageRows are the constructs of stages and of COPY from them.
func copyStageRows() []Row {
	return []Row{
		{
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
			Name:       "ONBUILD COPY --from in a stage that another one is built from",
			Example:    "FROM busybox AS a\nRUN mkdir /d && touch /d/a /d/b\nFROM busybox AS b\nONBUILD COPY --from=a /d /d\nFROM b\nCOPY --from=a /d/a /a\n",
			Chainguard: Refuse,
			Message:    "this Kaniko keeps of another stage or image only what COPY names, not what a trigger of a stage names",
			Advice:     "Write the COPY in the stages themselves.",
			match: copies(func(s *site, c copying) bool {
				return c.from != "" && s.trigger != nil && s.trigger.ofStage && !s.keeps(c)
			}),
		},
		{
			Name:       "a stage that nothing uses, beside one that is used by its number",
			Example:    "FROM busybox AS a\nRUN true\nFROM busybox\nRUN true\nFROM busybox\nCOPY --from=1 /bin/true /t\n",
			Chainguard: Mend,
			Message:    "this Kaniko loses count of the stages when it leaves one out",
			Advice:     "Name the stage with FROM ... AS and copy from that name, or remove the stage that nothing uses.",
			mend:       mendNumber,
			match: func(s *site) bool {
				c, ok := s.copying()
				_, err := strconv.Atoi(c.from)
				return ok && err == nil && s.walker.unused()
			},
		},
		{
			Name:       "a stage that nothing uses, and no other stage is copied from",
			Example:    "FROM busybox AS a\nRUN true\nFROM busybox\nRUN true\n",
			Chainguard: Warn,
			Message:    "this Kaniko builds all stages of a Dockerfile whose last one copies from none, so one that nothing uses can fail the build",
			Advice:     "Remove the stage that nothing uses.",
			match: func(s *site) bool {
				if s.stage == nil || s.command != nil || !s.walker.unused() {
					return false
				}
				return s.stage.index == len(s.walker.stages)-1 && !s.walker.copiesFromStage(s.stage)
			},
		},
	}
}

// workdirRows are the constructs of WORKDIR by how the path is written.
func workdirRows() []Row {
	return []Row{
		{
			Name:              "WORKDIR with .. behind a name",
			Example:           "FROM busybox\nWORKDIR /a/../b\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Docker makes the directory that .. leads out of again, Kaniko does not",
			Advice:            "Write the path without it.",
			match: func(s *site) bool {
				c, ok := s.command.(*instructions.WorkdirCommand)
				if !ok {
					return false
				}
				value, known := s.expand(c.Path)
				return known && leadsOut.MatchString(value)
			},
		},
	}
}

// leadsOut finds a name that .. follows.
var leadsOut = regexp.MustCompile(`[^/.][^/]*/+\.\.(/|$)`)

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

// copiesFromStage reports whether a stage takes something from another one than
// its base.
func (w *walker) copiesFromStage(s *stage) bool {
	if s.base == nil {
		return len(s.needs) > 0
	}
	return len(s.needs) > 1
}
