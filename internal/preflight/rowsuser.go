package preflight

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"kiln/internal/copysource"
)

// userRows are the constructs of RUN after USER.
func userRows() []Row {
	return []Row{
		{
			Name:       "RUN after USER with a group",
			Example:    "FROM busybox\nUSER 1000:1001\nRUN touch /tmp/a\n",
			Chainguard: Refuse,
			Message:    "this Kaniko runs the command with the user's own group, not with the one that USER names",
			Advice:     "Make it the user's primary group and leave it out of USER, or set USER after the last RUN.",
			match:      run(func(s *site, _ *instructions.RunCommand) bool { return s.foreignGroup() }),
		},
		{
			Name:              "RUN after USER of a known user with another group than its own",
			Example:           "FROM busybox\nUSER daemon:mail\nRUN id -G > /tmp/a\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko leaves the user its own groups, with Docker it has the one that USER names alone",
			Advice:            "Make it the user's primary group and leave it out of USER, or set USER after the last RUN.",
			match: run(func(s *site, _ *instructions.RunCommand) bool {
				user, group, _ := strings.Cut(s.stage.user.value, ":")
				return s.foreignGroup() && user != group && (!allDigits(user) || strings.Trim(user, "0") == "" || s.likely(user))
			}),
		},
		{
			Name:              "RUN after USER with a number",
			Example:           "FROM busybox\nUSER 4711\nRUN touch /tmp/a\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko gives a user without an entry in /etc/passwd a group of the same number, Docker the group 0",
			Advice:            "Write USER with a group, if Kaniko is of osscontainertools, or add the user with adduser in a RUN and name it, or set USER after the last RUN.",
			match:             run(func(s *site, _ *instructions.RunCommand) bool { return s.numericUser() }),
		},
	}
}

// ownerRows are the constructs by which files get an owner.
func ownerRows() []Row {
	return slices.Concat(workdirOwnerRows(), chownRows(), directoryRows())
}

// workdirOwnerRows are the constructs of WORKDIR after USER.
func workdirOwnerRows() []Row {
	return []Row{
		{
			Name:              "WORKDIR of a new directory after USER of a user with another group than its own",
			Example:           "FROM busybox\nRUN adduser -D -G users app\nUSER app\nWORKDIR /new\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko gives the directory to a group of the user's number, Docker to the user's group",
			Advice:            "Write USER with the group too, or make the directory and chown it in a RUN before USER.",
			match: makesWorkdir(func(s *site, user, group string) bool {
				return group == "" && !allDigits(user) && s.account(user).other
			}),
		},
		{
			Name:              "WORKDIR of a new directory after USER of a name",
			Example:           "FROM busybox\nUSER daemon\nWORKDIR /new\n",
			Chainguard:        Warn,
			Osscontainertools: Warn,
			Message:           "Kaniko gives the directory to a group of the user's number, Docker to the user's group, which is the same for most users",
			Advice:            "Where it matters, write USER with the group too.",
			match: makesWorkdir(func(s *site, user, group string) bool {
				return group == "" && !allDigits(user) && !s.account(user).other
			}),
		},
	}
}

// chownRows are the constructs of --chown.
func chownRows() []Row {
	return []Row{
		{
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
			Name:              "COPY --from of a directory in which a stage sets setuid bits",
			Example:           "FROM busybox AS a\nRUN mkdir /d && touch /d/f && chmod 4755 /d/f\nFROM busybox\nCOPY --from=a /d /d\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko drops the setuid bits of files in a directory that is copied",
			Advice:            "Copy the file by its name, or set them by chmod in a RUN of this stage.",
			match:             copies(fromWhereSet(setuidBit)),
		},
		{
			Name:              "COPY --from of a directory in which a stage sets setgid bits",
			Example:           "FROM busybox AS a\nRUN mkdir -p /d/e && chmod 2775 /d/e\nFROM busybox\nCOPY --from=a /d /d\n",
			Osscontainertools: Refuse,
			Message:           "this Kaniko drops the setgid bits of what lies in a directory that is copied",
			Advice:            "Copy a file by its name, or set them by chmod in a RUN of this stage.",
			match:             copies(fromWhereSet(setgidBit)),
		},
		{
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

// makesWorkdir matches a WORKDIR that makes a directory for a user who is not
// root.
func makesWorkdir(match func(s *site, user, group string) bool) func(*site) bool {
	return func(s *site) bool {
		c, ok := s.command.(*instructions.WorkdirCommand)
		if !ok || !s.stage.user.known || rootOwner(s.stage.user.value) {
			return false
		}
		target, _, known := s.path(c.Path)
		user, group, _ := strings.Cut(s.stage.user.value, ":")
		return known && !s.exists(target) && match(s, user, group)
	}
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
	if s.walker.tree == nil || c.from != "" {
		return false
	}
	return slices.ContainsFunc(c.SourcePaths, func(source string) bool {
		value, known := s.expand(source)
		if !known || !copysource.Wild(value) {
			return false
		}
		s.expander.looks += 1 + s.walker.tree.Len()
		matches, err := copysource.Docker(s.walker.tree, value)
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

// foreignGroup reports whether the user has an explicit group that is not
// evidently its own.
func (s *site) foreignGroup() bool {
	user, group, found := strings.Cut(s.stage.user.value, ":")
	return s.stage.user.known && found && group != "" && (user != group || allDigits(user))
}

// numericUser reports whether the user is a number other than root's, in a
// stage that has evidently not added it.
func (s *site) numericUser() bool {
	user, group, _ := strings.Cut(s.stage.user.value, ":")
	return s.stage.user.known && group == "" && allDigits(user) && strings.Trim(user, "0") != "" && !s.likely(user)
}
