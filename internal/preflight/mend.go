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

// Base is what Mend has to know of a base image.
type Base struct {
	// Shell is the SHELL of its configuration, empty for /bin/sh -c.
	Shell []string
	// Triggers are its ONBUILD triggers.
	Triggers []string
}

// Given is what Mend has to know beside the Dockerfile.
type Given struct {
	// Bases are the images that Shells names, by reference.
	Bases map[string]Base
	// Ignore is the content of the .dockerignore that belongs to the
	// Dockerfile. The context is filtered already, but for the Dockerfile and
	// the .dockerignore themselves.
	Ignore []byte
}

// Shells returns the base images whose [Base] Mend needs. It is known after
// [Dockerfile.Check].
func (d *Dockerfile) Shells() []Image {
	var images []Image
	for _, image := range d.Images {
		if d.shells[image.Reference] {
			images = append(images, image)
		}
	}
	return images
}

// Mend writes the places that the flavor cannot build in another way which it
// can, with exactly Docker's result. What has nothing to mend comes out byte for byte. Every instruction begins in
// the line in which the author has it, and [Instruction.Sent] says how it is
// written now.
//
// What is written is read again, and has to be what was meant: the Dockerfile
// is hostile. After a [Dockerfile.Check] for the same flavor Mend goes by what
// that has found, which may have known the context. The error, of type [*Error],
// refuses what cannot be mended. Mend is for one goroutine at a time.
//
// The files stand beside the context: the Dockerfile, which comes first, its
// .dockerignore, and the heredocs that it copies.
func (d *Dockerfile) Mend(flavor string, given Given) ([]buildcontext.File, error) {
	c := d.newCheck(flavor)
	if d.foundFlavor == flavor {
		c.before = d.found
	}
	c.bases = map[string]Base{}
	for image, base := range given.Bases {
		if !setsShell(base.Triggers) { // else its shell is not known
			c.bases[image] = base
		}
	}
	if err := c.run(d.walker); err != nil {
		return nil, err
	}
	d.walker.repacked = nil // the files have them now
	text := d.walker.data
	if len(c.edits) > 0 {
		var ok bool
		if text, ok = d.write(c.edits); !ok {
			for _, e := range c.edits {
				c.refused = append(c.refused, e.refusal)
			}
			return nil, c.verdict()
		}
	}
	ignore := given.Ignore
	if len(c.files) > 0 {
		ignore = slices.Concat(ignore, []byte(readmitted))
	}
	return append(sent(text, ignore), c.files...), nil
}

// readmitted lets Kaniko copy heredocs whatever a .dockerignore says: it looks
// for the files beside the context in it too, by more than one path.
const readmitted = "\n!**/" + heredocDirectory + "/*/*\n"

// AsIs returns the files for a Dockerfile that is sent as its author has it.
func (d *Dockerfile) AsIs(ignore []byte) []buildcontext.File { return sent(d.walker.data, ignore) }

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
	// line is what is written.
	line string
	// means reports whether an instruction that was read, of the type that
	// BuildKit's parser has for it, is what was meant.
	means func(any) bool
	// flags are those that a RUN has to keep.
	flags []string
	// refusal is the error that it spares.
	refusal *Error
}

// write returns the Dockerfile with the edits made, in lines of the same
// numbers, and whether it says what is meant.
func (d *Dockerfile) write(edits []edit) ([]byte, bool) {
	slices.SortFunc(edits, func(a, b edit) int { return a.node.StartLine - b.node.StartLine })
	var out bytes.Buffer
	out.Grow(len(d.walker.data))
	rest, at := d.walker.data, 1
	for _, e := range edits {
		lines := d.walker.ends[e.node.StartLine] - e.node.StartLine + 1
		var kept []byte
		kept, rest = cutLines(rest, e.node.StartLine-at)
		out.Write(kept)
		out.WriteString(e.line)
		_, rest = cutLines(rest, lines)
		out.WriteString(strings.Repeat("\n", lines))
		at = e.node.StartLine + lines
	}
	out.Write(rest)
	return out.Bytes(), out.Len() <= maxSize && d.holds(out.Bytes(), edits)
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
// and notes how its instructions are written.
func (d *Dockerfile) holds(text []byte, edits []edit) bool {
	result, err := parser.Parse(bytes.NewReader(text))
	if err != nil || result.EscapeToken != d.walker.escape || len(result.AST.Children) != len(d.Instructions) {
		return false
	}
	edited := make(map[int]edit, len(edits))
	for _, e := range edits {
		edited[e.node.StartLine] = e
	}
	for i, node := range result.AST.Children {
		if node.StartLine != d.Instructions[i].Line {
			return false
		}
		if e, found := edited[node.StartLine]; found && !e.holds(node) || !found && !d.walker.same(node) {
			return false
		}
	}
	for i, node := range result.AST.Children {
		d.Instructions[i].Sent = strings.TrimSpace(node.Original)
	}
	return true
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
