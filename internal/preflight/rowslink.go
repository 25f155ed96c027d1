package preflight

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// linkRows are the constructs of COPY and ADD --link.
func linkRows() []Row {
	return []Row{{
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
