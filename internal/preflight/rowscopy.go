package preflight

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// copying is what COPY and ADD have in common.
type copying struct {
	instructions.SourcesAndDest
	add          bool
	from         string
	chown, chmod string
	// noOwner and noMode are whether --chown and --chmod are there and come to nothing.
	noOwner, noMode bool
}

// copying returns the COPY or ADD of a site.
func (s *site) copying() (copying, bool) {
	var found copying
	switch c := s.command.(type) {
	case *instructions.CopyCommand:
		found = copying{SourcesAndDest: c.SourcesAndDest, from: c.From, chown: c.Chown, chmod: c.Chmod}
	case *instructions.AddCommand:
		found = copying{SourcesAndDest: c.SourcesAndDest, add: true, chown: c.Chown, chmod: c.Chmod}
	default:
		return found, false
	}
	if s.blank(found.chown) {
		found.chown, found.noOwner = "", true
	}
	if s.blank(found.chmod) {
		found.chmod, found.noMode = "", true
	}
	return found, true
}

// blank reports whether a flag is there and empty once its variables are replaced.
func (s *site) blank(flag string) bool {
	if !strings.Contains(flag, "$") || s.stage == nil {
		return false
	}
	value, known := s.expand(flag)
	return known && value == ""
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

// copyRows are the constructs of COPY and ADD, with what WORKDIR shares of them. Their
// order is that in which an instruction is written anew.
func copyRows() []Row {
	return slices.Concat(addRows(), copyFlagRows(), emptyFlagRows(), copyModeRows(), copyOntoRows(), chownRows(), directoryRows(), linkRows(),
		copySourceRows(), copyFromRows(), contextRows(), patternRows(), whiteoutRows(), archiveRows(), archiveEntryRows(), containerRows(), copyOwnRows())
}

func copyFlagRows() []Row {
	return []Row{
		{
			ID:         "CopyHeredoc",
			Name:       "COPY or ADD heredoc",
			Example:    "FROM busybox\nCOPY <<EOF /a\nhello\nEOF\n",
			Chainguard: Mend,
			Message:    "this Kaniko does not know heredocs in COPY and ADD",
			Advice:     "Put the text into a file beside the Dockerfile and COPY that; where it has no variables, quotes around the heredoc's name do too.",
			match:      copies(func(_ *site, c copying) bool { return len(c.SourceContents) > 0 }),
			mend:       mendDocuments,
		},
		{
			ID:                "CopyParents",
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
			ID:                "CopyExclude",
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

// emptyFlagRows are the constructs of flags without a value. What is written has no such
// flag.
func emptyFlagRows() []Row {
	return []Row{
		{
			ID:                "CopyChownEmpty",
			Name:              "COPY or ADD --chown of a variable that is empty",
			Example:           "FROM busybox\nARG OWNER=\nCOPY --chown=$OWNER a /a\n",
			Chainguard:        Mend,
			Osscontainertools: Mend,
			Message:           "Kaniko fails at the flag, Docker goes on as if it were not there",
			Advice:            "Give the variable a value, or leave the flag out.",
			match:             copies(func(_ *site, c copying) bool { return c.noOwner }),
			mend:              func(*site, *rewrite) bool { return true },
		},
		{
			ID:                "CopyChmodEmpty",
			Name:              "COPY or ADD --chmod of a variable that is empty",
			Example:           "FROM busybox\nARG MODE=\nCOPY --chmod=$MODE a /a\n",
			Chainguard:        Mend,
			Osscontainertools: Mend,
			Message:           "Kaniko fails at the flag, Docker goes on as if it were not there",
			Advice:            "Give the variable a value, or leave the flag out.",
			match:             copies(func(_ *site, c copying) bool { return c.noMode }),
			mend:              func(*site, *rewrite) bool { return true },
		},
	}
}

// copiesDirectory reports whether a source is evidently a directory.
func copiesDirectory(c copying) bool {
	return slices.ContainsFunc(c.SourcePaths, func(source string) bool {
		return source == "." || source == ".." || strings.HasSuffix(source, "/") || strings.HasSuffix(source, "/.")
	})
}

// linkRows are the constructs of COPY and ADD --link.
func linkRows() []Row {
	return []Row{{
		ID:                "CopyLinkChownName",
		Name:              "COPY or ADD --link --chown of a name",
		Example:           "FROM busybox\nCOPY --link --chown=daemon:daemon a /a\n",
		Chainguard:        Refuse,
		Osscontainertools: Refuse,
		Message:           "Docker knows no names of users and groups with --link, so docker build would fail too",
		Advice:            "Leave --link out: nothing reuses the layer.",
		match: copies(func(s *site, c copying) bool {
			value, known := s.expand(c.chown)
			return s.links() && known && strings.Trim(value, "0123456789:") != ""
		}),
	}, {
		ID:                "CopyLinkDirectory",
		Name:              "COPY or ADD --link below a directory that is a link, or has an owner or a mode of its own",
		Example:           "FROM busybox\nRUN mkdir /real && ln -s real /data\nCOPY --link a /data/a\n",
		Chainguard:        Refuse,
		Osscontainertools: Refuse,
		Message:           "with --link Docker makes the directories above the target anew, of mode 755 and root's; Kaniko goes by those that are there",
		Advice:            "Leave --link out: nothing reuses the layer.",
		match: copies(func(s *site, c copying) bool {
			target, slash, known := s.path(c.DestPath)
			if !s.links() || !known {
				return false
			}
			if !slash && !s.copiesDirectory(c) {
				target = path.Dir(target)
			}
			return s.peculiar(target)
		}),
	}}
}

// links reports whether a COPY or ADD has --link.
func (s *site) links() bool {
	switch c := s.command.(type) {
	case *instructions.CopyCommand:
		return c.Link
	case *instructions.AddCommand:
		return c.Link
	}
	return false
}

// moded are directories of most images that are links, or not of mode 755.
func moded() []string {
	return []string{"/bin", "/lib", "/lib64", "/root", "/sbin", "/tmp", "/var/lock", "/var/run", "/var/tmp"}
}

// peculiar reports whether a directory, or one above it, is evidently a link, or
// has an owner or a mode of its own.
func (s *site) peculiar(directory string) bool {
	for ; directory != "/"; directory = path.Dir(directory) {
		owner, _ := s.stage.owner(directory)
		switch {
		case slices.Contains(moded(), directory), !rootOwner(owner), path.Dir(directory) == "/home":
			return true
		case slices.ContainsFunc(s.stage.owning, func(text string) bool { return s.speaks(text, directory) }):
			return true
		}
	}
	return false
}

// speaks reports whether a text has a directory in it.
func (s *site) speaks(text, directory string) bool {
	s.expander.steps += 1 + len(text)/100
	return strings.Contains(text, directory)
}

// changesDirectory finds what makes links, or gives files another owner or mode.
var changesDirectory = regexp.MustCompile(`\b(chown|chgrp|chmod|useradd|adduser|ln|install|umask)\b|\bmkdir\b[^;&|\n]*\s-(m|-mode)`)
