package kaniko

import (
	"encoding/json"
	"io"
	"regexp"
	"strings"

	"kiln/internal/preflight"
	"kiln/internal/registry"
)

// record is a line of the executor's own, as --log-format=json writes it.
type record struct {
	Level string `json:"level"`
	Msg   string `json:"msg"`
	Time  string `json:"time"`
}

// recordStart is how a record begins: the fields are in the order of their
// names.
const recordStart = `{"level":"`

// parseRecord tells the executor's own lines from the output of RUN steps.
func parseRecord(line string) (record, bool) {
	var r record
	if !strings.HasPrefix(line, recordStart) {
		return record{}, false
	}
	decoder := json.NewDecoder(strings.NewReader(line))
	decoder.DisallowUnknownFields()
	if decoder.Decode(&r) != nil {
		return record{}, false
	}
	_, err := decoder.Token()
	return r, err == io.EOF && r.Level != "" && r.Time != ""
}

// Log reads the executor's log line by line. The zero value is one of an unknown
// Dockerfile. It is for one goroutine.
type Log struct {
	// Instruction is the last instruction that was begun, as its author has
	// it.
	Instruction string
	// Begun is set once the executor has said anything that it says after it
	// has unpacked the build context. A RUN step cannot be earlier.
	Begun bool
	// Pushed is set once the executor has said that it pushed the image.
	Pushed bool
	// Skipped is a symbolic link that leads back to itself, once the executor
	// has said that it could not follow one: v1.25 leaves out of the image, and
	// pushes it all the same, what it would have come to after the link.
	Skipped string

	texts     texts    // of the instructions
	skippedIn string   // the instruction that was being built then
	last      []string // the last lines, as clip leaves them
	errored   bool     // the last line was an error of the command line
	held      bool     // a line "Usage:" waits for what follows it
	usage     bool     // what follows is usage text
}

// NewLog returns the log of building stages, whose author's words it gives to
// instructions that are sent in others. Without stages it is one of an unknown
// Dockerfile.
func NewLog(stages []preflight.Stage) Log { return Log{texts: newTexts(stages)} }

// texts are instructions as their author has them, by what is sent of them.
type texts map[string]string

func newTexts(stages []preflight.Stage) texts {
	t := texts{}
	for _, stage := range stages {
		for _, instruction := range stage.Instructions {
			if instruction.Sent != instruction.Text {
				t[instruction.Sent] = instruction.Text
			}
		}
	}
	return t
}

// of returns the author's text.
func (t texts) of(sent string) string {
	if text, found := t[sent]; found {
		return text
	}
	return sent
}

// How much of the log is kept to tell what went wrong: the last lines, and of
// a longer line its two ends.
const (
	keptLines = 40
	keptBytes = 4 << 10 // of a line
)

// clip shortens a line to what is kept of it. The executor's last words name
// what failed first and the cause last.
func clip(line string) string {
	if len(line) <= keptBytes {
		return strings.Clone(line)
	}
	return line[:keptBytes/2] + "…" + line[len(line)-keptBytes/2:]
}

// Line reads one line without its end and returns it as it came, with two
// exceptions: the usage text that follows an error of the executor's command
// line is left out before the first step, and what a RUN prints without an end
// of line is parted from what the executor says next. It returns at most three
// lines.
func (l *Log) Line(line string) []string {
	var lines []string
	for _, part := range parts(line) {
		lines = append(lines, l.line(part)...)
	}
	return lines
}

// parts cuts a line where the executor's own words begin in it: they come by
// another stream than the output of a RUN, which may not have ended its line.
func parts(line string) []string {
	if _, own := parseRecord(line); own {
		return []string{line} // its text may hold such words
	}
	for _, start := range []string{recordStart, "error building image: ", "error pushing image: "} {
		at := strings.LastIndex(line, start)
		if at <= 0 {
			continue
		}
		if own, ok := parseRecord(line[at:]); start != recordStart || ok && known(own.Msg) {
			return []string{line[:at], line[at:]}
		}
	}
	return []string{line}
}

// line reads one line.
func (l *Log) line(line string) []string {
	switch {
	case l.usage:
		return nil
	case l.held:
		l.held = false
		if l.usage = strings.HasPrefix(line, "  executor"); l.usage {
			return nil
		}
		l.keep(line)
		return []string{"Usage:", line}
	case l.errored && line == "Usage:" && l.Instruction == "":
		l.held = true
		return nil
	}
	l.keep(line)
	return []string{line}
}

// keep remembers a line and what it says.
func (l *Log) keep(line string) {
	l.errored = strings.HasPrefix(line, "Error: ")
	l.last = append(l.last, clip(line))
	if len(l.last) > 2*keptLines {
		l.last = append(l.last[:0], l.last[len(l.last)-keptLines:]...)
	}
	own, ok := parseRecord(line)
	if !ok {
		return
	}
	l.Begun = l.Begun || !strings.HasPrefix(own.Msg, awaitsContext)
	if isInstruction(own.Msg) {
		l.Instruction = l.texts.of(own.Msg)
	}
	l.Pushed = l.Pushed || strings.HasPrefix(own.Msg, "Pushed ")
	if found := skippedPattern.FindStringSubmatch(own.Msg); found != nil && own.Level == "error" && l.Skipped == "" {
		l.Skipped, l.skippedIn = found[1], l.Instruction
	}
}

// awaitsContext is what the executor says before it reads the context from its
// standard input (pkg/buildcontext/tar.go).
const awaitsContext = "To simulate EOF and exit"

// skippedPattern is what pkg/filesystem/resolve.go says of a link that nobody
// can follow.
var skippedPattern = regexp.MustCompile(`^Couldn't eval (.*) with link `)

// instructionPattern is the start of an instruction that the executor names
// before it executes it.
var instructionPattern = regexp.MustCompile(`(?i)^(ADD|ARG|CMD|COPY|ENTRYPOINT|ENV|EXPOSE|HEALTHCHECK|LABEL|MAINTAINER|ONBUILD|RUN|SHELL|STOPSIGNAL|USER|VOLUME|WORKDIR)\s`)

// isInstruction reports whether msg announces an instruction.
func isInstruction(msg string) bool { return instructionPattern.MatchString(msg) }

// gatePattern is a name below the gate: the registry's path element follows.
var gatePattern = regexp.MustCompile(`127\.0\.0\.1:5001/(?:v2/)?([a-z0-9_-]+)`)

// Translate gives the names in a line of the log back the registries that the
// author knows: the executor sees the gate alone.
func Translate(line string) string {
	return gatePattern.ReplaceAllStringFunc(line, func(match string) string {
		element := match[strings.LastIndexByte(match, '/')+1:]
		host, err := registry.FromElement(element)
		if err != nil {
			return match
		}
		if host == "index.docker.io" {
			return "docker.io"
		}
		return host
	})
}
