package preflight

import (
	"bytes"
	"fmt"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// triggers returns the external images that triggers name. The name tells in errors
// whose they are.
func (f *File) triggers(name string, onbuild []string) ([]Image, error) {
	images, err := imagesOf(&walker{source: source{name: name}, parsed: f.outline.parsed}, onbuild)
	return images, ofSyntax(err)
}

func imagesOf(w *walker, onbuild []string) (images []Image, err error) {
	defer func() {
		if recovered := recover(); recovered != nil {
			images, err = nil, w.errorf(0, "an ONBUILD trigger cannot be parsed: %v", recovered)
		}
	}()
	commands, err := parseTriggers(w.source, onbuild)
	if err != nil {
		return nil, err
	}
	// A trigger may run in any stage, so it may take from any.
	s := &stage{index: len(w.parsed), used: true}
	for _, t := range commands {
		if err := w.takes(s, t.command, 0); err != nil {
			return nil, err
		}
	}
	w.stages = []*stage{s}
	return w.images(), nil
}

// trigger is one ONBUILD trigger of a base.
type trigger struct {
	// image is the base, as the Dockerfile names it.
	image string
	// ofStage is whether that is a stage of the same Dockerfile.
	ofStage bool
	command instructions.Command
	node    *parser.Node
	size    size
}

// parseTriggers parses ONBUILD triggers as BuildKit does: each is one instruction.
func parseTriggers(src source, onbuild []string) ([]trigger, error) {
	if len(onbuild) > maxInstructions {
		return nil, src.errorf(0, "the image has %d ONBUILD triggers, more than %d", len(onbuild), maxInstructions)
	}
	if total(onbuild) > maxSize {
		return nil, src.errorf(0, "the ONBUILD triggers are larger than %d bytes", maxSize)
	}
	parsed := make([]trigger, 0, len(onbuild))
	for _, text := range onbuild {
		t, err := parseTrigger(text)
		if err != nil {
			bad := src.errorf(0, "ONBUILD trigger: %s", err)
			bad.Text = printable(text)
			return nil, bad
		}
		parsed = append(parsed, t)
	}
	return parsed, nil
}

// total is the length of all texts, in bytes.
func total(texts []string) int {
	size := 0
	for _, text := range texts {
		size += len(text)
	}
	return size
}

func parseTrigger(text string) (trigger, error) {
	measured := measure([]byte(text))
	if excess := measured.excess(); excess != "" {
		return trigger{}, fmt.Errorf("it has %s", excess)
	}
	if measured.instructions > 1 {
		return trigger{}, fmt.Errorf("it is %d instructions instead of one", measured.instructions)
	}
	result, err := parser.Parse(bytes.NewReader([]byte(text)))
	if err != nil {
		return trigger{}, err
	}
	if count := len(result.AST.Children); count != 1 {
		return trigger{}, fmt.Errorf("it is %d instructions instead of one", count)
	}
	oneLine(result.AST)
	node := result.AST.Children[0]
	parsed, err := instructions.ParseInstructionWithLinter(node, &linter.Linter{})
	if err != nil {
		return trigger{}, err
	}
	command, ok := parsed.(instructions.Command)
	if !ok {
		return trigger{}, fmt.Errorf("FROM is not allowed in it")
	}
	return trigger{command: command, node: node, size: measured}, nil
}
