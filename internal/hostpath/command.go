package hostpath

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

// Mapping is one directory under its two names.
type Mapping struct {
	// Container is the absolute path that the action knows.
	Container string
	// Host is the path that the runner knows.
	Host string
}

// commands finds and changes the workflow commands of one action's output.
type commands struct {
	mappings         []Mapping // the longest container path first
	names            map[string]bool
	colons, brackets syntax
	token            string // ends the pause, "" while commands work
}

// newCommands cleans and sorts mappings.
func newCommands(mappings []Mapping) commands {
	c := commands{names: map[string]bool{}}
	c.colons, c.brackets = syntaxes()
	for _, m := range mappings {
		if path.IsAbs(m.Container) && path.Clean(m.Container) != "/" && path.IsAbs(m.Host) {
			c.mappings = append(c.mappings, Mapping{Container: path.Clean(m.Container), Host: path.Clean(m.Host)})
		}
	}
	slices.SortStableFunc(c.mappings, func(a, b Mapping) int { return cmp.Compare(len(b.Container), len(a.Container)) })
	// What the runner takes for commands, from
	// https://github.com/actions/runner/blob/main/src/Runner.Worker/ActionCommandManager.cs.
	for _, name := range []string{
		"add-mask", "add-matcher", "add-path", "debug", "echo", "endgroup", "error", "group",
		"notice", "remove-matcher", "save-state", "set-env", "set-output", "stop-commands", "warning",
	} {
		c.names[name] = true
	}
	return c
}

// syntax is one of the two forms of commands.
type syntax struct {
	open, end string
	separator string            // between properties
	trimmed   bool              // white space around the properties does not count
	property  *strings.Replacer // escapes a property's value
	data      *strings.Replacer
}

// syntaxes returns the form with colons, which the runner tries first, and the
// one with brackets.
func syntaxes() (colons, brackets syntax) {
	always := []string{"%", "%25", "\r", "%0D", "\n", "%0A"}
	colons = syntax{
		open: "::", end: "::", separator: ",", trimmed: true,
		property: strings.NewReplacer(append([]string{":", "%3A", ",", "%2C"}, always...)...),
		data:     strings.NewReplacer(always...),
	}
	bracket := strings.NewReplacer(append([]string{";", "%3B", "]", "%5D"}, always...)...)
	brackets = syntax{open: "##[", end: "]", separator: ";", property: bracket, data: bracket}
	return colons, brackets
}

// parsed is a line with a command in it, in parts that make the line again
// when they are put together with the syntax's marks.
type parsed struct {
	syntax
	before     string // up to the opening mark
	name       string
	properties string // with the space before them
	data       string
	after      string // the line's end
}

// translate returns line, which may end in '\n' or '\r', with the paths in it
// mapped.
func (c *commands) translate(line []byte) []byte {
	p, ok := c.parse(string(line))
	if !ok {
		return line
	}
	name := strings.ToLower(p.name)
	switch {
	case c.token != "":
		if name == strings.ToLower(c.token) {
			c.token = ""
		}
		return line
	case name == "stop-commands":
		c.stop(p.data)
		return line
	case name == "add-matcher" || name == "remove-matcher":
		p.data = c.mapped(p.data, p.syntax.data)
	case name == "error" || name == "warning" || name == "notice":
		p.properties = c.files(p)
	default:
		return line
	}
	return []byte(p.before + p.open + p.name + p.properties + p.end + p.data + p.after)
}

// stop pauses commands until token, which the runner refuses where it is a
// command itself.
func (c *commands) stop(token string) {
	if name := strings.ToLower(token); !c.names[name] && name != "pause-logging" {
		c.token = token
	}
}

// parse takes a line apart as the runner does.
func (c *commands) parse(line string) (parsed, bool) {
	text := strings.TrimRight(line, "\r\n")
	indent := len(text) - len(strings.TrimLeft(text, " \t\v\f"))
	if strings.HasPrefix(text[indent:], c.colons.open) {
		if p, ok := c.take(c.colons, line, text, indent); ok {
			return p, true
		}
	}
	if at := strings.Index(text, c.brackets.open); at >= 0 {
		return c.take(c.brackets, line, text, at)
	}
	return parsed{}, false
}

// take reads the command that begins at the given place of text, which is line
// without its end.
func (c *commands) take(s syntax, line, text string, at int) (parsed, bool) {
	head, data, ok := strings.Cut(text[at+len(s.open):], s.end)
	if !ok {
		return parsed{}, false
	}
	p := parsed{syntax: s, before: line[:at], name: head, data: data, after: line[len(text):]}
	if space := strings.IndexByte(head, ' '); space >= 0 {
		p.name, p.properties = head[:space], head[space:]
	}
	known := c.names[strings.ToLower(p.name)] || c.token != "" && strings.EqualFold(p.name, c.token)
	return p, known
}

// files returns the properties of p with every file mapped.
func (c *commands) files(p parsed) string {
	text := p.properties
	start := min(len(text), 1)
	if p.trimmed {
		start = len(text) - len(strings.TrimLeft(text, " \t\v\f"))
	}
	list := strings.Split(text[start:], p.separator)
	for i, property := range list {
		if key, value, ok := strings.Cut(property, "="); ok && strings.EqualFold(key, "file") {
			list[i] = key + "=" + c.mapped(value, p.property)
		}
	}
	return text[:start] + strings.Join(list, p.separator)
}

// mapped returns file as the runner knows it. Its escapes stay as they are:
// they decode to nothing that a mapping holds.
func (c *commands) mapped(file string, escape *strings.Replacer) string {
	for _, m := range c.mappings {
		rest, ok := strings.CutPrefix(file, m.Container)
		if ok && (rest == "" || rest[0] == '/') {
			return escape.Replace(m.Host) + rest
		}
	}
	return file
}
