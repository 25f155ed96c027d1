package split

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"kiln/internal/buildcontext"
	"kiln/internal/tarball"
)

// Base is what has to be known of a base image.
type Base struct {
	// Env, User and Shell are those of its configuration, Triggers its ONBUILD.
	Env      []string
	User     string
	Shell    []string
	Triggers []string
}

// Input is what a decision is made of. Nothing changes it.
type Input struct {
	// Dockerfile is the text, which preflight.Parse has taken.
	Dockerfile []byte
	// Bases has every image that a FROM of a used stage names, by that reference.
	Bases map[string]Base
	// Tree lists the context.
	Tree *buildcontext.Tree
	// Archive is what is known of a file of the context that ADD names, by its clean
	// and relative path. Nil knows of none.
	Archive func(path string) (facts tarball.Facts, known bool)
	// Skips has the numbers of the stages that the executor certainly does not build:
	// the image needs none of them.
	Skips map[int]bool
	// NoChmod takes every RUN for one that runs something.
	NoChmod bool
}

// Unsure says why a Dockerfile is not split, or why its rest cannot be put on a base.
// It is no fault of the Dockerfile.
type Unsure struct {
	// Line is that of the instruction, 0 for none.
	Line   int
	Reason string
}

// Error is one line.
func (u *Unsure) Error() string {
	if u.Line == 0 {
		return "not split: " + u.Reason
	}
	return fmt.Sprintf("not split: line %d: %s", u.Line, u.Reason)
}

// unsure makes an error of type [*Unsure].
func unsure(line int, format string, args ...any) *Unsure {
	return &Unsure{Line: line, Reason: fmt.Sprintf(format, args...)}
}

// Plan says how a Dockerfile is split. Nothing changes it.
type Plan struct {
	// Image is the image that all is built on, as FROM names it with its variables
	// expanded; "scratch" for none.
	Image string
	// Dockerfile is the base part, nil where that is Image itself and nothing runs.
	Dockerfile []byte
	// Paths are the entries of the context that the base part's own COPYs and ADDs
	// name, with the directories and links that lead to them: clean, relative,
	// sorted as text, each once. Whole is whether it gets all of the context.
	Paths []string
	Whole bool
	// Last is the line where the base part ends, 0 where nothing runs.
	Last int
	// Rest are the instructions on top, in order.
	Rest []Step
	// Env is the environment that the image of the base part must have, in order.
	Env []string
	// Archives are the files of the context that ADDs of the rest unpack, sorted, each
	// once.
	Archives []string
	// CmdSet is whether the stage in which the rest begins has set CMD before.
	CmdSet bool

	scope *Scope
}

// Scope returns the variables at the beginning of the rest, for one assembly.
func (p *Plan) Scope() *Scope { return p.scope.clone() }

// Decide splits a Dockerfile. The error is of type [*Unsure].
func Decide(in Input) (plan *Plan, err error) {
	// A parser that trips over hostile input must not take the process down.
	defer func() {
		if recovered := recover(); recovered != nil {
			plan, err = nil, unsure(0, "the Dockerfile cannot be read: %v", recovered)
		}
	}()
	d, err := read(in)
	if err != nil {
		return nil, asUnsure(err)
	}
	chain, err := d.chain()
	if err != nil {
		return nil, asUnsure(err)
	}
	plan, err = d.plan(chain)
	return plan, asUnsure(err)
}

// asUnsure gives every error the one type, nil stays nil.
func asUnsure(err error) error {
	if err == nil {
		return nil
	}
	if u, ok := errors.AsType[*Unsure](err); ok {
		return u
	}
	return unsure(0, "%v", err)
}

// decision is one look at a Dockerfile.
type decision struct {
	Input
	result  *parser.Result
	stages  []instructions.Stage
	nodes   map[int]*parser.Node // by the line where they start
	globals *Scope
	// looks is how many entries of the context were compared for ADDs.
	looks int
	// archives are those that ADDs unpack behind the cut that was found.
	archives map[string]bool
}

// read parses the Dockerfile and sets the variables before the first FROM.
func read(in Input) (*decision, error) {
	switch {
	case in.Tree == nil:
		return nil, unsure(0, "what is in the build context is not known")
	case bytes.Contains(in.Dockerfile, []byte("TARGETSTAGE")):
		return nil, unsure(0, "the base part has another TARGETSTAGE than the whole")
	}
	result, err := parser.Parse(bytes.NewReader(in.Dockerfile))
	if err != nil {
		return nil, err
	}
	nodes := map[int]*parser.Node{}
	for _, node := range result.AST.Children {
		nodes[node.StartLine] = node
	}
	stages, front, err := instructions.Parse(result.AST, &linter.Linter{})
	if err != nil {
		return nil, err
	}
	if len(stages) == 0 {
		return nil, unsure(0, "there is no FROM")
	}
	d := &decision{Input: in, result: result, stages: stages, nodes: nodes, globals: newScope(result.EscapeToken), archives: map[string]bool{}}
	if err := d.globals.begin(platformArgs()); err != nil {
		return nil, err
	}
	for i := range front {
		if err := d.globals.meta(&front[i]); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// plan cuts the chain.
func (d *decision) plan(chain []Step) (*Plan, error) {
	cut, at, err := d.cut(chain)
	if err != nil {
		return nil, err
	}
	p := &Plan{Image: chain[0].image, Rest: slices.Clone(chain[cut:]), Env: at.env, CmdSet: at.cmd, Archives: slices.Sorted(maps.Keys(d.archives)), scope: at.scope}
	if cut == 1 {
		return p, nil
	}
	last := chain[cut-1]
	p.Last = last.end
	if p.Dockerfile, err = d.before(last); err != nil {
		return nil, err
	}
	p.Paths, p.Whole = d.paths(last.end)
	return p, nil
}

// before is the text up to the end of a step, and has the instructions up to it alone.
func (d *decision) before(last Step) ([]byte, error) {
	text := d.Dockerfile
	for at, line := 0, 0; at < len(text); {
		end := bytes.IndexByte(text[at:], '\n')
		if end < 0 {
			break
		}
		at += end + 1
		if line++; line == last.end {
			text = text[:at:at]
		}
	}
	again, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return nil, unsure(last.Line, "the Dockerfile cannot be cut behind it: %v", err)
	}
	nodes := d.result.AST.Children
	count := len(again.AST.Children)
	same := count <= len(nodes) && again.EscapeToken == d.result.EscapeToken &&
		slices.EqualFunc(again.AST.Children, nodes[:count], sameNode) &&
		(count == len(nodes) || nodes[count].StartLine > last.end) && count > 0 && again.AST.Children[count-1].StartLine == last.Line
	if !same {
		return nil, unsure(last.Line, "the Dockerfile cannot be cut behind it")
	}
	return text, nil
}

// sameNode reports whether two nodes are the same instruction at the same place.
func sameNode(a, b *parser.Node) bool {
	return a.StartLine == b.StartLine && a.Original == b.Original &&
		slices.EqualFunc(a.Heredocs, b.Heredocs, func(a, b parser.Heredoc) bool { return a == b })
}
