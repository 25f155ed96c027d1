package hook

import "strings"

// EscapeData makes text fit the data of one workflow command: the runner ends a
// command at a line's end and decodes these sequences (actions/toolkit,
// packages/core/src/command.ts).
func EscapeData(text string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(text)
}

// EscapeProperty makes text fit a property of a workflow command, where a colon
// and a comma end the value too.
func EscapeProperty(text string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(text)
}
