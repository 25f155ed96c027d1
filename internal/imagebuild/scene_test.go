package imagebuild_test

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// entry is one of a context on disk: a directory, a symbolic link with its target, another
// name of a file, or a file.
type entry struct {
	dir          bool
	target, same string
	content      string
	mode         fs.FileMode // with the bits of fs.FileMode
	seconds      int64       // of its time
	owner        int
}

// scene is a context with its Dockerfile, and what else comes with the request.
type scene struct {
	files    map[string]entry // by path
	stages   []stage
	ignore   string // the .dockerignore; none where it is empty
	comment  string // behind the last instruction
	triggers []instruction
	// workspace and place are the request's own.
	workspace, place string
}

// stage is one of a Dockerfile: built from the stage of that index, or from an image.
type stage struct {
	name         string
	below        int // -1 for an image
	triggers     bool
	instructions []instruction
}

// instruction is one of a Dockerfile.
type instruction struct {
	text string
	// sources are what it takes of the context, variables expanded; add is whether it
	// unpacks archives among them.
	sources []string
	add     bool
	// runs is whether it belongs to the base part, from the stage that it copies from, and
	// env what it sets.
	runs      bool
	from, env string
}

const (
	plainBase   = "base.example.com/base:1"
	triggerBase = "base.example.com/triggers:1"
)

// dockerfile is the text, each stage with a name.
func (s *scene) dockerfile() string {
	var b strings.Builder
	for _, st := range s.stages {
		base := plainBase
		switch {
		case st.below >= 0:
			base = s.stages[st.below].name
		case st.triggers:
			base = triggerBase
		}
		b.WriteString("FROM " + base + " AS " + st.name + "\n")
		for _, in := range st.instructions {
			b.WriteString(in.text + "\n")
		}
	}
	return b.String() + s.comment
}

// String shows all of it.
func (s *scene) String() string {
	return fmt.Sprintf("%q, triggers %q, of\n%s\nand %+v", s.ignore, s.onBuild(), s.dockerfile(), s.files)
}

// clone is a scene that changes by itself.
func (s *scene) clone() *scene {
	own := *s
	own.files = maps.Clone(s.files)
	own.stages = slices.Clone(s.stages)
	for i, st := range own.stages {
		own.stages[i].instructions = slices.Clone(st.instructions)
	}
	return &own
}

// own are the instructions of a stage, those of triggers before its own.
func (s *scene) own(i int) []instruction {
	if s.stages[i].triggers {
		return slices.Concat(s.triggers, s.stages[i].instructions)
	}
	return s.stages[i].instructions
}

// cut says where the base part ends: with that many instructions of that stage, its
// triggers counted; -1 where nothing runs.
func (s *scene) cut() (at, count int) {
	for i := len(s.stages) - 1; i >= 0; i = s.stages[i].below {
		all := s.own(i)
		for n := len(all); n > 0; n-- {
			if all[n-1].runs {
				if s.stages[i].triggers {
					n = max(n, len(s.triggers)) // they have one line
				}
				return i, n
			}
		}
	}
	return -1, 0
}

// base are the instructions of the base part: those of the stages up to where it ends, but
// for the ones that nothing uses, which this Kaniko does not build.
func (s *scene) base() []instruction {
	at, count := s.cut()
	if at < 0 {
		return nil
	}
	var all []instruction
	for i, used := 0, s.used(); i < at; i++ {
		if used[i] {
			all = append(all, s.own(i)...)
		}
	}
	return append(all, s.own(at)[:count]...)
}

// used are the stages that the last one goes back to.
func (s *scene) used() map[int]bool {
	used := map[int]bool{}
	for work := []int{len(s.stages) - 1}; len(work) > 0; {
		i := work[0]
		if work = work[1:]; i < 0 || used[i] {
			continue
		}
		used[i] = true
		work = append(work, s.stages[i].below)
		for _, in := range s.own(i) {
			work = append(work, slices.IndexFunc(s.stages, func(st stage) bool { return in.from != "" && st.name == in.from }))
		}
	}
	return used
}

// onBuild are the triggers of the one base that has some.
func (s *scene) onBuild() []string {
	var all []string
	for _, in := range s.triggers {
		all = append(all, in.text)
	}
	return all
}

// copies are the sources of the base part in the context.
func (s *scene) copies() []string { return sourcesOf(s.base()) }

// all are all instructions.
func (s *scene) all() []instruction {
	var all []instruction
	for i := range s.stages {
		all = append(all, s.own(i)...)
	}
	return all
}

// env is the environment that the base part's image has.
func (s *scene) env() []string {
	at, count := s.cut()
	if at < 0 {
		return []string{baseEnv}
	}
	chain := [][]instruction{s.own(at)[:count]}
	for i := s.stages[at].below; i >= 0; i = s.stages[i].below {
		chain = append(chain, s.own(i))
	}
	slices.Reverse(chain)
	env := []string{baseEnv}
	for _, in := range slices.Concat(chain...) {
		name, _, sets := strings.Cut(in.env, "=")
		if !sets {
			continue
		}
		if at := slices.IndexFunc(env, func(e string) bool { return strings.HasPrefix(e, name+"=") }); at >= 0 {
			env[at] = in.env
		} else {
			env = append(env, in.env)
		}
	}
	return env
}

