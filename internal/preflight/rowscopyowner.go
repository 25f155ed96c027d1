package preflight

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"kiln/internal/copysource"
)

// chownRows are the constructs of --chown.
func chownRows() []Row {
	return []Row{
		{
			ID:                "CopyChownOtherGroup",
			Name:              "COPY or ADD --chown of a user with another group than its own",
			Example:           "FROM busybox\nRUN adduser -D -G users app\nCOPY --chown=app a /a\n",
			Chainguard:        Mend,
			Osscontainertools: Mend,
			Message:           "Kaniko gives the files to a group of the user's number, Docker to the user's group",
			Advice:            "Name the group too, for example --chown=app:staff.",
			match: copies(func(s *site, c copying) bool {
				user, ok := s.nameAlone(c.chown)
				return ok && s.account(user).other
			}),
			mend: func(s *site, r *rewrite) bool {
				user, _ := s.nameAlone(r.copying.chown)
				group := s.account(user).group
				r.copying.chown = user + ":" + group
				return group != "" && s.literal(r.copying.chown)
			},
		},
		{
			ID:                "CopyChownName",
			Name:              "COPY or ADD --chown of a name without a group",
			Example:           "FROM busybox\nCOPY --chown=daemon a /a\n",
			Chainguard:        Warn,
			Osscontainertools: Warn,
			Message:           "Kaniko gives the files to a group of the user's number, Docker to the user's group, which is the same for most users",
			Advice:            "Name the group too, for example --chown=app:app.",
			match: copies(func(s *site, c copying) bool {
				user, ok := s.nameAlone(c.chown)
				return ok && !s.account(user).other
			}),
		},
		{
			ID:                "CopyChownLinks",
			Name:              "COPY or ADD --chown of a directory with symbolic links in it",
			Example:           "FROM busybox\nCOPY --chown=1000:1000 d /d\n",
			Context:           []string{"d/", "d/f", "d/l -> f"},
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko leaves symbolic links to root, Docker gives them the owner of --chown too",
			Advice:            "Leave the links out by .dockerignore and make them in a RUN, or chown the directory in a RUN.",
			find: func(s *site) (copysource.Finding, bool) {
				c, _ := s.copying()
				finding, found := finds(copysource.LinkBelow)(s)
				return finding, found && !rootOwner(c.chown)
			},
		},
	}
}

// directoryRows are the constructs of directories with bits or owners of their own.
func directoryRows() []Row {
	return []Row{
		{
			ID:                "CopyDirectorySetgid",
			Name:              "COPY or ADD of a directory with directories in it that have setuid or setgid bits",
			Example:           "FROM busybox\nCOPY d /d\n",
			Context:           []string{"d/", "d/e/ 2755"},
			Osscontainertools: Refuse,
			Message:           "this Kaniko drops the setuid and setgid bits of directories",
			Advice:            "Set them by chmod in a RUN.",
			find: func(s *site) (copysource.Finding, bool) {
				c, _ := s.copying()
				finding, found := finds(copysource.SetBelow)(s)
				return finding, found && c.chmod == ""
			},
		},
		{
			ID:                "CopyFromSetuid",
			Name:              "COPY --from of a directory in which a stage sets setuid bits",
			Example:           "FROM busybox AS a\nRUN mkdir /d && touch /d/f && chmod 4755 /d/f\nFROM busybox\nCOPY --from=a /d /d\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko drops the setuid bits of files in a directory that is copied",
			Advice:            "Copy the file by its name, or set them by chmod in a RUN of this stage.",
			match:             copies(fromWhereSet(setuidBit)),
		},
		{
			ID:                "CopyFromSetgid",
			Name:              "COPY --from of a directory in which a stage sets setgid bits",
			Example:           "FROM busybox AS a\nRUN mkdir -p /d/e && chmod 2775 /d/e\nFROM busybox\nCOPY --from=a /d /d\n",
			Osscontainertools: Refuse,
			Message:           "this Kaniko drops the setgid bits of what lies in a directory that is copied",
			Advice:            "Copy a file by its name, or set them by chmod in a RUN of this stage.",
			match:             copies(fromWhereSet(setgidBit)),
		},
		{
			ID:                "CopyOntoOwner",
			Name:              "COPY or ADD of a directory onto one that has another owner",
			Example:           "FROM busybox\nRUN mkdir /app && chown 1000:1000 /app\nCOPY . /app/\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko gives a directory that exists the owner of the copied one, Docker leaves it as it is",
			Advice:            "Copy into a new directory, or copy the files by name or with a wildcard.",
			match:             copies(overwritesOwner),
		},
	}
}

