package preflight

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// pathRows are the constructs of VOLUME, of WORKDIR, and of stages, by the paths and
// numbers that they name.
func pathRows() []Row {
	return slices.Concat(stageRows(), workdirOwnerRows(), workdirRows(), volumeRows(), otherPathRows())
}

// volumeRows are the constructs of VOLUME, and of what is below one.
func volumeRows() []Row {
	return []Row{
		{
			ID:         "VolumeNewDirectory",
			Name:       "VOLUME of a new directory before COPY, ADD, WORKDIR or RUN",
			Example:    "FROM busybox\nVOLUME /new\nCOPY a /a\n",
			Chainguard: Refuse,
			Message:    "this Kaniko makes the directory of an earlier VOLUME, Docker does not",
			Advice:     "Move VOLUME to the end of the stage.",
			match: func(s *site) bool {
				_, workdir := s.command.(*instructions.WorkdirCommand)
				_, run := s.command.(*instructions.RunCommand)
				_, copies := s.copying()
				return (workdir || run || copies) && s.stage.newVolume
			},
		},
		{
			ID:                "TargetVolume",
			Name:              "COPY, ADD or WORKDIR below a VOLUME",
			Example:           "FROM busybox\nWORKDIR /data\nVOLUME /data\nCOPY a /data/a\n",
			Osscontainertools: Refuse,
			Message:           "Kaniko can drop what is written below a VOLUME after it",
			Advice:            "Move VOLUME to the end of the stage.",
			match: targets(func(s *site, target string) bool {
				return slices.ContainsFunc(s.stage.volumes, func(volume string) bool { return below(target, volume) })
			}),
		},
		{
			ID:                "RunNamesVolume",
			Name:              "RUN that names a VOLUME of an earlier line",
			Example:           "FROM busybox\nVOLUME /tmp\nRUN echo a > /tmp/a\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko drops what a RUN writes below a VOLUME of an earlier line",
			Advice:            "Move VOLUME to the end of the stage.",
			match: run(func(s *site, _ *instructions.RunCommand) bool {
				return s.namesVolume()
			}),
		},
		{
			ID:                "RunAfterVolume",
			Name:              "RUN after VOLUME",
			Example:           "FROM busybox\nWORKDIR /data\nVOLUME /data\nRUN echo a > /a\n",
			Chainguard:        Warn,
			Osscontainertools: Warn,
			Message:           "Kaniko drops what a RUN writes below a VOLUME of an earlier line",
			Advice:            "Move VOLUME to the end of the stage.",
			match: run(func(s *site, _ *instructions.RunCommand) bool {
				return len(s.stage.volumes) > 0 && !s.namesVolume()
			}),
		},
	}
}

// otherPathRows are the constructs of WORKDIR and of paths that are none.
func otherPathRows() []Row {
	return []Row{
		{
			ID:         "WorkdirSeveralAfterUser",
			Name:       "WORKDIR that makes several directories after USER",
			Example:    "FROM busybox\nUSER 1000:1000\nWORKDIR /new/a\n",
			Chainguard: Refuse,
			Message:    "this Kaniko gives only the last of the directories that it makes to the user, Docker all of them",
			Advice:     "Make the directories by WORKDIR before USER and chown them in a RUN.",
			match: func(s *site) bool {
				c, ok := s.command.(*instructions.WorkdirCommand)
				return ok && s.stage.user.known && !rootOwner(s.stage.user.value) && s.makesParents(c.Path)
			},
		},
		{
			ID:                "WindowsPath",
			Name:              "Windows paths",
			Example:           "# escape=`\nFROM busybox\nWORKDIR C:\\app\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "the path is one of Windows, and kiln builds for Linux alone",
			Advice:            "Write a path such as /app.",
			match:             windows,
		},
	}
}

// namesVolume reports whether an instruction has the path of an earlier VOLUME in
// its text, or with what its variables stand for. Where that is too long to be looked at
// it may.
func (s *site) namesVolume() bool {
	if len(s.stage.volumes) == 0 {
		return false
	}
	text, ok := s.replaced()
	if !ok {
		return true
	}
	text = s.text() + "\n" + text
	return slices.ContainsFunc(s.stage.volumes, func(volume string) bool {
		return volume != "/" && s.speaks(text, volume)
	})
}

