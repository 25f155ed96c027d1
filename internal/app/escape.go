package app

import "strings"

// escape makes text fit the data of one workflow command: the runner decodes
// these sequences (actions/toolkit, packages/core/src/command.ts).
func escape(text string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(text)
}
