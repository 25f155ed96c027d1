package preflight

import (
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/command"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// devicePattern is a program that makes device nodes.
var devicePattern = regexp.MustCompile(`(?:^|[^\w.-])(?:mknod|MAKEDEV|makedev|debootstrap|mmdebstrap)(?:$|[^\w.-])`)

// devices returns the line of the first RUN that is built and names such a program,
// or 0.
func (w *walker) devices(listed []Instruction) int {
	for _, instruction := range listed {
		node := w.nodes[instruction.Line]
		if instruction.Unused || node == nil || !strings.EqualFold(node.Value, command.Run) {
			continue
		}
		named := func(h parser.Heredoc) bool { return devicePattern.MatchString(h.Content) }
		if devicePattern.MatchString(instruction.Text) || slices.ContainsFunc(node.Heredocs, named) {
			return instruction.Line
		}
	}
	return 0
}