// replaced is the text of an instruction with the plain variables that are known in it
// replaced. It counts as a document does; false says that all together are too long.
func (s *site) replaced() (text string, ok bool) {
	e := s.expander
	text = plainVariable.ReplaceAllStringFunc(s.text(), func(name string) string {
		found, _, _ := s.stage.variables.count(strings.Trim(name, "${}"), &e.steps)
		if e.documents > maxSize || !found.known {
			return name
		}
		e.documents += len(found.value)
		return found.value
	})
	return text, e.documents <= maxSize
}

// plainVariable finds $name and ${name}.
var plainVariable = regexp.MustCompile(`\$(?:[A-Za-z_][A-Za-z0-9_]*|\{[A-Za-z_][A-Za-z0-9_]*\})`)

// below reports whether target is directory or below it. Both are clean.
func below(target, directory string) bool {
	return target == directory || strings.HasPrefix(target, strings.TrimSuffix(directory, "/")+"/")
}

// targets matches a COPY, ADD or WORKDIR by the path that it writes.
func targets(match func(*site, string) bool) func(*site) bool {
	return func(s *site) bool {
		target, found := s.target()
		return found && match(s, target)
	}
}

// target is the path that a COPY, ADD or WORKDIR writes, where it is known.
func (s *site) target() (target string, found bool) {
	destination := ""
	if c, ok := s.copying(); ok {
		destination = c.DestPath
	} else if c, ok := s.command.(*instructions.WorkdirCommand); ok {
		destination = c.Path
	}
	if destination == "" {
		return "", false
	}
	target, _, known := s.path(destination)
	return target, known
}

var drive = regexp.MustCompile(`^[A-Za-z]:[\\/]`)

// windows matches a path with a drive letter.
func windows(s *site) bool {
	var paths []string
	if c, ok := s.copying(); ok {
		paths = append(slices.Clone(c.SourcePaths), c.DestPath)
	} else if c, ok := s.command.(*instructions.WorkdirCommand); ok {
		paths = []string{c.Path}
	}
	return slices.ContainsFunc(paths, drive.MatchString)
}

// usual are the directories that a Linux image has, all of root's and of mode
// 755 but for /root and /tmp.
func usual() []string {
	return []string{
		"/", "/bin", "/etc", "/home", "/lib", "/mnt", "/opt", "/root", "/sbin", "/srv", "/tmp", "/usr", "/usr/bin",
		"/usr/lib", "/usr/local", "/usr/local/bin", "/usr/local/lib", "/usr/local/sbin", "/usr/local/share",
		"/usr/sbin", "/usr/share", "/var", "/var/cache", "/var/lib", "/var/log", "/var/tmp",
	}
}

// exists reports whether a directory is taken to be there: by WORKDIR, because
// images have it, or because an earlier instruction names it.
func (s *site) exists(directory string) bool {
	if _, made := s.stage.owner(directory); made || directory == "/" {
		return true
	}
	if own := s.stage.root().brought; own != nil && own.workdir.known && below(own.workdir.value, directory) {
		return true
	}
	return s.stage.root().image != scratch && slices.Contains(usual(), directory) || s.named(directory)
}

// named reports whether an earlier instruction of the stage, or of one that it
// is built from, has the directory in its text.
func (s *site) named(directory string) bool {
	for stage := s.stage; stage != nil; stage = stage.base {
		for _, t := range stage.triggers[:stage.triggersDone] {
			if s.names(t.command, t.node.Original, directory) {
				return true
			}
		}
		for _, command := range s.walker.parsed[stage.index].Commands[:stage.done] {
			if s.names(command, s.walker.node(startLine(command.Location())).Original, directory) {
				return true
			}
		}
	}
	return false
}

// names reports whether a command has a directory in its text. That of ONBUILD
// does nothing in its own stage, and that of VOLUME makes none with Docker.
func (s *site) names(command instructions.Command, text, directory string) bool {
	s.expander.steps += 1 + len(text)/100
	switch command.(type) {
	case *instructions.VolumeCommand, *instructions.OnbuildCommand:
		return false
	}
	return strings.Contains(text, directory)
}

// makesParents reports whether writing to a path makes directories above it. A
// path that ends in a slash is itself a directory to be made.
func (s *site) makesParents(destination string) bool {
	target, slash, known := s.path(destination)
	if !known {
		return false
	}
	if s.exists(target) {
		return false
	}
	if slash {
		return true
	}
	return !s.exists(path.Dir(target))
}
