package label

import (
	"strings"

	"kiln/internal/hook"
)

// maxLabel is what the value of a label may have, in bytes.
const maxLabel = 63

// provenance are labels that say which job an object is of, for people who
// look at the namespace. They come from workflow code: nothing selects by them,
// and nothing may be allowed for them.
func provenance(env hook.Environment) map[string]string {
	labels := map[string]string{}
	for _, of := range [][2]string{
		{"kiln.build/repository", "GITHUB_REPOSITORY"},
		{"kiln.build/run", "GITHUB_RUN_ID"},
		{"kiln.build/job", "GITHUB_JOB"},
		{"kiln.build/attempt", "GITHUB_RUN_ATTEMPT"},
	} {
		if value := labelValue(env[of[1]]); value != "" {
			labels[of[0]] = value
		}
	}
	return labels
}

// labelValue returns text as the value of a label holds it: cut, with a dot for
// each "/", which no owner's name on GitHub has, and "_" for what else is not
// allowed. Labels begin and end with a letter or a digit.
func labelValue(text string) string {
	value := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		case r == '/':
			return '.'
		}
		return '_'
	}, text[:min(len(text), 4*maxLabel)])
	value = strings.TrimLeft(value, "-_.")
	return strings.TrimRight(value[:min(len(value), maxLabel)], "-_.")
}
