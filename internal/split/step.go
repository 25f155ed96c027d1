package split

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"kiln/internal/copysource"
)

// Step is one instruction of the chain that an image is built of. The zero value is
// none.
type Step struct {
	// Line is where it starts; that of FROM for a trigger.
	Line int
	// Text is the instruction as its author wrote it, without continuation
	// characters and the bodies of heredocs.
	Text string
	// Trigger is whether it is an ONBUILD trigger of the base.
	Trigger bool
	// From is whether it is the beginning of a stage that is built from the stage
	// before: triggers of that are done with, and no CMD is set.
	From bool

	node  *parser.Node
	end   int
	image string // of the first step
}

// Command returns the instruction, the caller's own; nil for the beginning of a
// stage.
func (s Step) Command() (instructions.Command, error) {
	if s.From {
		return nil, nil
	}
	parsed, err := instructions.ParseInstructionWithLinter(s.node, &linter.Linter{})
	if err != nil {
		return nil, err
	}
	c, ok := parsed.(instructions.Command)
	if !ok {
		return nil, fmt.Errorf("%s is no instruction of a stage", s.node.Value)
	}
	return c, nil
}

// chain returns the steps that the last stage is made of: the first is the FROM of
// the stage that is built from an image.
func (d *decision) chain() ([]Step, error) {
	return d.chainOf(len(d.stages) - 1)
}

func (d *decision) chainOf(index int) ([]Step, error) {
	var stages [][]Step
	for {
		steps, err := d.own(index)
		if err != nil {
			return nil, err
		}
		stages = append(stages, steps)
		if steps[0].image != "" {
			slices.Reverse(stages)
			return slices.Concat(stages...), nil
		}
		index = d.baseOf(index)
	}
}

// own returns the steps of one stage: its FROM, the triggers of its base, its
// instructions. The FROM has an image where it is not built from a stage.
func (d *decision) own(index int) ([]Step, error) {
	stage := d.stages[index]
	from := d.step(stage.Location[0].Start.Line)
	from.From = true
	name, err := d.globals.Expand(stage.BaseName)
	if err != nil {
		return nil, unsure(from.Line, "%v", err)
	}
	var triggers []string
	if base := d.find(name, index); base < 0 {
		from.image, triggers = name, d.Bases[name].Triggers
	} else {
		for _, c := range d.stages[base].Commands {
			if onbuild, ok := c.(*instructions.OnbuildCommand); ok {
				triggers = append(triggers, onbuild.Expression)
			}
		}
	}
	steps := []Step{from}
	for _, text := range triggers {
		step, err := trigger(text, from)
		if err != nil {
			return nil, err
		}
		steps = append(steps, step)
	}
	for _, c := range stage.Commands {
		steps = append(steps, d.step(c.Location()[0].Start.Line))
	}
	return steps, nil
}

// baseOf returns the stage that a stage is built from.
func (d *decision) baseOf(index int) int {
	name, _ := d.globals.Expand(d.stages[index].BaseName) // own has done it
	return d.find(name, index)
}

// find returns the earlier stage of a name, -1 for none.
func (d *decision) find(name string, before int) int {
	for i := range before {
		if d.stages[i].Name != "" && d.stages[i].Name == name {
			return i
		}
	}
	return -1
}

// step is the instruction that starts in a line.
func (d *decision) step(line int) Step {
	node := d.nodes[line]
	return Step{Line: line, Text: strings.TrimSpace(node.Original), node: node, end: node.EndLine}
}

// trigger is a trigger behind a FROM.
func trigger(text string, from Step) (Step, error) {
	result, err := parser.Parse(bytes.NewReader([]byte(text)))
	if err != nil || len(result.AST.Children) != 1 {
		return Step{}, unsure(from.Line, "an ONBUILD trigger is not one instruction")
	}
	node := result.AST.Children[0]
	return Step{Line: from.Line, Text: strings.TrimSpace(node.Original), Trigger: true, node: node, end: from.end}, nil
}

// remote finds sources that are not in the context: URLs and Git references.
var remote = regexp.MustCompile(`://|^[^/]+@[^/]+:`)

