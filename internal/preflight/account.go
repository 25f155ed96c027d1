package preflight

import (
	"regexp"
	"strings"
)

// account is what the Dockerfile tells of a user: the group that it was given when
// it was added.
type account struct {
	// told is whether the Dockerfile adds the user by its name.
	told bool
	// group is the user's own group, by name or number; empty where the Dockerfile
	// does not tell which, or where it has the user's name.
	group string
	// other is whether the group's number is evidently not the user's, or can be
	// another one.
	other bool
}

var (
	// adding finds a command that adds a user, or changes one, up to its end.
	adding = regexp.MustCompile(`\b(adduser|useradd|usermod)\b[^;&|\n]*`)
	// ofGroup finds the option by which a group is named: -g and --gid of useradd
	// and adduser, --ingroup of Debian's, -G of busybox's adduser alone.
	ofGroup = regexp.MustCompile(`\s(?:-g|--gid|--ingroup)[\s=]+["']?([A-Za-z0-9_.$-]+)`)
	inGroup = regexp.MustCompile(`\s-[A-Za-z]*G\s+["']?([A-Za-z0-9_.$-]+)`)
	// system finds a user that busybox and Debian put into nogroup.
	system = regexp.MustCompile(`\s(-[A-Za-z]*S[A-Za-z]*|--system)\b`)
)

// account looks for a user in what earlier RUNs of the stage, and of those that it
// is built from, say.
func (s *site) account(user string) account {
	var found account
	if len(s.stage.added) == 0 {
		return found
	}
	entry := regexp.MustCompile(`\b` + regexp.QuoteMeta(user) + `:[^:\s]*:(\d+):(\d+):`)
	word := wordOf(user)
	for _, text := range s.stage.added {
		s.expander.steps += wordSteps + len(text)
		if line := entry.FindStringSubmatch(text); line != nil {
			found = account{told: true, group: line[2], other: line[1] != line[2]}
		}
		for _, command := range adding.FindAllString(text, -1) {
			if word.MatchString(command) {
				found = added(command)
			}
		}
	}
	return found
}

// wordOf finds a word in a text.
func wordOf(word string) *regexp.Regexp {
	return regexp.MustCompile(`(^|[\s"'=:/])` + regexp.QuoteMeta(word) + `($|[\s"':])`)
}

// added reads a command that adds a user.
func added(command string) account {
	group := ofGroup.FindStringSubmatch(command)
	if group == nil && strings.HasPrefix(command, "adduser") {
		group = inGroup.FindStringSubmatch(command)
	}
	switch {
	case group != nil && !strings.Contains(group[1], "$"):
		return account{told: true, group: group[1], other: true}
	case group != nil, strings.HasPrefix(command, "usermod"):
		return account{told: true, other: true}
	}
	return account{told: true, other: system.MatchString(command) && !strings.Contains(command, "--group")}
}

// likely reports whether a number can be that of a user whom an earlier RUN adds:
// it says the number, or it is one that the programs give by themselves.
func (s *site) likely(number string) bool {
	if len(s.stage.added) == 0 {
		return false
	}
	word := wordOf(number)
	for _, text := range s.stage.added {
		if s.expander.steps += wordSteps + len(text); word.MatchString(text) {
			return true
		}
	}
	return givenNumber.MatchString(number)
}

// givenNumber finds the first numbers of users (login.defs(5), busybox's adduser).
var givenNumber = regexp.MustCompile(`^(10[0-9]|99[0-9]|100[0-9])$`)

// allDigits reports whether a text is a number.
func allDigits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}
