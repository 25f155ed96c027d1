package wish

import (
	"path"
	"strings"
)

// manifest is what an action.yml says of how its action runs, as far as that is read.
type manifest struct {
	// using is runs.using and image runs.image.
	using, image string
	// uses are all values of a key of that name: the actions of a composite one.
	uses []string
}

// parseManifest reads action.yml as it is written by hand: mappings in block style, with
// scalars on the line of their key. Anything else in the place of a value is no value.
// What is misread costs a build that nobody wants, or spares one.
func parseManifest(text string) manifest {
	m := manifest{}
	text = strings.TrimPrefix(text, "\ufeff")
	inRuns, level := false, 0
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i, line := range lines {
		at, ok := parseMember(line)
		if !ok {
			continue
		}
		if continued(lines[i+1:], at.indent) && at.key != "runs" {
			at.value = ""
		}
		if at.key == "uses" && at.value != "" {
			m.uses = append(m.uses, at.value)
		}
		if at.indent == 0 {
			inRuns, level = at.key == "runs" && at.value == "", 0
			continue
		}
		if inRuns && level == 0 {
			level = at.indent
		}
		if inRuns && at.indent == level && !at.item {
			m.set(at)
		}
	}
	return m
}

// set takes a member of runs.
func (m *manifest) set(at member) {
	switch at.key {
	case "using":
		m.using = strings.ToLower(at.value)
	case "image":
		m.image = at.value
	}
}

// member is a line that has a member of a mapping.
type member struct {
	indent     int // of the key
	key, value string
	item       bool // it is the first of an entry of a list
}

// parseMember reads a line; ok is false for any other.
func parseMember(line string) (at member, ok bool) {
	rest := strings.TrimLeft(line, " ")
	if item, found := strings.CutPrefix(rest, "- "); found {
		rest, at.item = strings.TrimLeft(item, " "), true
	}
	if rest == "" || strings.HasPrefix(rest, "#") {
		return member{}, false
	}
	at.indent = len(line) - len(rest)
	at.key, rest, ok = cutKey(rest)
	at.value = scalar(rest)
	return at, ok
}

// cutKey cuts "key: rest" and "key:", the key perhaps in quotes.
func cutKey(text string) (key, rest string, found bool) {
	if quote := text[0]; quote == '"' || quote == '\'' {
		key, rest, found = strings.Cut(text[1:], string(quote)+":")
	} else {
		key, rest, found = strings.Cut(text, ":")
	}
	if !found || rest != "" && rest[0] != ' ' && rest[0] != '\t' {
		return "", "", false
	}
	return strings.TrimRight(key, " "), rest, true
}

// scalar is the value behind a key: a plain one, or one in quotes without anything that
// has to be undone; "" for none and for all that is more than that.
func scalar(text string) string {
	text = strings.Trim(text, " \t")
	if text == "" {
		return ""
	}
	switch quote := text[0]; quote {
	case '"', '\'':
		value, behind, found := strings.Cut(text[1:], string(quote))
		behind = strings.TrimLeft(behind, " \t")
		if !found || strings.ContainsRune(value, '\\') && quote == '"' || behind != "" && behind[0] != '#' {
			return ""
		}
		return value
	case '|', '>', '&', '*', '!', '{', '[', '#', '%', '@', '`':
		return ""
	}
	value, _, _ := strings.Cut(text, " #")
	return strings.TrimRight(value, " \t")
}

// continued reports whether the first of some lines that says anything goes deeper than
// indent: then what stands above it has more than one line.
func continued(lines []string, indent int) bool {
	for _, line := range lines {
		rest := strings.TrimLeft(line, " \t")
		if rest != "" && rest[0] != '#' {
			return len(line)-len(rest) > indent
		}
	}
	return false
}

// dockerfile is the Dockerfile that the manifest names, relative to its directory, or ""
// where it names none. What is one is as the runner tells it (actions/runner,
// DockerUtil.cs).
func (m manifest) dockerfile() string {
	name := strings.ToLower(path.Base(m.image))
	if m.using != "docker" || strings.HasPrefix(strings.ToLower(m.image), "docker://") {
		return ""
	}
	if strings.HasPrefix(name, "dockerfile.") || strings.HasSuffix(name, "dockerfile") {
		return m.image
	}
	return ""
}

// An Action is an action of another repository, as a workflow names it.
type Action struct {
	// Repository is owner/name, and Path the action's directory in it.
	Repository, Path string
	// Ref is a branch, a tag or a commit.
	Ref string
}

// parseUses reads owner/name/path@ref; false for an action of another kind.
func parseUses(text string) (Action, bool) {
	name, ref, found := strings.Cut(text, "@")
	parts := strings.SplitN(name, "/", 3)
	if !found || ref == "" || len(parts) < 2 || parts[0] == "." || strings.Contains(text, "://") {
		return Action{}, false
	}
	action := Action{Repository: parts[0] + "/" + parts[1], Ref: ref}
	if len(parts) == 3 {
		action.Path = parts[2]
	}
	return action, true
}
