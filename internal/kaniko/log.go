package kaniko

import (
	"encoding/json"
	"regexp"
	"strings"

	"kiln/internal/registry"
)

// record is a line of the executor's own, as --log-format=json writes it.
type record struct {
	Level string `json:"level"`
	Msg   string `json:"msg"`
	Time  string `json:"time"`
}

// parseRecord tells the executor's own lines from the output of RUN steps.
func parseRecord(line string) (record, bool) {
	var r record
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &r) != nil {
		return record{}, false
	}
	return r, r.Level != "" && r.Time != ""
}

// Log reads the executor's log line by line. It is for one goroutine.
type Log struct {
	// Instruction is the last instruction that was begun.
	Instruction string
	// Pushed is set once the executor has said that it pushed the image.
	Pushed bool

	last    []string // the last lines, as they came
	errored bool     // the last line was an error of the command line
	held    bool     // a line "Usage:" waits for what follows it
	usage   bool     // what follows is usage text
}

// keptLines is how much of the log is kept to tell what went wrong.
const keptLines = 40

// Line reads one line without its end and returns what the build's author is
// to see of it: none, one or two lines.
func (l *Log) Line(line string) []string {
	if l.usage {
		return nil
	}
	if l.held {
		l.held = false
		if l.usage = strings.HasPrefix(line, "  executor"); l.usage {
			return nil
		}
		return append([]string{"Usage:"}, l.show(line)...)
	}
	if l.held = l.errored && line == "Usage:"; l.held {
		return nil
	}
	return l.show(line)
}

// show keeps a line and returns it as the author is to see it.
func (l *Log) show(line string) []string {
	l.errored = strings.HasPrefix(line, "Error: ")
	l.last = append(l.last, line)
	if len(l.last) > 2*keptLines {
		l.last = append(l.last[:0], l.last[len(l.last)-keptLines:]...)
	}
	own, ok := parseRecord(line)
	if !ok {
		return []string{Translate(line)}
	}
	if isInstruction(own.Msg) {
		l.Instruction = own.Msg
	}
	l.Pushed = l.Pushed || strings.HasPrefix(own.Msg, "Pushed ")
	if own.Level == "debug" || own.Level == "trace" || noise.MatchString(own.Msg) {
		return nil
	}
	return []string{Translate(own.Msg)}
}

// noise is what the executor says that tells an author nothing: advice for a
// terminal, the gate, and what it repeats.
var noise = regexp.MustCompile(`^(To simulate EOF and exit, press|Retrieving image \S+ from mapped registry |` +
	`Returning cached image manifest$|Built cross stage deps: |Executing 0 build triggers$|No base image, nothing to extract$|` +
	`Cmd: |Args: \[|Running: \[)`)

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
