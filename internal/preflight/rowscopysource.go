package preflight

import (
	"path"
	"slices"
	"strings"

	"kiln/internal/copysource"
)

func copySourceRows() []Row {
	return []Row{
		{
			ID:                "CopyAboveContext",
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
			ID:                "CopySeveral",
			Name:              "COPY or ADD of several files to a path without a slash at its end",
			Example:           "FROM busybox\nCOPY a b /new\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko copies several files only to a directory that is there or to a path that ends in a slash",
			Advice:            "Write a slash at the end of the target.",
			match: copies(func(s *site, c copying) bool {
				target, slash, known := s.path(c.DestPath)
				return len(c.SourcePaths)+len(c.SourceContents) > 1 && known && !slash && !s.exists(target) && s.several(c)
			}),
		},
		{
			ID:                "CopyTargetDot",
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
			ID:                "CopyChownGroup",
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

// contextRows are the constructs that the build context decides. Their
// messages follow what they are about.
func contextRows() []Row {
	return []Row{
		{
			ID:                "CopyLinkFollowed",
			Name:              "COPY or ADD of a symbolic link, by its name or by a pattern",
			Example:           "FROM busybox\nCOPY l /l\n",
			Context:           []string{"f", "l -> f"},
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Docker copies what a link leads to, Kaniko copies the link",
			Advice:            "Name what the link leads to; links in a directory that is copied stay links with both.",
			find:              finds(copysource.Link),
		},
		{
			ID:                "CopyBehindLink",
			Name:              "COPY or ADD of what lies behind a symbolic link to a directory, by a pattern or beside one, or where the link leads out of the context",
			Example:           "FROM busybox\nCOPY l/* /x/\n",
			Context:           []string{"d/", "d/f", "l -> d"},
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko does not find there what Docker finds",
			Advice:            "Name the directory that the link leads to.",
			find:              finds(copysource.Lost),
		},
	}
}

// patternRows are those of them that are about patterns, and about what is copied whole.
func patternRows() []Row {
	return []Row{
		{
			ID:                "CopyPatternWhole",
			Name:              "COPY or ADD of a pattern such as * that the name of the context's own directory matches",
			Example:           "FROM busybox\nCOPY * /x/\n",
			Context:           []string{"d/", "d/f", "f"},
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko takes the pattern for the whole context too, and copies all of it with its directories besides",
			Advice:            "Write . to copy everything, or name the files and directories, for example by patterns that do not begin with a wildcard or a dot.",
			find:              finds(copysource.Whole),
		},
		{
			ID:                "CopyPatternTwice",
			Name:              "COPY or ADD of a pattern that matches a directory and, by a class that stands for a slash, what is in it",
			Example:           "FROM busybox\nCOPY *[^a-z]? /x/\n",
			Context:           []string{"a1b/", "a1b/x/", "a1b/x/f"},
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko copies what the pattern matches in a directory that it matches too, Docker the directory alone",
			Advice:            "Write the characters that the class may stand for, for example [0-9], in place of those that it may not.",
			find:              finds(copysource.Twice),
		},
		{
			ID:                "CopyPatternNothing",
			Name:              "COPY or ADD of a pattern that matches nothing",
			Example:           "FROM busybox\nCOPY x* /x/\n",
			Context:           []string{"f"},
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "nothing in the build context matches, and Kaniko then puts files of its own into the image",
			Advice:            "Check the pattern and .dockerignore, or remove the instruction.",
			find:              finds(copysource.Nothing),
		},
		{
			ID:                "CopyPatternSeveral",
			Name:              "COPY or ADD of a pattern that matches several files to a path without a slash at its end",
			Example:           "FROM busybox\nCOPY f* /new\n",
			Context:           []string{"f1", "f2"},
			Chainguard:        Warn, // the base may have the directory; if not, Kaniko fails and says so
			Osscontainertools: Warn,
			Message:           "Kaniko copies the files that a pattern matches only to a directory that is there or to a path that ends in a slash",
			Advice:            "Write a slash at the end of the target.",
			find:              severalToFile,
		},
		{
			ID:         "CopyDirectoryMode",
			Name:       "COPY or ADD of a directory whose own mode is not 755",
			Example:    "FROM busybox\nCOPY d /d\n",
			Context:    []string{"d/ 775"},
			Chainguard: Warn,
			Message:    "this Kaniko gives the target the mode of the directory that is copied, Docker 755 to a new one",
			Advice:     "Where it matters, set it by chmod in a RUN.",
			find: func(s *site) (copysource.Finding, bool) {
				c, _ := s.copying()
				finding, found := finds(copysource.Mode)(s)
				return finding, found && c.chmod == ""
			},
		},
	}
}

// finds finds the first source that has a problem.
func finds(problem copysource.Problem) func(*site) (copysource.Finding, bool) {
	return func(s *site) (copysource.Finding, bool) {
		found := s.findings()
		at := slices.IndexFunc(found, func(f copysource.Finding) bool { return f.Problem == problem })
		if at < 0 {
			return copysource.Finding{}, false
		}
		return found[at], true
	}
}

// severalToFile finds a pattern that matches several files, which are copied to
// what is no directory for Kaniko: it looks at the path as it is written, from
// another working directory than the image's.
func severalToFile(s *site) (copysource.Finding, bool) {
	finding, found := finds(copysource.Several)(s)
	if !found {
		return finding, false
	}
	c, _ := s.copying()
	target, slash, known := s.path(c.DestPath)
	return finding, known && !slash && len(c.SourcePaths) == 1 && !s.exists(target)
}
