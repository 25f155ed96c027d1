package runner

import "strings"

// A Command is a workflow command that the worker would carry out because a
// line of a step's log asks for it.
type Command struct {
	Name string
	// Properties is the text between the name and the data, as written.
	Properties string
	Data       string
}

// A Commander finds the workflow commands in a log, line by line, as the
// worker's ActionCommandManager does: "::name props::data" at the start of a
// line, "##[name props]data" anywhere in it, and none between
// "::stop-commands::TOKEN" and "::TOKEN::". Only names that the worker knows
// count. The zero value is ready for the start of a log.
type Commander struct {
	stop string
}

// Line returns the command in the next line, if there is one. The two that
// stop and resume commands are not returned.
func (m *Commander) Line(line string) (Command, bool) {
	c, ok := parseCommand(strings.TrimRight(line, "\r\n"), m.stop)
	switch {
	case !ok:
		return Command{}, false
	case m.stop != "":
		if c.Name == m.stop {
			m.stop = ""
		}
		return Command{}, false
	case c.Name == "stop-commands":
		m.stop = c.Data
		return Command{}, false
	}
	return c, true
}

// Commands returns the workflow commands in a whole log, in order. The worker
// ends a line at "\n", at "\r\n" and at a lone "\r".
func Commands(log string) []Command {
	var out []Command
	var m Commander
	for line := range strings.Lines(strings.ReplaceAll(log, "\r", "\n")) {
		if c, ok := m.Line(line); ok {
			out = append(out, c)
		}
	}
	return out
}

func parseCommand(line, stop string) (Command, bool) {
	if c, ok := parseColons(strings.TrimSpace(line)); ok && known(c.Name, stop) {
		return c, true
	}
	if c, ok := parseBrackets(line); ok && known(c.Name, stop) {
		return c, true
	}
	return Command{}, false
}

func parseColons(line string) (Command, bool) {
	rest, ok := strings.CutPrefix(line, "::")
	if !ok {
		return Command{}, false
	}
	head, data, ok := strings.Cut(rest, "::")
	if !ok {
		return Command{}, false
	}
	name, properties, _ := strings.Cut(head, " ")
	return Command{Name: name, Properties: properties, Data: data}, true
}

func parseBrackets(line string) (Command, bool) {
	_, rest, ok := strings.Cut(line, "##[")
	if !ok {
		return Command{}, false
	}
	head, data, ok := strings.Cut(rest, "]")
	if !ok {
		return Command{}, false
	}
	name, properties, _ := strings.Cut(head, " ")
	return Command{Name: name, Properties: properties, Data: data}, true
}

func known(name, stop string) bool {
	if stop != "" && name == stop {
		return true
	}
	switch strings.ToLower(name) {
	case "add-mask", "add-matcher", "add-path", "debug", "echo", "endgroup", "error", "group",
		"notice", "remove-matcher", "save-state", "set-env", "set-output", "set-repo-path",
		"stop-commands", "warning":
		return true
	}
	return false
}
