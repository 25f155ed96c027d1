package preflight

import (
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// userRows are the constructs of RUN after USER.
func userRows() []Row {
	return []Row{
		{
			ID:         "RunUserGroup",
			Name:       "RUN after USER with a group",
			Example:    "FROM busybox\nUSER 1000:1001\nRUN touch /tmp/a\n",
			Chainguard: Refuse,
			Message:    "this Kaniko runs the command with the user's own group, not with the one that USER names",
			Advice:     "Make it the user's primary group and leave it out of USER, or set USER after the last RUN.",
			match:      run(func(s *site, _ *instructions.RunCommand) bool { return s.foreignGroup() }),
		},
		{
			ID:                "RunUserOtherGroup",
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
			ID:                "RunUserNumber",
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
