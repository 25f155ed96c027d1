package preflight

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"kiln/internal/buildcontext"
)

// rewrite is one instruction in the way in which it is written anew. The rows
// that match an instruction change it one after the other.
type rewrite struct {
	// command is the exec form of a RUN.
	command []string
	// copying is a COPY or ADD, files are the heredocs that it copies.
	copying copying
	files   []buildcontext.File
	// archives are what an ADD unpacks instead of its sources.
	archives []buildcontext.File
	// ports are the words of an EXPOSE, labels those of a LABEL, and start is what
	// a CMD or ENTRYPOINT becomes.
	ports  []string
	labels []instructions.KeyValuePair
	start  *exec
	// settled is whether the instruction turned out to need no other form.
	settled bool
	// leaves is whether the stages that nothing uses are left out.
	leaves bool
	// stages are the stages that get names, by number.
	stages map[int]string

	// bases are the base images that are known, nil to begin with: then all are
	// taken to have Docker's own shell, and asked notes which matter.
	bases map[string]Base
	asked map[string]bool
}

// newRewrite returns a site's instruction as it is.
func newRewrite(s *site, c *check) *rewrite {
	r := &rewrite{stages: map[int]string{}, bases: c.bases, asked: c.asked}
	if copying, ok := s.copying(); ok {
		r.copying = copying
		r.copying.SourcePaths = slices.Clone(copying.SourcePaths)
	}
	return r
}

// edit returns the instruction as it is written now, and whether it can be.
func (r *rewrite) edit(s *site) (edit, bool) {
	e := edit{node: s.node}
	switch c := s.command.(type) {
	case *instructions.RunCommand:
		e.flags = s.node.Flags
		e.line, e.means = strings.Join(append(append([]string{"RUN"}, e.flags...), words(r.command)), " "), r.meansRun
	case *instructions.CopyCommand, *instructions.AddCommand:
		e.line, e.means = r.copyLine(), r.meansCopy
	case *instructions.ExposeCommand:
		e.line, e.means = strings.Join(append([]string{c.Name()}, r.ports...), " "), r.meansExpose
	case *instructions.LabelCommand:
		e.line, e.means = labelLine(r.labels), r.meansLabels
	case *instructions.CmdCommand, *instructions.EntrypointCommand:
		e.line, e.means = strings.ToUpper(s.command.Name())+" "+words(r.start.list()), r.start.means
	}
	// Kaniko's log has the line as a JSON string.
	return e, e.line != "" && len(e.line) <= maxLine && len(words([]string{e.line})) <= maxLine && !strings.ContainsAny(e.line, "\r\n")
}

// words writes the JSON form of an instruction's words. It has no <, > and &,
// which are escaped.
func words(list []string) string {
	text, err := json.Marshal(list)
	if err != nil { // strings always can be
		return ""
	}
	return string(text)
}

func (r *rewrite) meansRun(read any) bool {
	c, ok := read.(*instructions.RunCommand)
	return ok && !c.PrependShell && len(c.Files) == 0 && slices.Equal(c.CmdLine, r.command)
}

func (r *rewrite) copyLine() string {
	parts := []string{"COPY"}
	if r.copying.add {
		parts[0] = "ADD"
	}
	for _, flag := range [][2]string{{"from", r.copying.from}, {"chown", r.copying.chown}, {"chmod", r.copying.chmod}} {
		if flag[1] != "" {
			parts = append(parts, "--"+flag[0]+"="+flag[1])
		}
	}
	return strings.Join(append(parts, words(append(r.sources(), r.copying.DestPath))), " ")
}

// sources are those of the context, then the heredocs, as BuildKit copies them.
func (r *rewrite) sources() []string {
	sources := slices.Clone(r.copying.SourcePaths)
	for _, f := range slices.Concat(r.files, r.archives) {
		sources = append(sources, "../"+f.Name)
	}
	return sources
}

func (r *rewrite) meansCopy(read any) bool {
	command, _ := read.(instructions.Command)
	got, ok := (&site{command: command}).copying()
	return ok && got.add == r.copying.add && got.from == r.copying.from && got.chown == r.copying.chown && got.chmod == r.copying.chmod &&
		got.DestPath == r.copying.DestPath && len(got.SourceContents) == 0 && slices.Equal(got.SourcePaths, r.sources())
}

