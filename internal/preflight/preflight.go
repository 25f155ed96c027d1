package preflight

import (
	"bytes"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

const (
	maxSize         = 1 << 20
	maxInstructions = 1000
	// scratch is the name of the empty image, which no registry holds.
	scratch = "scratch"
)

// Image is an image that is pulled while the Dockerfile is built.
type Image struct {
	// Reference is the image as the Dockerfile names it, ARGs expanded.
	Reference string
	// Registry is the registry that holds it, as name.Registry writes it.
	Registry string
	// Platform is that of FROM --platform, ARGs expanded, or empty. It is the
	// runner's own, whatever its spelling.
	Platform string
	// Line is the first line that names it.
	Line int
}

// Instruction is one instruction of the Dockerfile.
type Instruction struct {
	// Text is the instruction without its continuation characters, ARGs not
	// expanded; a heredoc's content is not part of it.
	Text string
	// Sent is the instruction as Kaniko gets and names it: Text, or what
	// [Dockerfile.Mend] has made of it.
	Sent string
	// Line is where it starts.
	Line int
	// Unused is whether it belongs to a stage that the last one does not need.
	Unused bool
}

// Dockerfile is what kiln has to know of a Dockerfile. Its fields are for
// reading.
type Dockerfile struct {
	// Images are the external images that the last stage needs, each reference
	// once, in file order.
	Images []Image
	// Instructions are all instructions in file order.
	Instructions []Instruction
	// Unused is whether there is a stage that the last one does not need.
	Unused bool
	// Warnings are what the author should know whatever builds the image.
	Warnings []Problem

	walker *walker
	// shells are the base images whose SHELL matters to Mend.
	shells map[string]bool
	// found is where Check has found something for a flavor, foundFlavor.
	found       map[place]bool
	foundFlavor string
}

// Parse reads the Dockerfile in data, at most 1 MiB and 1,000 instructions, with
// bounds on their heredocs and words.
// The name is used in errors, all of which are of type [*Error].
//
// The platform that a FROM line may ask for is that of the running process.
func Parse(name string, data []byte) (dockerfile *Dockerfile, err error) {
	src := source{name: name, data: data}
	if len(data) > maxSize {
		return nil, src.errorf(0, "the Dockerfile is larger than %d bytes", maxSize)
	}
	measured := measure(data)
	if excess := measured.excess(); excess != "" {
		return nil, src.errorf(0, "the Dockerfile has %s", excess)
	}
	// A parser that trips over hostile input must not take the process down.
	defer func() {
		if recovered := recover(); recovered != nil {
			dockerfile, err = nil, src.errorf(0, "the Dockerfile cannot be parsed: %v", recovered)
		}
	}()
	result, err := parser.Parse(bytes.NewReader(data))
	if err != nil {
		return nil, src.wrap(err)
	}
	if count := len(result.AST.Children); count > maxInstructions {
		return nil, src.errorf(0, "the Dockerfile has %d instructions, more than %d", count, maxInstructions)
	}
	ends := oneLine(result.AST)
	stages, args, err := instructions.Parse(result.AST, &linter.Linter{})
	if err != nil {
		return nil, src.wrap(err)
	}
	w := newWalker(src, result, stages)
	w.ends, w.size = ends, measured
	if err := w.resolve(args); err != nil {
		return nil, err
	}
	d := &Dockerfile{Images: w.images(), Instructions: w.list(result.AST), Unused: w.unused(), walker: w}
	err = w.walk(func(s *site) {
		s.notePlatform()
		d.Warnings = append(d.Warnings, s.warnings()...)
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// oneLine makes every instruction one line long and returns where they end, by
// the line where they start: BuildKit keeps a piece of memory for each line of
// an instruction, more than once.
func oneLine(root *parser.Node) map[int]int {
	ends := make(map[int]int, len(root.Children))
	for _, node := range root.Children {
		ends[node.StartLine] = node.EndLine
		node.EndLine = node.StartLine
	}
	return ends
}

// list returns all instructions in file order.
func (w *walker) list(root *parser.Node) []Instruction {
	listed := make([]Instruction, 0, len(root.Children))
	stage := -1
	for _, node := range root.Children {
		if strings.EqualFold(node.Value, "from") {
			stage++
		}
		text := strings.TrimSpace(node.Original)
		unused := stage >= 0 && !w.stages[stage].used
		listed = append(listed, Instruction{Text: text, Sent: text, Line: node.StartLine, Unused: unused})
	}
	return listed
}

// newWalker returns a walker over parsed stages.
func newWalker(src source, result *parser.Result, stages []instructions.Stage) *walker {
	w := &walker{
		source: src,
		lex:    shell.NewLex(result.EscapeToken),
		escape: result.EscapeToken,
		nodes:  make(map[int]*parser.Node, len(result.AST.Children)),
		parsed: stages, platform: newPlatformUse(),
	}
	for _, node := range result.AST.Children {
		w.nodes[node.StartLine] = node
	}
	return w
}

func startLine(ranges []parser.Range) int {
	return firstLine([][]parser.Range{ranges})
}
