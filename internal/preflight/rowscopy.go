package preflight

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// copying is what COPY and ADD have in common.
type copying struct {
	instructions.SourcesAndDest
	add          bool
	from         string
	chown, chmod string
}

// copying returns the COPY or ADD of a site.
func (s *site) copying() (copying, bool) {
	switch c := s.command.(type) {
	case *instructions.CopyCommand:
		return copying{SourcesAndDest: c.SourcesAndDest, from: c.From, chown: c.Chown, chmod: c.Chmod}, true
	case *instructions.AddCommand:
		return copying{SourcesAndDest: c.SourcesAndDest, add: true, chown: c.Chown, chmod: c.Chmod}, true
	}
	return copying{}, false
}

// copies matches a COPY or ADD.
func copies(match func(*site, copying) bool) func(*site) bool {
	return func(s *site) bool {
		c, ok := s.copying()
		return ok && match(s, c)
	}
}

// adds matches an ADD.
func adds(match func(*site, *instructions.AddCommand) bool) func(*site) bool {
	return func(s *site) bool {
		c, ok := s.command.(*instructions.AddCommand)
		return ok && match(s, c)
	}
}

// copyRows are the constructs of COPY and ADD but for their targets.
func copyRows() []Row {
	return slices.Concat(addRows(), copyFlagRows(), copyModeRows(), copyOntoRows(), ownerRows(), linkRows(), copyPlaceRows())
}

func copyFlagRows() []Row {
	return []Row{
		{
			Name:       "COPY or ADD heredoc",
			Example:    "FROM busybox\nCOPY <<EOF /a\nhello\nEOF\n",
			Chainguard: Mend,
			Message:    "this Kaniko does not know heredocs in COPY and ADD",
			Advice:     "Put the text into a file beside the Dockerfile and COPY that; where it has no variables, quotes around the heredoc's name do too.",
			match:      copies(func(_ *site, c copying) bool { return len(c.SourceContents) > 0 }),
			mend:       mendDocuments,
		},
		{
			Name:              "COPY --parents",
			Example:           "FROM busybox\nCOPY --parents a/b /x/\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko ignores --parents: the files would all land in one directory",
			Advice:            "Write one COPY for each directory.",
			match: func(s *site) bool {
				c, ok := s.command.(*instructions.CopyCommand)
				return ok && c.Parents
			},
		},
		{
			Name:              "COPY or ADD --exclude",
			Example:           "FROM busybox\nCOPY --exclude=*.md . /x/\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko ignores --exclude: the files would be copied",
			Advice:            "Exclude them in .dockerignore.",
			match: func(s *site) bool {
				switch c := s.command.(type) {
				case *instructions.CopyCommand:
					return len(c.ExcludePatterns) > 0
				case *instructions.AddCommand:
					return len(c.ExcludePatterns) > 0
				}
				return false
			},
		},
	}
}

func copyModeRows() []Row {
	return []Row{
		{
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
			Name:       "COPY or ADD of a directory onto one with an owner or a mode of its own",
			Example:    "FROM busybox\nCOPY . /root/\n",
			Chainguard: Refuse,
			Message:    "this Kaniko gives a directory that exists the owner and mode of the copied one, Docker leaves it as it is",
			Advice:     "Copy into a new directory, or copy the files by name or with a wildcard.",
			match:      copies(overwritesDirectory),
		},
		{
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

// addRows are the constructs of ADD alone.
func addRows() []Row {
	return []Row{
		{
			Name:              "ADD --checksum",
			Example:           "FROM busybox\nADD --checksum=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 https://example.com/a /a\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko does not verify --checksum: whatever the server sends would be taken",
			Advice:            "Download and verify in a RUN, for example with sha256sum -c.",
			match:             adds(func(_ *site, c *instructions.AddCommand) bool { return c.Checksum != "" }),
		},
		{
			Name:              "ADD of a Git repository",
			Example:           "FROM busybox\nADD https://example.com/a.git /a\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko does not clone Git repositories: it would add the web page of that address, or fail",
			Advice:            "Use git clone in a RUN.",
			match: adds(func(s *site, c *instructions.AddCommand) bool {
				return c.KeepGitDir != nil || slices.ContainsFunc(c.SourcePaths, s.gitSource)
			}),
		},
		{
			Name:              "ADD --unpack",
			Example:           "FROM busybox\nADD --unpack=true https://example.com/a.tar /a\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko does not know --unpack",
			Advice:            "Download and unpack in a RUN; use COPY for an archive that is to stay one.",
			match:             adds(func(_ *site, c *instructions.AddCommand) bool { return c.Unpack != nil }),
		},
		{
			Name:              "ADD --chown or --chmod of an archive",
			Example:           "FROM busybox\nADD --chown=1000:1000 a.tar /a\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko unpacks an archive with the owners that it holds, whatever --chown and --chmod say",
			Advice:            "Change owner and mode in a RUN.",
			match: copies(func(s *site, c copying) bool {
				return c.add && (c.chown != "" || c.chmod != "") && slices.ContainsFunc(c.SourcePaths, func(source string) bool {
					name, known := s.expand(source)
					return known && archive.MatchString(name) && !strings.Contains(name, "://")
				})
			}),
		},
	}
}

// archive finds the names of archives that ADD unpacks.
var archive = regexp.MustCompile(`\.(tar|tgz|tbz2?|txz|tar\.(gz|bz2|xz|zst))$`)

// gitReference finds the sources that Docker clones (Dockerfile reference, "ADD:
// Adding files from a Git repository").
var gitReference = regexp.MustCompile(`^(git://|git@|ssh://|https?://[^#?]+\.git([#?]|$))`)

func (s *site) gitSource(source string) bool {
	value, known := s.expand(source)
	return known && gitReference.MatchString(value)
}

// copiesDirectory reports whether a source is evidently a directory.
func copiesDirectory(c copying) bool {
	return slices.ContainsFunc(c.SourcePaths, func(source string) bool {
		return source == "." || source == ".." || strings.HasSuffix(source, "/") || strings.HasSuffix(source, "/.")
	})
}

func rootOwner(owner string) bool {
	return slices.Contains([]string{"", "0", "0:0", "root", "root:root", "root:0", "0:root"}, owner)
}

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
