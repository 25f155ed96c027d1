package preflight

import (
	"regexp"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// userRows are the constructs of USER, and of RUN after it.
func userRows() []Row {
	return []Row{
		{
			ID:                "UserModifier",
			Name:              "USER of a variable with a default",
			Example:           "FROM busybox\nRUN true\nUSER ${A:-daemon}\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko takes the colon in the variable for the one before a group, and fails",
			Advice:            "Set an ARG to the default, and name that in USER.",
			match: func(s *site) bool {
				c, ok := s.command.(*instructions.UserCommand)
				return ok && modifier.MatchString(c.User)
			},
		},
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
			Advice:            "Add the user with adduser in a RUN and name it, or set USER after the last RUN; with a Kaniko of osscontainertools a group in USER does too.",
			match:             run(func(s *site, _ *instructions.RunCommand) bool { return s.numericUser() }),
		},
	}
}

// modifier finds a variable with a colon behind its name.
var modifier = regexp.MustCompile(`\$\{[^}]*:`)

// foreignGroup reports whether the user has an explicit group that is not
// evidently its own. A base image whose user and group are one number has them so in
// its /etc/passwd, or has no entry.
func (s *site) foreignGroup() bool {
	user, group, found := strings.Cut(s.stage.user.value, ":")
	return s.stage.user.known && found && group != "" && (user != group || allDigits(user) && !s.stage.usersOwn)
}

// numericUser reports whether the user is a number other than root's, in a
// stage that has evidently not added it. That of a base image is looked for in its layers:
// see [Unpacked].
func (s *site) numericUser() bool {
	user, group, _ := strings.Cut(s.stage.user.value, ":")
	return s.stage.user.known && !s.stage.usersOwn && group == "" && allDigits(user) && strings.Trim(user, "0") != "" && !s.likely(user)
}