func rootOwner(owner string) bool {
	return slices.Contains([]string{"", "0", "0:0", "root", "root:root", "root:0", "0:root"}, owner)
}

// nameAlone returns the user of a --chown that names one without a group.
func (s *site) nameAlone(chown string) (string, bool) {
	value, known := s.expand(chown)
	user, group, _ := strings.Cut(value, ":")
	return user, known && user != "" && group == "" && user != "root" && !allDigits(user)
}

// overwritesOwner reports whether a directory is copied onto one that evidently
// exists and gets another owner by it.
func overwritesOwner(s *site, c copying) bool {
	target, _, known := s.path(c.DestPath)
	if !known || !s.copiesDirectory(c) && !s.matchesDirectory(c) {
		return false
	}
	owner, made := s.stage.owner(target)
	if made && (!rootOwner(owner) || !rootOwner(c.chown)) {
		return true
	}
	if path.Dir(target) == "/home" {
		return true
	}
	return !rootOwner(c.chown) && s.exists(target) || s.gives(target)
}

// matchesDirectory reports whether a pattern matches a directory of the context.
func (s *site) matchesDirectory(c copying) bool {
	if s.walker.context.tree == nil || c.from != "" {
		return false
	}
	return slices.ContainsFunc(c.SourcePaths, func(source string) bool {
		value, known := s.expand(source)
		if !known || !copysource.Wild(value) {
			return false
		}
		s.expander.looks += 1 + s.walker.context.tree.Len()
		matches, err := copysource.Docker(s.walker.context.tree, value)
		return err == nil && slices.ContainsFunc(matches, func(m copysource.Match) bool { return m.Node.Dir })
	})
}

// gives reports whether an earlier RUN names a directory, or one above it, and
// changes owners.
func (s *site) gives(directory string) bool {
	return directory != "/" && slices.ContainsFunc(s.stage.owning, func(text string) bool {
		return s.speaks(text, directory) && changesOwner.MatchString(text)
	})
}

// changesOwner finds what gives files another owner.
var changesOwner = regexp.MustCompile(`\b(chown|chgrp|useradd|adduser)\b|\binstall\b[^;&|]*\s-[a-zA-Z]*[og]`)

// fromWhereSet reports whether a COPY --from names a stage of which a RUN, or one
// of what it is built from, says by its text that something in a source gets such
// a mode. Files that are copied by name keep theirs.
func fromWhereSet(mode *regexp.Regexp) func(*site, copying) bool {
	return func(s *site, c copying) bool {
		from, found := s.source(c.from)
		return found && slices.ContainsFunc(c.SourcePaths, func(source string) bool {
			value, known := s.expand(source)
			directory := path.Join("/", value)
			if at := strings.IndexAny(directory, "*?["); at >= 0 {
				directory = path.Dir(directory[:at])
			}
			return known && s.anyScript(from, func(text string) bool {
				within := strings.Contains(text, strings.TrimSuffix(directory, "/")+"/") || strings.Contains(text, "cd "+directory)
				return within && mode.MatchString(text)
			})
		})
	}
}

// anyScript reports whether the text of a RUN of a stage, its heredocs included, or
// of one that it is built from, is one that is looked for.
func (s *site) anyScript(from *stage, says func(text string) bool) bool {
	for ; from != nil; from = from.base {
		for _, text := range s.walker.scripts(from) {
			if s.expander.steps += 1 + len(text)/100; says(text) {
				return true
			}
		}
	}
	return false
}

// setuidBit and setgidBit find modes with these bits.
var (
	setuidBit = regexp.MustCompile(`\b(chmod|install)\b[^;&|\n]*\s(-m\s*|--mode[= ])?(0?[4-7][0-7]{3}\b|[augo,=+rwxX-]*(u[+=]|\s?\+|a[+=])[rwxX]*s)`)
	setgidBit = regexp.MustCompile(`\b(chmod|mkdir|install)\b[^;&|\n]*\s(-m\s*|--mode[= ])?(0?[2367][0-7]{3}\b|[augo,=+rwxX-]*g?[+=][rwxX]*s)`)
)
