package imagebuild_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// partNames are what the parts of a path are drawn from. Some differ in their case alone.
var partNames = []string{"a", "b", "A", "ab", "a.md", "b.md", ".h", "ü", "a b", "raw\xff", "..a", "-", "x*", "[y]", `b\`, "$D", strings.Repeat("n", 255)}

// plainName is a path that a Dockerfile can name as it is.
var plainName = regexp.MustCompile(`^[A-Za-z0-9._/-]+$`)

// texts are contents of files. One looks like an archive.
var texts = []string{"", "one", "two", "#!/bin/sh\n", "FROM scratch\n", "\x1f\x8b\x08archive", strings.Repeat("long", 300)}

// drawScene draws a context and a Dockerfile that copies from it.
func drawScene(t *rapid.T) *scene {
	s := &scene{files: map[string]entry{}, workspace: "/w/app/app", place: "Dockerfile"}
	s.files["d"] = entry{dir: true, mode: modeOf(0o755, true)}
	s.files["d/l"] = entry{target: "a"} // a link in a directory, which Kaniko copies
	for range rapid.IntRange(2, 9).Draw(t, "entries") {
		s.add(t)
	}
	s.ignore = strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"*.md", "!a.md", "b", "!b/a", "**/.h", "a/*", "!a/ab", "Dockerfile", ".dockerignore"}), 0, 3).Draw(t, "ignore"), "\n")
	s.triggers = []instruction{{text: "COPY b* /x/", sources: []string{"b*"}}}
	if rapid.Bool().Draw(t, "trigger runs") {
		s.triggers = append(s.triggers, instruction{text: "RUN make", runs: true})
	}
	last := rapid.IntRange(0, 2).Draw(t, "stages before")
	for i := range last + 1 {
		st := stage{name: fmt.Sprint("s", i), below: rapid.IntRange(-1, i-1).Draw(t, "below")}
		st.triggers = st.below < 0 && rapid.IntRange(0, 3).Draw(t, "triggers") == 0
		for range rapid.IntRange(0, 3).Draw(t, "instructions") {
			st.instructions = append(st.instructions, drawInstruction(t, s, i))
		}
		if i == last && rapid.IntRange(0, 3).Draw(t, "runs") > 0 {
			st.instructions = append(st.instructions, drawCopy(t, s, "COPY", false), instruction{text: "RUN make", runs: true})
		}
		s.stages = append(s.stages, st)
	}
	for range rapid.IntRange(1, 3).Draw(t, "rest") {
		if in := drawInstruction(t, s, -1); !in.runs {
			s.stages[last].instructions = append(s.stages[last].instructions, in)
		}
	}
	return s
}

// directories are those of the context, the whole as "".
func (s *scene) directories() []string {
	all := []string{""}
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		if s.files[name].dir {
			all = append(all, name)
		}
	}
	return all
}

// plainFiles are the files that are not other names of files.
func (s *scene) plainFiles() []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		if e := s.files[name]; !e.dir && e.target == "" && e.same == "" {
			all = append(all, name)
		}
	}
	return all
}

// add adds an entry at a place that is free.
func (s *scene) add(t *rapid.T) {
	name := path.Join(rapid.SampledFrom(s.directories()).Draw(t, "directory"), rapid.SampledFrom(partNames).Draw(t, "name"))
	if _, taken := s.files[name]; taken {
		return
	}
	e := entry{seconds: rapid.Int64Range(0, 1<<33).Draw(t, "time"), owner: rapid.IntRange(0, 3).Draw(t, "owner")}
	bits := rapid.SampledFrom([]uint32{0o644, 0o755, 0o600, 0o777, 0o4755, 0o1777}).Draw(t, "mode")
	switch kind := rapid.IntRange(0, 9).Draw(t, "kind"); {
	case kind < 4:
		e.dir = true
		if rapid.IntRange(0, 3).Draw(t, "odd mode") > 0 {
			bits = 0o755 // others Kaniko does not copy
		}
	case kind < 5:
		e.target = rapid.SampledFrom([]string{"a", "b", "a", "b", "../b", "/a", "ab", "nowhere"}).Draw(t, "target")
	case kind == 5 && len(s.plainFiles()) > 0:
		e.same = rapid.SampledFrom(s.plainFiles()).Draw(t, "same")
	default:
		e.content = rapid.SampledFrom(texts).Draw(t, "content")
	}
	e.mode = modeOf(bits, e.dir)
	s.files[name] = e
}

// drawInstruction draws one of the stage of that index, or of the rest, -1.
func drawInstruction(t *rapid.T, s *scene, at int) instruction {
	switch rapid.IntRange(0, 11).Draw(t, "instruction") {
	case 0, 1, 2, 3:
		return drawCopy(t, s, "COPY", at < 0)
	case 4:
		return drawCopy(t, s, "ADD", at < 0)
	case 5, 6, 7:
		return drawRun(t)
	case 8:
		value := "D=" + rapid.SampledFrom([]string{"a", "b"}).Draw(t, "D")
		return instruction{text: "ENV " + value, env: value}
	case 9:
		if at > 0 {
			from := fmt.Sprint("s", rapid.IntRange(0, at-1).Draw(t, "from"))
			return instruction{text: "COPY --from=" + from + " /made /y/", runs: true, from: from}
		}
		return instruction{text: "ARG UNUSED=1"}
	case 10:
		return instruction{text: "COPY <<made /z/made\n" + rapid.SampledFrom([]string{"one", "two"}).Draw(t, "heredoc") + "\nmade"}
	}
	return instruction{text: rapid.SampledFrom([]string{"LABEL a=b", "USER app", "WORKDIR /w", "# nothing", "ENTRYPOINT [\"/a\"]", "EXPOSE 80"}).Draw(t, "other")}
}

// drawCopy draws a COPY or ADD from the context. Only in the rest has it flags that Kaniko
// does not know.
func drawCopy(t *rapid.T, s *scene, name string, rest bool) instruction {
	in := instruction{text: name, add: name == "ADD"}
	flags := []string{"", "", "--chmod=755", "--chown=0:0", "--link", "--exclude=*.md", "--parents"}
	switch {
	case !rest:
		flags = flags[:4]
	case in.add:
		flags = flags[:6]
	}
	in.text += " " + rapid.SampledFrom(flags).Draw(t, "flag")
	for range rapid.IntRange(1, 2).Draw(t, "sources") {
		in.sources = append(in.sources, drawSource(t, s))
	}
	words := append(slices.Clone(in.sources), "/x/")
	variable := rapid.SampledFrom([]string{"", "", "", "ENV", "ARG"}).Draw(t, "variable")
	if first := words[0]; variable != "" && plainName.MatchString(first) {
		words[0] = "${D}"
		in.text = variable + " D=" + first + "\n" + in.text
		if variable == "ENV" {
			in.env = "D=" + first
		}
	}
	list, err := json.Marshal(words)
	if err != nil {
		t.Fatal(err)
	}
	in.text += " " + string(list)
	return in
}

// drawRun draws what runs something.
func drawRun(t *rapid.T) instruction {
	runs := []instruction{
		{text: "RUN make"},
		{text: "RUN make all"},
		{text: "RUN <<made\nmake\nmade"},
		{text: "ADD https://example.com/a /y/"},
		{text: "RUN --mount=type=bind,target=/m make", sources: []string{"."}},
	}
	in := rapid.SampledFrom(runs).Draw(t, "run")
	in.runs = true
	return in
}

// drawSource draws a source that is there, most times, and a link seldom: Kaniko does not
// copy what it leads to.
func drawSource(t *rapid.T, s *scene) string {
	links := rapid.IntRange(0, 7).Draw(t, "links") == 0
	plain := slices.DeleteFunc(s.sorted(), func(name string) bool {
		return !plainName.MatchString(name) || s.files[name].target != "" && !links
	})
	if len(plain) == 0 {
		return "Dockerfile"
	}
	name := rapid.SampledFrom(plain).Draw(t, "source")
	dir, base := path.Split(name)
	switch form := rapid.IntRange(0, 12).Draw(t, "form"); {
	case form == 0:
		return "."
	case form == 1:
		return dir + "*" + base[len(base)-1:]
	case form == 2 && dir != "":
		return dir + "*"
	case form <= 5:
		return dir + base[:1] + "*"
	case form == 6:
		return "/" + name
	case form == 7 && s.files["d"].dir:
		return "d"
	}
	return name
}

// mutation changes a scene. Neutral says that no build can tell, and share how often it is
// drawn.
type mutation struct {
	name    string
	neutral bool
	share   int
	change  func(t *rapid.T, s *scene)
}

// anyOf draws one of the names, those that the base part copies and the others alike; ""
// of none.
func (s *scene) anyOf(t *rapid.T, names []string) string {
	copied, wanted := s.named(s.copies(), true), rapid.Bool().Draw(t, "copied")
	some := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return copied[name] != wanted })
	if len(some) == 0 {
		some = names
	}
	if len(some) == 0 {
		return ""
	}
	return rapid.SampledFrom(some).Draw(t, "which")
}

// edit changes the entry of a name, if there is one.
func (s *scene) edit(name string, change func(*entry)) {
	if e, found := s.files[name]; found {
		change(&e)
		s.files[name] = e
	}
}

// sorted are the paths of all entries.
func (s *scene) sorted() []string { return slices.Sorted(maps.Keys(s.files)) }

// links are the paths of symbolic links.
func (s *scene) links() []string {
	return slices.DeleteFunc(s.sorted(), func(name string) bool { return s.files[name].target == "" })
}

// leaves are the paths of what is no directory with something in it, and no file with
// another name.
func (s *scene) leaves() []string {
	return slices.DeleteFunc(s.sorted(), func(name string) bool {
		for other, e := range s.files {
			if path.Dir(other) == name || e.same == name {
				return true
			}
		}
		return false
	})
}

// drawMutation draws one by its share.
func drawMutation(t *rapid.T) mutation {
	var all []mutation
	for _, m := range mutations() {
		all = append(all, slices.Repeat([]mutation{m}, m.share)...)
	}
	return all[rapid.IntRange(0, len(all)-1).Draw(t, "mutation")]
}

// mutations are what may have changed since an earlier step.
func mutations() []mutation {
	return []mutation{
		{"time", true, 1, func(t *rapid.T, s *scene) { s.edit(s.anyOf(t, s.sorted()), func(e *entry) { e.seconds++ }) }},
		{"owner", true, 1, func(t *rapid.T, s *scene) { s.edit(s.anyOf(t, s.sorted()), func(e *entry) { e.owner++ }) }},
		{"one name each", true, 1, func(_ *rapid.T, s *scene) {
			for name, e := range s.files {
				if e.same != "" {
					s.files[name] = s.files[e.same]
				}
			}
		}},
		{"request", true, 1, func(_ *rapid.T, s *scene) { s.workspace, s.place = "/elsewhere/other/other", "action/Dockerfile" }},
		{"content", false, 6, func(t *rapid.T, s *scene) {
			s.edit(s.anyOf(t, s.plainFiles()), func(e *entry) { e.content += "x" })
		}},
		{"bytes", false, 2, func(t *rapid.T, s *scene) {
			s.edit(s.anyOf(t, s.plainFiles()), func(e *entry) { e.content = strings.ToUpper(e.content) })
		}},
		{"mode", false, 2, func(t *rapid.T, s *scene) {
			s.edit(s.anyOf(t, s.sorted()), func(e *entry) { e.mode ^= 0o011 })
		}},
		{"target", false, 3, func(t *rapid.T, s *scene) {
			s.edit(s.anyOf(t, s.links()), func(e *entry) { e.target = rapid.SampledFrom([]string{"a", "b", "/ab"}).Draw(t, "target") })
		}},
		{"new", false, 2, func(t *rapid.T, s *scene) { s.add(t) }},
		{"removed", false, 1, func(t *rapid.T, s *scene) { delete(s.files, s.anyOf(t, s.leaves())) }},
		{"renamed", false, 1, rename},
		{"ignore", false, 1, func(t *rapid.T, s *scene) {
			s.ignore += "\n" + rapid.SampledFrom([]string{"# nothing", "ab", "!a/b", "**/*.md", "Dockerfile"}).Draw(t, "pattern")
		}},
		{"instruction", false, 2, func(t *rapid.T, s *scene) {
			i := rapid.IntRange(0, len(s.stages)-1).Draw(t, "stage")
			for n, in := range s.stages[i].instructions {
				if in.text == "RUN make" {
					s.stages[i].instructions[n].text = "RUN make more"
				}
			}
		}},
		{"rest", false, 2, func(t *rapid.T, s *scene) {
			s.comment = rapid.SampledFrom([]string{"# a comment\n", "ENV LATE=1\n", "CMD [\"x\"]\n"}).Draw(t, "rest")
		}},
	}
}

// rename moves an entry, mostly to a name of another case.
func rename(t *rapid.T, s *scene) {
	name := s.anyOf(t, s.leaves())
	to := path.Join(path.Dir(name), rapid.SampledFrom([]string{strings.ToUpper(path.Base(name)), "ab", "b"}).Draw(t, "to"))
	if _, taken := s.files[to]; name != "" && !taken {
		s.files[to] = s.files[name]
		delete(s.files, name)
	}
}
