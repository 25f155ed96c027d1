package preflight

import (
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// devicePattern is a program that makes device nodes.
var devicePattern = regexp.MustCompile(`(?:^|[^\w.-])(?:mknod|MAKEDEV|makedev|debootstrap|mmdebstrap)(?:$|[^\w.-])`)

// Devices returns the line of the first RUN that is built and names a program that
// makes device nodes, or 0. A script that the RUN calls may do so too and is not
// read.
func (d *Dockerfile) Devices() int {
	for _, instruction := range d.Instructions {
		node := d.walker.nodes[instruction.Line]
		if instruction.Unused || node == nil || !strings.EqualFold(node.Value, "run") {
			continue
		}
		named := func(h parser.Heredoc) bool { return devicePattern.MatchString(h.Content) }
		if devicePattern.MatchString(instruction.Text) || slices.ContainsFunc(node.Heredocs, named) {
			return instruction.Line
		}
	}
	return 0
}