// runs reports whether a command, whose variables are expanded, runs something.
func (d *decision) runs(c instructions.Command, at *cursor) bool {
	switch c := c.(type) {
	case *instructions.CopyCommand:
		return c.From != "" || beyond(c.SourcePaths) || !plainNames(c.SourceContents)
	case *instructions.AddCommand:
		return c.Checksum != "" || c.KeepGitDir != nil || c.Unpack != nil || beyond(c.SourcePaths) ||
			!plainNames(c.SourceContents) || !d.adds(c.SourcePaths)
	case *instructions.RunCommand:
		if d.NoChmod || !at.root() || at.shell {
			return true
		}
		_, ok := chmodOf(c)
		return !ok
	}
	switch c.(type) {
	case *instructions.EnvCommand, *instructions.ArgCommand, *instructions.WorkdirCommand, *instructions.UserCommand,
		*instructions.EntrypointCommand, *instructions.CmdCommand, *instructions.LabelCommand, *instructions.ExposeCommand,
		*instructions.VolumeCommand, *instructions.StopSignalCommand, *instructions.HealthCheckCommand,
		*instructions.ShellCommand, *instructions.OnbuildCommand, *instructions.MaintainerCommand:
		return false
	}
	return true
}

// beyond reports whether one of the sources is not in the context.
func beyond(sources []string) bool {
	return slices.ContainsFunc(sources, remote.MatchString)
}

// plainNames reports whether the names of heredocs are those of files in one
// directory.
func plainNames(documents []instructions.SourceContent) bool {
	for _, document := range documents {
		if document.Path == "" || document.Path == "." || document.Path == ".." || strings.ContainsAny(document.Path, "/\\\x00") {
			return false
		}
	}
	return true
}

// adds reports whether it is known what an ADD makes of its sources, and notes those that
// it unpacks.
func (d *decision) adds(sources []string) bool {
	for _, source := range sources {
		if d.looks += 1 + d.Tree.Len(); d.looks > maxLooks {
			return false
		}
		matches, err := copysource.Docker(d.Tree, source)
		if err != nil {
			return false
		}
		for _, m := range matches {
			if !m.Node.Dir && !d.add(m.Node.Path) {
				return false
			}
		}
	}
	return true
}

// add is adds for one file.
func (d *decision) add(name string) bool {
	if d.Archive == nil {
		return false
	}
	facts, known := d.Archive(name)
	if facts.Lists() {
		d.archives[name] = true
	}
	return known && !facts.Excess && (facts.Lists() || !facts.Docker)
}

// Chmod is a "RUN chmod": what it does where /bin/sh and chmod do what they are
// called for.
type Chmod struct {
	// Mode is octal, or letters with one operator.
	Mode string
	// Paths are absolute or relative to the working directory.
	Paths []string
}

// chmods finds the one form that is known. Paths have nothing that a shell or chmod
// would take for something else. A minus has somebody's letter before it: of a mode that
// looks like an option GNU's chmod fails where the umask leaves more than is asked for.
var chmods = regexp.MustCompile(`^chmod[ \t]+([0-7]{1,4}|[ugoa]*[+=][rwx]+|[ugoa]+-[rwx]+)((?:[ \t]+[A-Za-z0-9_./@+%:,][A-Za-z0-9_./@+%:,=-]*)+)[ \t]*$`)

// Chmod returns what a RUN of the rest does.
func (s Step) Chmod() (Chmod, bool) {
	c, err := s.Command()
	run, ok := c.(*instructions.RunCommand)
	if err != nil || !ok {
		return Chmod{}, false
	}
	return chmodOf(run)
}

func chmodOf(c *instructions.RunCommand) (Chmod, bool) {
	if !c.PrependShell || len(c.CmdLine) != 1 || len(c.Files) > 0 || len(c.FlagsUsed) > 0 {
		return Chmod{}, false
	}
	found := chmods.FindStringSubmatch(c.CmdLine[0])
	if found == nil {
		return Chmod{}, false
	}
	change := Chmod{Mode: found[1], Paths: strings.Fields(found[2])}
	return change, !slices.ContainsFunc(change.Paths, turns)
}

// turns reports whether a path leads back up, which the kernel does from where a link
// has led to, or wants a directory in its end.
func turns(name string) bool {
	parts := strings.Split(name, "/")
	last := parts[len(parts)-1]
	return slices.Contains(parts, "..") || last == "." || last == ""
}
