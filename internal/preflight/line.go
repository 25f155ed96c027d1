package preflight

import (
	"path"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/command"
)

// Line returns the line of the instruction with the given text, or that of
// the first use of the image with the given reference, or 0. Texts are
// compared as they are: an instruction with heredocs or continuation lines
// whose text differs has none.
func (f *File) Line(instruction, image string) int {
	for _, i := range f.Instructions {
		if instruction != "" && i.Text == instruction {
			return i.Line
		}
	}
	for _, i := range f.Images {
		if image != "" && i.Reference == image {
			return i.Line
		}
	}
	return 0
}

// SourceLine returns the line of the first COPY or ADD that names source as
// one of its arguments, or 0. "./a", "../a" and "a" are the same source.
func (f *File) SourceLine(source string) int {
	if source == "" {
		return 0
	}
	for _, i := range f.Instructions {
		words := strings.Fields(i.Text)
		if !strings.EqualFold(words[0], command.Copy) && !strings.EqualFold(words[0], command.Add) {
			continue
		}
		for _, word := range words[1:] {
			if path.Clean(word) == source || path.Clean("/"+word) == "/"+source {
				return i.Line
			}
		}
	}
	return 0
}
