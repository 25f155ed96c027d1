package preflight

import (
	"fmt"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/command"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// Instruction is one instruction of the Dockerfile.
type Instruction struct {
	// Text is the instruction without its continuation characters, ARGs not
	// expanded; a heredoc's content is not part of it.
	Text string
	// Sent is the instruction as Kaniko gets and names it: Text, or in the stages
	// of [Sent] what was made of it.
	Sent string
	// Line is where it starts.
	Line int
	// Unused is whether it belongs to a stage that the last one does not need.
	Unused bool
	// Layer is whether BuildKit's progress counts it: it makes a layer, or pulls
	// the first ones.
	Layer bool
}

// Stage is one stage as BuildKit's progress shows it.
type Stage struct {
	// Name is that of FROM ... AS in lower case, else "stage-" and the stage's
	// number from 0.
	Name string
	// Unused is whether the last stage does not need it.
	Unused bool
	// Instructions are those of the stage, FROM first.
	Instructions []Instruction
}

// Skipped has the numbers of the stages that an executor does not build: none unless it
// skips those that the last one does not need.
func (f *File) Skipped(skips bool) map[int]bool {
	skipped := map[int]bool{}
	for i, stage := range f.Stages {
		skipped[i] = skips && stage.Unused
	}
	return skipped
}

// list returns all instructions in file order, and the stages that they belong to.
func (w *walker) list(root *parser.Node) ([]Instruction, []Stage) {
	listed := make([]Instruction, 0, len(root.Children))
	var begins []int
	for _, node := range root.Children {
		if strings.EqualFold(node.Value, command.From) {
			begins = append(begins, len(listed))
		}
		text := strings.TrimSpace(node.Original)
		i := Instruction{Text: text, Sent: text, Line: node.StartLine}
		if stage := len(begins) - 1; stage >= 0 {
			i.Unused, i.Layer = !w.stages[stage].used, w.stages[stage].layered(strings.ToLower(node.Value))
		}
		listed = append(listed, i)
	}
	return listed, w.divide(listed, begins)
}

// divide divides instructions into stages, which begin at these.
func (w *walker) divide(listed []Instruction, begins []int) []Stage {
	stages := make([]Stage, len(begins))
	for i, begin := range begins {
		end := len(listed)
		if i+1 < len(begins) {
			end = begins[i+1]
		}
		name := w.parsed[i].Name
		if name == "" {
			name = fmt.Sprintf("stage-%d", i)
		}
		stages[i] = Stage{Name: name, Unused: !w.stages[i].used, Instructions: listed[begin:end:end]}
	}
	return stages
}

// layered reports whether BuildKit's progress counts an instruction of the stage.
func (s *stage) layered(name string) bool {
	switch name {
	case command.Add, command.Copy, command.Run, command.Workdir:
		return true
	case command.From:
		return s.base != nil || s.image != scratch
	}
	return false
}