// sees are the entries as a build sees them, by path: without times and owners, every
// name of a file with what it has, and the Dockerfile and .dockerignore.
func (s *scene) sees() map[string]entry {
	all := map[string]entry{"Dockerfile": {content: s.dockerfile(), mode: 0o644}}
	if s.ignore != "" {
		all[".dockerignore"] = entry{content: s.ignore, mode: 0o644}
	}
	for name, e := range s.files {
		if e.same != "" {
			e = s.files[e.same]
		}
		if e.seconds, e.owner = 0, 0; e.target != "" {
			e.mode = 0 // Linux does not have it
		}
		all[name] = e
	}
	return all
}

// changed are the paths where two scenes are not the same to a build.
func changed(before, after *scene) map[string]bool {
	differ := map[string]bool{}
	a, b := before.sees(), after.sees()
	for name := range a {
		differ[name] = a[name] != b[name]
	}
	for name := range b {
		differ[name] = a[name] != b[name]
	}
	maps.DeleteFunc(differ, func(_ string, is bool) bool { return !is })
	return differ
}

// excluded reports whether the .dockerignore excludes a path, as Docker's own matcher says.
func (s *scene) excluded(t testing.TB, name string) bool {
	patterns, err := ignorefile.ReadAll(strings.NewReader(s.ignore))
	if err != nil {
		t.Fatal(err)
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	is, err := matcher.MatchesOrParentMatches(name)
	if err != nil {
		t.Fatal(err)
	}
	return is
}

// named are the paths that sources may name: those that match, with all that is in them
// and all that leads there. Links are followed where links says so, else what is behind
// them is not named.
func (s *scene) named(sources []string, links bool) map[string]bool {
	reached, all, done := map[string]bool{}, s.sees(), map[string]bool{}
	for work := slices.Clone(sources); len(work) > 0; {
		source := path.Join("/", work[0])[1:]
		if work = work[1:]; done[source] {
			continue
		}
		done[source] = true
		parts := strings.Split(source, "/")
		for name, e := range all {
			have := strings.Split(name, "/")
			count := min(len(parts), len(have))
			if source != "" && !leads(parts[:count], have[:count]) {
				continue
			}
			switch {
			case e.target != "" && len(have) <= len(parts) && links:
				reach(reached, name)
				work = append(work, path.Join(path.Dir("/"+name), e.target, path.Join(parts[len(have):]...)))
				if path.IsAbs(e.target) {
					work[len(work)-1] = path.Join(e.target, path.Join(parts[len(have):]...))
				}
			case source == "" || len(have) >= len(parts):
				reach(reached, name)
			}
		}
	}
	return reached
}

// leads reports whether parts of a name match those of a pattern.
func leads(pattern, name []string) bool {
	for i := range pattern {
		if is, err := path.Match(pattern[i], name[i]); err != nil || !is && pattern[i] != name[i] {
			return err != nil
		}
	}
	return true
}

// reach adds a path and the directories that lead to it.
func reach(reached map[string]bool, name string) {
	for ; name != "."; name = path.Dir(name) {
		reached[name] = true
	}
}

// sourcesOf are those of instructions.
func sourcesOf(all []instruction) []string {
	var sources []string
	for _, in := range all {
		sources = append(sources, in.sources...)
	}
	return sources
}

// write makes the context on disk. Who may give files away gives them away.
func (s *scene) write(t testing.TB, dir string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(s.dockerfile()), 0o600))
	must(os.Chmod(filepath.Join(dir, "Dockerfile"), 0o644))
	if s.ignore != "" {
		must(os.WriteFile(filepath.Join(dir, ".dockerignore"), []byte(s.ignore), 0o600))
		must(os.Chmod(filepath.Join(dir, ".dockerignore"), 0o644))
	}
	names := slices.Sorted(maps.Keys(s.files))
	for _, name := range names {
		at, e := filepath.Join(dir, name), s.files[name]
		switch {
		case e.dir:
			must(os.Mkdir(at, 0o700))
		case e.target != "":
			must(os.Symlink(e.target, at))
		case e.same == "":
			must(os.WriteFile(at, []byte(e.content), 0o600))
		}
	}
	for _, name := range slices.Backward(names) {
		at, e := filepath.Join(dir, name), s.files[name]
		if e.same != "" {
			must(os.Link(filepath.Join(dir, e.same), at))
			continue
		}
		if os.Geteuid() == 0 {
			must(os.Lchown(at, e.owner, e.owner))
		}
		if e.target == "" {
			must(os.Chmod(at, e.mode))
			must(os.Chtimes(at, time.Unix(e.seconds, 0), time.Unix(e.seconds, 0)))
		}
	}
}

// modeOf makes the mode of a file of the bits of chmod. Its owner may read it, and go
// through a directory.
func modeOf(bits uint32, dir bool) fs.FileMode {
	mode := fs.FileMode(bits & 0o777)
	for bit, as := range map[uint32]fs.FileMode{syscall.S_ISUID: fs.ModeSetuid, syscall.S_ISGID: fs.ModeSetgid, syscall.S_ISVTX: fs.ModeSticky} {
		if bits&bit != 0 {
			mode |= as
		}
	}
	if dir {
		return mode | 0o700
	}
	return mode | 0o400
}
