package kaniko

import (
	"fmt"
	"slices"

	"kiln/internal/preflight"
)

// plan says where in the Dockerfile an instruction stands, as BuildKit's
// progress does: "build 2/3" is the second step of three in the stage "build".
// It is for one goroutine.
type plan struct {
	stages []preflight.Stage // those that are built
	now    int               // the stage being built; -1 before the first
	next   int               // the first instruction of it that has not begun
	line   int               // of the instruction that was begun last, 0 if unknown
	single bool              // the Dockerfile has one stage alone, which needs no name
}

// newPlan plans the build of a Dockerfile's stages. There may be none.
func newPlan(stages []preflight.Stage) plan {
	return plan{stages: built(stages), now: -1, single: len(stages) == 1}
}

// built are the stages that the executor builds, which numbers them without
// the others: those that the last stage needs.
func built(stages []preflight.Stage) []preflight.Stage {
	return slices.DeleteFunc(slices.Clone(stages), func(s preflight.Stage) bool { return s.Unused })
}

// stage begins the stage with the given index and returns the position of its
// FROM.
func (p *plan) stage(index int) string {
	if p.now, p.next, p.line = index, 1, 0; index < 0 || index >= len(p.stages) {
		p.now = -1
		return ""
	}
	return p.position(0)
}

// instruction returns the position of the next instruction with the given
// text in the present stage, or "" for one that the Dockerfile does not hold,
// such as a trigger of the base image.
func (p *plan) instruction(text string) string {
	p.line = 0
	if p.now < 0 {
		return ""
	}
	all := p.stages[p.now].Instructions
	for i := p.next; i < len(all); i++ {
		if all[i].Sent == text {
			p.next, p.line = i+1, all[i].Line
			return p.position(i)
		}
	}
	return ""
}

// position formats where an instruction stands in the present stage, as far as it
// counts.
func (p *plan) position(index int) string {
	stage := p.stages[p.now]
	if !stage.Instructions[index].Layer {
		return ""
	}
	number, total := layers(stage.Instructions[:index+1]), layers(stage.Instructions)
	if p.single {
		return fmt.Sprintf("[%d/%d] ", number, total)
	}
	return fmt.Sprintf("[%s %d/%d] ", shorten(stage.Name), number, total)
}

// layers returns how many of the instructions count.
func layers(instructions []preflight.Instruction) int {
	count := 0
	for _, instruction := range instructions {
		if instruction.Layer {
			count++
		}
	}
	return count
}
