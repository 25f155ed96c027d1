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

// Commands returns the workflow commands in a step's log, in order, as the
// worker's ActionCommandManager would find them: "::name props::data" at the
// start of a line, "##[name props]data" anywhere in it, and none between
// "::stop-commands::TOKEN" and "::TOKEN::". The stop and the resume are not in
// the result. Only names that the worker knows count.
func Commands(log string) []Command {
	var out []Command
	stop := ""
	for line := range strings.Lines(log) {
		c, ok := parseCommand(strings.TrimRight(line, "\r\n"), stop)
		switch {
		case !ok:
		case stop != "":
			if c.Name == stop {
				stop = ""
			}
		case c.Name == "stop-commands":
			stop = c.Data
		default:
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
