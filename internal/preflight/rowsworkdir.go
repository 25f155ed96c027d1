package preflight

import (
	"regexp"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// workdirRows are the constructs of WORKDIR by how the path is written.
func workdirRows() []Row {
	return []Row{
		{
			ID:                "WorkdirDots",
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

// workdirOwnerRows are the constructs of WORKDIR after USER.
func workdirOwnerRows() []Row {
	return []Row{
		{
			ID:                "WorkdirUserOtherGroup",
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
			ID:                "WorkdirUserName",
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