func (r *rewrite) meansExpose(read any) bool {
	c, ok := read.(*instructions.ExposeCommand)
	return ok && slices.Equal(slices.Sorted(slices.Values(c.Ports)), slices.Sorted(slices.Values(r.ports)))
}

// shell returns the SHELL in force at a site, and whether it is known.
func (r *rewrite) shell(s *site) ([]string, bool) {
	if s.stage.shell != nil {
		return s.stage.shell, true
	}
	docker := []string{"/bin/sh", "-c"}
	image := s.stage.root().image
	if image == scratch {
		return docker, true
	}
	r.asked[image] = true
	base, known := r.bases[image]
	if len(base.Shell) > 0 {
		return base.Shell, true
	}
	return docker, known || r.bases == nil
}

// setsShell reports whether one of the triggers of an image is a SHELL, or may be.
func setsShell(triggers []string) bool {
	return slices.ContainsFunc(triggers, func(text string) bool {
		t, err := parseTrigger(text)
		_, shell := t.command.(*instructions.ShellCommand)
		return err != nil || shell
	})
}

// mendScript writes a RUN with heredocs in exec form: what BuildKit has the
// shell run (dispatchRun in dockerfile2llb).
func mendScript(s *site, r *rewrite) bool {
	shell, known := r.shell(s)
	text, ok := s.script(s.command.(*instructions.RunCommand))
	if !known || !ok || len(text) > maxLine || strings.IndexByte(text, 0) >= 0 {
		return false
	}
	r.command = append(slices.Clone(shell), text)
	return true
}

// script is the text that the shell gets of a RUN with heredocs, and whether it
// gets any: a lone heredoc with #! is a program of its own.
func (s *site) script(c *instructions.RunCommand) (string, bool) {
	if len(c.CmdLine) != 1 || !c.PrependShell || len(c.Files) == 0 {
		return "", false
	}
	if s.lone(c) {
		text := body(c)
		return text, !strings.HasPrefix(text, "#!")
	}
	var b strings.Builder
	b.WriteString(c.CmdLine[0])
	for _, file := range c.Files {
		b.WriteString("\n" + file.Data + file.Name)
	}
	return b.String(), true
}

// lone reports whether a RUN is one heredoc and nothing else, which Docker runs
// as a script.
func (s *site) lone(c *instructions.RunCommand) bool {
	if s.loneHeredoc == nil {
		lone := len(c.Files) > 0 && len(c.CmdLine) == 1 && parser.MustParseHeredoc(c.CmdLine[0]) != nil
		s.loneHeredoc = &lone // the parser's look takes kilobytes
	}
	return *s.loneHeredoc
}

// body is the text of a RUN's first heredoc.
func body(c *instructions.RunCommand) string {
	if c.Files[0].Chomp {
		return parser.ChompHeredocContent(c.Files[0].Data)
	}
	return c.Files[0].Data
}

// maxDocuments bounds the heredocs of one instruction: the line that copies more
// of them would be too long.
const maxDocuments = maxLine / len(heredocDirectory)

// mendDocuments makes files of the heredocs of a COPY or ADD. They lie beside
// the context, where no pattern looks.
func mendDocuments(s *site, r *rewrite) bool {
	c := &r.copying
	if c.from != "" || c.add && len(c.SourcePaths) > 0 {
		return false
	}
	if len(c.SourceContents) > maxDocuments {
		return false
	}
	for _, source := range c.SourcePaths {
		if value, known := s.expand(source); !known || strings.ContainsAny(value, "*?[") {
			return false
		}
	}
	for _, content := range c.SourceContents {
		name := fmt.Sprintf("%s/%d/%s", heredocDirectory, s.line, content.Path)
		text, known := content.Data, plain(content.Data)
		if content.Expand {
			text, known = s.document(content.Data)
		}
		taken := slices.ContainsFunc(r.files, func(f buildcontext.File) bool { return f.Name == name })
		if !known || taken || !documentName(content.Path) {
			return false
		}
		r.files = append(r.files, buildcontext.File{Name: name, Content: []byte(text)})
	}
	c.add, c.SourceContents = false, nil // Docker unpacks no heredoc
	return true
}

// documentName reports whether a heredoc's name is the name of a file that no
// expansion and no pattern takes for something else.
func documentName(name string) bool {
	return len(name) <= 100 && strings.Trim(name, ".") != "" && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == ""
}

// plain reports whether text is such that it comes out of all parsers as it is.
func plain(text string) bool { return utf8.ValidString(text) && strings.IndexByte(text, 0) < 0 }
