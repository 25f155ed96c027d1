package kaniko

import (
	"fmt"
	"slices"
	"strings"

	"kiln/internal/preflight"
)

// plan says where in the Dockerfile an instruction stands, as BuildKit's
// progress does: "build 2/3" is the second step of three in the stage "build".
// It is for one goroutine.
type plan struct {
	stages []plannedStage // those that are built
	now    int            // the stage being built; -1 before the first
	next   int            // the first instruction of it that has not begun
	line   int            // of the instruction that was begun last, 0 if unknown
	single bool           // the Dockerfile has one stage alone, which needs no name
}

// plannedStage is one stage of the Dockerfile.
type plannedStage struct {
	name   string
	steps  []plannedStep
	total  int  // of the steps that count
	unused bool // the last stage does not need it
	copies bool // it copies from a stage or an image
}

// plannedStep is one instruction. Only what makes a layer counts.
type plannedStep struct {
	text   string // as it is sent, and logged
	line   int
	number int // from 1, 0 if it does not count
}

// newPlan reads the instructions of a Dockerfile. It may be nil.
func newPlan(dockerfile *preflight.Dockerfile) plan {
	p := plan{now: -1}
	if dockerfile == nil {
		return p
	}
	for _, instruction := range dockerfile.Instructions {
		words := strings.Fields(instruction.Text)
		if len(words) == 0 {
			continue
		}
		if strings.EqualFold(words[0], "FROM") {
			name := stageName(words, len(p.stages))
			p.stages = append(p.stages, plannedStage{name: name, unused: instruction.Unused})
		}
		if len(p.stages) > 0 {
			p.stages[len(p.stages)-1].add(instruction, words)
		}
	}
	p.single = len(p.stages) == 1
	p.stages = built(p.stages)
	return p
}

// built are the stages that the executor builds, which numbers them without
// the others. It leaves out what the last stage does not need, unless that
// one builds on no other stage and copies from nothing (skipUnusedStages in
// its source).
func built(stages []plannedStage) []plannedStage {
	used := slices.DeleteFunc(slices.Clone(stages), func(s plannedStage) bool { return s.unused })
	if len(used) == 0 || len(used) == 1 && !used[0].copies {
		return stages
	}
	return used
}

// stageName is the name in "FROM image AS name", else the one that BuildKit
// gives.
func stageName(words []string, index int) string {
	if n := len(words); n > 3 && strings.EqualFold(words[n-2], "AS") {
		return words[n-1]
	}
	return fmt.Sprintf("stage-%d", index)
}

// add appends an instruction.
func (s *plannedStage) add(instruction preflight.Instruction, words []string) {
	if strings.EqualFold(words[0], "COPY") && strings.Contains(instruction.Text, "--from=") {
		s.copies = true
	}
	step := plannedStep{text: instruction.Sent, line: instruction.Line}
	if counts(words) {
		s.total++
		step.number = s.total
	}
	s.steps = append(s.steps, step)
}

// counts reports whether an instruction makes a layer, or pulls the first
// ones.
func counts(words []string) bool {
	switch strings.ToUpper(words[0]) {
	case "ADD", "COPY", "RUN", "WORKDIR":
		return true
	case "FROM":
		return len(words) > 1 && words[1] != "scratch"
	}
	return false
}

// stage begins the stage with the given index and returns the position of its
// FROM.
func (p *plan) stage(index int) string {
	if p.now, p.next, p.line = index, 1, 0; index < 0 || index >= len(p.stages) {
		p.now = -1
		return ""
	}
	return p.position(p.stages[index].steps[0])
}

// instruction returns the position of the next instruction with the given
// text in the present stage, or "" for one that the Dockerfile does not hold,
// such as a trigger of the base image.
func (p *plan) instruction(text string) string {
	p.line = 0
	if p.now < 0 {
		return ""
	}
	steps := p.stages[p.now].steps
	for i := p.next; i < len(steps); i++ {
		if steps[i].text == text {
			p.next, p.line = i+1, steps[i].line
			return p.position(steps[i])
		}
	}
	return ""
}

// position formats where step stands in the present stage.
func (p *plan) position(step plannedStep) string {
	if step.number == 0 {
		return ""
	}
	stage := p.stages[p.now]
	if p.single {
		return fmt.Sprintf("[%d/%d] ", step.number, stage.total)
	}
	return fmt.Sprintf("[%s %d/%d] ", shorten(stage.name), step.number, stage.total)
}
