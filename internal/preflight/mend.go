package preflight

import (
	"bytes"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"kiln/internal/buildcontext"
)

const (
	// SentDockerfile is the name of the Dockerfile that Kaniko gets, beside the
	// context.
	SentDockerfile = "Dockerfile"
	// heredocDirectory holds the heredocs of COPY and ADD, beside the context.
	heredocDirectory = "heredoc"
	// maxLine bounds a line that kiln writes, and the one in which Kaniko logs it:
	// BuildKit's parser and kiln's reader of the log take lines of up to 64 KiB.
	maxLine = 60 << 10
)

// Sent is what Kaniko gets of a Dockerfile. Its fields are for reading.
type Sent struct {
	// Files stand beside the context: the Dockerfile, which comes first, its
	// .dockerignore, and the heredocs and archives that it copies.
	Files []buildcontext.File
	// Stages are those of the [File] with their instructions as they are sent, and
	// those that are left out as the author has them.
	Stages []Stage
}

// Send writes the places that the flavor cannot build in another way which it can,
// with exactly Docker's result. What has nothing of that comes out byte for byte.
// Every instruction begins in the line in which the author has it. Stages that nothing
// uses are left out where the flavor would build them.
//
// Bases are the images that Shells names, by reference. Ignore is the content of the
// .dockerignore that belongs to the Dockerfile: the context is filtered already, but
// for the Dockerfile and the .dockerignore themselves.
//
// What is written is read again, and has to be what was meant: the Dockerfile
// is hostile. The error, of type [*Error], refuses what cannot be written so.
func (r *Report) Send(bases map[string]Base, ignore []byte) (Sent, error) {
	c := newCheck(r.file.outline.source, r.flavor)
	c.before, c.bases = r.found, map[string]Base{}
	for image, base := range bases {
		if !setsShell(base.Triggers) { // else its shell is not known
			c.bases[image] = base
		}
	}
	w := r.file.outline.over(r.context)
	if err := c.run(w); err != nil {
		return Sent{}, err
	}
	c.leaveOut(r.file)
	text, stages := w.data, r.file.Stages
	if len(c.edits) > 0 {
		var ok bool
		if text, stages, ok = r.file.write(c.edits); !ok {
			for _, e := range c.edits {
				c.refused = append(c.refused, e.refusal)
			}
			return Sent{}, c.verdict()
		}
	}
	if len(c.files) > 0 {
		ignore = slices.Concat(ignore, []byte(readmitted))
	}
	return Sent{Files: append(sent(text, ignore), c.files...), Stages: stages}, nil
}

// readmitted lets Kaniko copy heredocs whatever a .dockerignore says: it looks
// for the files beside the context in it too, by more than one path.
const readmitted = "\n!**/" + heredocDirectory + "/*/*\n"

// AsIs returns the files for a Dockerfile that is sent as its author has it.
func (f *File) AsIs(ignore []byte) []buildcontext.File { return sent(f.outline.data, ignore) }

// sent are the files that stand beside every context.
func sent(dockerfile, ignore []byte) []buildcontext.File {
	return []buildcontext.File{{Name: SentDockerfile, Content: dockerfile}, {Name: SentDockerfile + ".dockerignore", Content: ignore}}
}

// CopiesHeredoc reports whether an instruction, as it is sent, copies a heredoc
// from beside the context.
func CopiesHeredoc(sent string) bool { return strings.Contains(sent, `"../`+heredocDirectory+"/") }

// edit is one instruction that is written in another way.
type edit struct {
	node *parser.Node
	// line is what is written, nothing where the instruction is left out.
	line string
	// means reports whether an instruction that was read, of the type that
	// BuildKit's parser has for it, is what was meant. It is nil for one that is left out.
	means func(any) bool
	// flags are those that a RUN has to keep.
	flags []string
	// refusal is the error that it spares.
	refusal *Error
}

// write returns the Dockerfile with the edits made, in lines of the same
// numbers, its stages as they are then, and whether it says what is meant.
func (f *File) write(edits []edit) ([]byte, []Stage, bool) {
	w := f.outline
	slices.SortFunc(edits, func(a, b edit) int { return a.node.StartLine - b.node.StartLine })
	var out bytes.Buffer
	out.Grow(len(w.data))
	rest, at := w.data, 1
	for _, e := range edits {
		lines := w.ends[e.node.StartLine] - e.node.StartLine + 1
		var kept []byte
		kept, rest = cutLines(rest, e.node.StartLine-at)
		out.Write(kept)
		out.WriteString(e.line)
		_, rest = cutLines(rest, lines)
		out.WriteString(strings.Repeat("\n", lines))
		at = e.node.StartLine + lines
	}
	out.Write(rest)
	if out.Len() > maxSize {
		return nil, nil, false
	}
	stages, ok := f.holds(out.Bytes(), edits)
	return out.Bytes(), stages, ok
}

// cutLines splits text after n lines.
func cutLines(text []byte, n int) (lines, rest []byte) {
	end := 0
	for range n {
		i := bytes.IndexByte(text[end:], '\n')
		if i < 0 {
			return text, nil
		}
		end += i + 1
	}
	return text[:end], text[end:]
}

// holds reports whether text is the Dockerfile with nothing but the edits made,
// and returns the stages with the instructions as they are written.
func (f *File) holds(text []byte, edits []edit) ([]Stage, bool) {
	result, err := parser.Parse(bytes.NewReader(text))
	if err != nil || result.EscapeToken != f.outline.escape {
		return nil, false
	}
	edited := make(map[int]edit, len(edits))
	for _, e := range edits {
		edited[e.node.StartLine] = e
	}
	leftOut := func(i Instruction) bool { e, found := edited[i.Line]; return found && e.means == nil }
	want := slices.DeleteFunc(slices.Clone(f.Instructions), leftOut)
	if len(result.AST.Children) != len(want) {
		return nil, false
	}
	written := make(map[int]string, len(edits))
	for i, node := range result.AST.Children {
		if node.StartLine != want[i].Line {
			return nil, false
		}
		if e, found := edited[node.StartLine]; found && !e.holds(node) || !found && !f.outline.same(node) {
			return nil, false
		}
		written[node.StartLine] = strings.TrimSpace(node.Original)
	}
	stages := slices.Clone(f.Stages)
	for i := range stages {
		stages[i].Instructions = slices.Clone(stages[i].Instructions)
		for j := range stages[i].Instructions {
			instruction := &stages[i].Instructions[j]
			if !leftOut(*instruction) {
				instruction.Sent = written[instruction.Line]
			}
		}
	}
	return stages, true
}

// holds reports whether an instruction that was read is what was meant.
func (e edit) holds(node *parser.Node) bool {
	read, err := instructions.ParseInstructionWithLinter(node, &linter.Linter{})
	_, run := read.(*instructions.RunCommand)
	return err == nil && e.means(read) && (!run || slices.Equal(node.Flags, e.flags))
}

// same reports whether an instruction is written as the author has it.
func (w *walker) same(node *parser.Node) bool {
	own := w.node(node.StartLine)
	return node.Original == own.Original && node.EndLine == w.ends[node.StartLine] && slices.Equal(node.Heredocs, own.Heredocs)
}
