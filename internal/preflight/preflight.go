package preflight

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
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
	// Line is the first line that names it.
	Line int
}

// Instruction is one instruction of the Dockerfile.
type Instruction struct {
	// Text is the instruction without its continuation characters, ARGs not
	// expanded; a heredoc's content is not part of it.
	Text string
	// Line is where it starts.
	Line int
}

// Dockerfile is what kiln has to know of a Dockerfile.
type Dockerfile struct {
	// Images are the external images, each reference once, in file order.
	Images []Image
	// Instructions are all instructions in file order.
	Instructions []Instruction
}

// Parse reads the Dockerfile in data, at most 1 MiB and 1,000 instructions.
// The name is used in errors, all of which are of type [*Error].
//
// The platform that a FROM line may ask for is that of the running process.
func Parse(name string, data []byte) (dockerfile *Dockerfile, err error) {
	src := source{name: name, data: data}
	if len(data) > maxSize {
		return nil, src.errorf(0, "the Dockerfile is larger than %d bytes", maxSize)
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
	stages, args, err := instructions.Parse(result.AST, &linter.Linter{})
	if err != nil {
		return nil, src.wrap(err)
	}
	r := reader{source: src, scope: newScope(result.EscapeToken)}
	if err := r.read(args, stages); err != nil {
		return nil, err
	}
	return &Dockerfile{Images: r.images, Instructions: list(result.AST)}, nil
}

func list(root *parser.Node) []Instruction {
	listed := make([]Instruction, 0, len(root.Children))
	for _, node := range root.Children {
		listed = append(listed, Instruction{Text: strings.TrimSpace(node.Original), Line: node.StartLine})
	}
	return listed
}

// reader collects the images of one Dockerfile.
type reader struct {
	source
	scope  *scope
	stages []instructions.Stage
	images []Image
	seen   map[string]bool
}

func (r *reader) read(args []instructions.ArgCommand, stages []instructions.Stage) error {
	r.seen = map[string]bool{}
	r.stages = stages
	if len(stages) == 0 {
		return r.errorf(0, "the Dockerfile has no FROM")
	}
	for _, arg := range args {
		if err := r.scope.declare(arg); err != nil {
			return r.errorf(startLine(arg.Location()), "%s", err)
		}
	}
	for index := range stages {
		if err := r.stage(index); err != nil {
			return err
		}
	}
	return nil
}

// stage reads the stage with the given index: its base, then what its
// instructions take from elsewhere.
func (r *reader) stage(index int) error {
	stage := r.stages[index]
	line := startLine(stage.Location)
	base, err := r.scope.expand(stage.BaseName)
	if err != nil {
		return r.errorf(line, "%s", err)
	}
	if base == "" {
		return r.errorf(line, "the base image is empty after its variables are expanded")
	}
	if named, found := r.find(base); !found || named >= index {
		if err := r.image(base, line); err != nil {
			return err
		}
	}
	for _, command := range stage.Commands {
		if err := r.command(command, index); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) command(command instructions.Command, index int) error {
	line := startLine(command.Location())
	switch c := command.(type) {
	case *instructions.CopyCommand:
		return r.from(c.From, index, line)
	case *instructions.RunCommand:
		for _, mount := range instructions.GetMounts(c) {
			if err := r.from(mount.From, index, line); err != nil {
				return err
			}
		}
	}
	return nil
}

// from reads the value of a --from in the stage with the given index: an
// earlier stage by name or number, or an image.
func (r *reader) from(value string, index, line int) error {
	if value == "" {
		return nil
	}
	if strings.Contains(value, "$") {
		return r.errorf(line, "--from takes no variables: name a stage with FROM ... AS and copy from that")
	}
	number, err := strconv.Atoi(value)
	named, found := r.find(value)
	switch {
	case err == nil && (number < 0 || number >= index), err != nil && found && named >= index:
		return r.errorf(line, "--from=%s is not an earlier stage", value)
	case err == nil || found:
		return nil
	}
	return r.image(value, line)
}

// find returns the index of the stage with a name. Docker compares names
// without regard to case.
func (r *reader) find(stage string) (int, bool) {
	lower := strings.ToLower(stage)
	for index := range r.stages {
		if r.stages[index].Name == lower {
			return index, true
		}
	}
	return 0, false
}

func (r *reader) image(reference string, line int) error {
	if reference == scratch || r.seen[reference] {
		return nil
	}
	parsed, err := name.ParseReference(reference)
	if err != nil {
		return r.errorf(line, "%q is not an image reference", reference)
	}
	r.seen[reference] = true
	r.images = append(r.images, Image{
		Reference: reference,
		Registry:  parsed.Context().RegistryStr(),
		Line:      line,
	})
	return nil
}

func startLine(ranges []parser.Range) int {
	return firstLine([][]parser.Range{ranges})
}
