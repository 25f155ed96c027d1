package preflight

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func copyModeRows() []Row {
	return []Row{
		{
			ID:         "CopyChmodLetters",
			Name:       "COPY or ADD --chmod with letters",
			Example:    "FROM busybox\nCOPY --chmod=u=rwx,go=rx a /a\n",
			Chainguard: Mend,
			Message:    "this Kaniko only knows octal modes in --chmod",
			Advice:     "Write the mode as a number, for example --chmod=755.",
			mend:       mendMode,
			match: copies(func(s *site, c copying) bool {
				mode, known := s.expand(c.chmod)
				return known && mode != "" && !allDigits(mode)
			}),
		},
		{
			ID:         "CopyChmodSpecialBits",
			Name:       "COPY or ADD --chmod with setuid, setgid or sticky bit",
			Example:    "FROM busybox\nCOPY --chmod=2755 a /a\n",
			Chainguard: Refuse,
			Message:    "this Kaniko drops the setuid, setgid and sticky bits of --chmod",
			Advice:     "Set them by chmod in a RUN.",
			match: copies(func(s *site, c copying) bool {
				mode := strings.TrimLeft(s.mode(c.chmod), "0")
				return allDigits(mode) && len(mode) > 3
			}),
		},
		{
			ID:                "CopyChmodDirectoryLetters",
			Name:              "COPY or ADD --chmod of a directory with letters that change 755",
			Example:           "FROM busybox\nCOPY --chmod=u=rwx,go= d /d\n",
			Context:           []string{"d/"},
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko makes the target with the mode of the letters, Docker with 755",
			Advice:            "Make the directory first, by WORKDIR or a RUN, or set the mode by chmod in a RUN.",
			match: copies(func(s *site, c copying) bool {
				target, _, known := s.path(c.DestPath)
				value, _ := s.expand(c.chmod)
				return known && value != "" && !allDigits(value) && s.copiesDirectory(c) && !s.exists(target) &&
					s.mode(value) != "755" && !harmless.MatchString(value)
			}),
		},
		{
			ID:                "CopyChmodDirectoryWritable",
			Name:              "COPY or ADD --chmod of a directory, that lets others write to it",
			Example:           "FROM busybox\nCOPY --chmod=777 d /d\n",
			Context:           []string{"d/"},
			Osscontainertools: Refuse,
			Message:           "this Kaniko masks the mode of the target by 022 and keeps the sticky bit, Docker takes it as it is",
			Advice:            "Make the directory first, by WORKDIR or a RUN, or set the mode by chmod in a RUN.",
			match: copies(func(s *site, c copying) bool {
				target, _, known := s.path(c.DestPath)
				value, _ := s.expand(c.chmod)
				mode, err := strconv.ParseUint(value, 8, 32)
				return known && s.copiesDirectory(c) && !s.exists(target) && err == nil && mode&0o1022 != 0
			}),
		},
	}
}

// copyOntoRows are the constructs of directories that a copy makes or meets.
func copyOntoRows() []Row {
	return []Row{
		{
			ID:                "CopyChmodMakesDirectories",
			Name:              "COPY or ADD --chmod that makes directories",
			Example:           "FROM busybox\nCOPY --chmod=600 a /new/a\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko gives the directories that it makes for the target the mode 755, Docker that of --chmod",
			Advice:            "Make the directory first, by WORKDIR or a RUN, or set the mode by chmod in a RUN.",
			match: copies(func(s *site, c copying) bool {
				return !slices.Contains([]string{"", "755", "0755"}, s.mode(c.chmod)) && s.makesParents(c.DestPath)
			}),
		},
		{
			ID:         "CopyOntoDirectory",
			Name:       "COPY or ADD of a directory onto one with an owner or a mode of its own",
			Example:    "FROM busybox\nCOPY . /root/\n",
			Chainguard: Refuse,
			Message:    "this Kaniko gives a directory that exists the owner and mode of the copied one, Docker leaves it as it is",
			Advice:     "Copy into a new directory, or copy the files by name or with a wildcard.",
			match:      copies(overwritesDirectory),
		},
		{
			ID:         "CopyChownMakesDirectories",
			Name:       "COPY or ADD --chown of a directory that makes further ones",
			Example:    "FROM busybox\nCOPY --chown=1000:1000 . /new/x\n",
			Chainguard: Refuse,
			Message:    "this Kaniko leaves the directories that it makes above the target to root, Docker gives them the owner of --chown",
			Advice:     "Make the directory and chown it in a RUN first.",
			match: copies(func(s *site, c copying) bool {
				return !rootOwner(c.chown) && s.copiesDirectory(c) && s.makesParents(strings.TrimRight(c.DestPath, "/"))
			}),
		},
	}
}

// harmless finds letters that make 755 of 755, but for what is masked.
var harmless = regexp.MustCompile(`^([ugoa]*\+[rwxX]+|[go]+-w)(,([ugoa]*\+[rwxX]+|[go]+-w))*$`)

// overwritesDirectory reports whether a directory is copied onto one that
// exists and differs from it.
func overwritesDirectory(s *site, c copying) bool {
	target, _, known := s.path(c.DestPath)
	if !known || !s.copiesDirectory(c) && !s.matchesDirectory(c) {
		return false
	}
	owner, made := s.stage.owner(target)
	if made && !rootOwner(owner) || strings.HasPrefix(target, "/home/") && (copiesDirectory(c) || path.Dir(target) == "/home") {
		return true
	}
	if slices.Contains([]string{"/root", "/tmp", "/var/tmp"}, target) {
		return true
	}
	return (!rootOwner(c.chown) || c.chmod != "" && c.chmod != "755" && c.chmod != "0755") && s.exists(target)
}
