package preflight

import (
	"bytes"

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

// File is a Dockerfile that was parsed: what it says by itself. Nothing changes it,
// so it is safe for concurrent use; its fields are for reading. The zero value is of
// no Dockerfile.
type File struct {
	// Images are the external images that the last stage needs, each reference
	// once, in file order.
	Images []Image
	// Instructions are all instructions in file order, those before the first FROM
	// too.
	Instructions []Instruction
	// Stages are all stages in file order.
	Stages []Stage
	// OwnArgs are the variables of the platform that the Dockerfile gives values of
	// its own, in order: the executor must not be told them.
	OwnArgs []string
	// Devices is the line of the first RUN that is built and names a program that
	// makes device nodes, or 0. A script that the RUN calls may do so too and is not
	// read.
	Devices int

	// warnings are what the author should know whatever builds the image.
	warnings []Problem
	outline  *walker
}

// Parse reads the Dockerfile in data, at most 1 MiB and 1,000 instructions, with
// bounds on their heredocs and words.
// The name is used in errors, all of which are of type [*Error] and of the kind
// [Syntax].
//
// The platform that a FROM line may ask for is that of the running process.
func Parse(name string, data []byte) (*File, error) {
	src := newSource(name, data)
	file, err := parse(src)
	return file, ofSyntax(err)
}

func parse(src source) (file *File, err error) {
	if len(src.data) > maxSize {
		return nil, src.errorf(0, "the Dockerfile is larger than %d bytes", maxSize)
	}
	measured := measure(src.data)
	if excess := measured.excess(); excess != "" {
		return nil, src.errorf(0, "the Dockerfile has %s", excess)
	}
	// A parser that trips over hostile input must not take the process down.
	defer func() {
		if recovered := recover(); recovered != nil {
			file, err = nil, src.errorf(0, "the Dockerfile cannot be parsed: %v", recovered)
		}
	}()
	result, err := parser.Parse(bytes.NewReader(src.data))
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
	return w.file(result.AST)
}

// file tells what is known of a Dockerfile whose stages are resolved.
func (w *walker) file(root *parser.Node) (*File, error) {
	f := &File{Images: w.images(), outline: w}
	f.Instructions, f.Stages = w.list(root)
	f.Devices = w.devices(f.Instructions)
	err := w.over(nil).walk(func(s *site) {
		s.notePlatform()
		f.warnings = append(f.warnings, s.warnings()...)
	})
	f.OwnArgs = w.platform.ownArgs()
	if err != nil {
		return nil, err
	}
	return f, nil
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
