package preflight

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// walker knows how the stages of one Dockerfile hang together. That of a [File] is
// the outline, which nothing changes any more; a walk over the instructions is one
// [walker.over] it, which has the stages' state and is for one goroutine.
type walker struct {
	source
	lex     *shell.Lex
	escape  rune
	nodes   map[int]*parser.Node // by the line where they start
	ends    map[int]int          // where they end, by the same
	parsed  []instructions.Stage
	globals *variables
	// front are the ARGs before the first FROM.
	front  []instructions.ArgCommand
	stages []*stage
	// size is what the Dockerfile takes with the triggers of its stages, each
	// counted for every stage in which it runs.
	size size
	// platform is complete once the Dockerfile is parsed.
	platform platformUse
	// context is the build context, the zero value where nothing is known of it.
	context Context
}

// over returns a walker of its own over the same Dockerfile, with what is known of
// the context; nil is nothing.
func (w *walker) over(context *Context) *walker {
	own := *w
	own.lex = shell.NewLex(w.escape) // it keeps the word that it reads
	if context != nil {
		own.context = *context
	}
	own.stages = make([]*stage, len(w.stages))
	for i, s := range w.stages {
		fresh := *s
		if s.base != nil {
			fresh.base = own.stages[s.base.index]
		}
		own.stages[i] = &fresh
	}
	return &own
}

// stage is one stage: what it needs, and what is known of it at the
// instruction that the walk has reached.
type stage struct {
	index int
	// base is the stage that it is built from, nil for an image or scratch;
	// image is that image's reference.
	base  *stage
	image string
	// needs are the stages that it takes something from.
	needs []int
	// images are the external images that it takes something from.
	images []Image
	// used is whether the last stage needs it. Docker builds no other.
	used bool
	// triggers are those of its base: of a stage from the start, of an image
	// once they are known.
	triggers []trigger
	// brought is what the image that it is built from brings along, nil until that is
	// known. Stages share it.
	brought *brought
	// facts are what its RUN instructions say, nil until they are read.
	facts *facts

	state
}

// resolve reads every FROM and --from.
func (w *walker) resolve(args []instructions.ArgCommand) error {
	if len(w.parsed) == 0 {
		return w.errorf(0, "the Dockerfile has no FROM")
	}
	w.globals, w.front = newGlobals(), args
	globals := expander{lex: w.lex}
	for _, arg := range args {
		if err := globals.declare(arg, w.globals, nil); err != nil {
			return w.errorf(startLine(arg.Location()), "%s", err)
		}
	}
	w.noteGlobals()
	for index := range w.parsed {
		w.stages = append(w.stages, &stage{index: index})
		if err := w.stage(w.stages[index], &globals); err != nil {
			return err
		}
	}
	w.use(len(w.stages) - 1)
	for index, s := range w.stages {
		if err := w.usable(s, startLine(w.parsed[index].Location)); err != nil {
			return err
		}
	}
	return nil
}

// use marks a stage and what it needs as used.
func (w *walker) use(last int) {
	pending := []int{last}
	for len(pending) > 0 {
		s := w.stages[pending[len(pending)-1]]
		pending = pending[:len(pending)-1]
		if !s.used {
			s.used = true
			pending = append(pending, s.needs...)
		}
	}
}

// unused reports whether there is a stage that the last one does not need.
func (w *walker) unused() bool {
	return slices.ContainsFunc(w.stages, func(s *stage) bool { return !s.used })
}

// images returns the images of the used stages.
func (w *walker) images() []Image {
	var images []Image
	seen := map[string]bool{}
	for _, s := range w.stages {
		for _, image := range s.images {
			if s.used && !seen[image.Reference] {
				seen[image.Reference] = true
				images = append(images, image)
			}
		}
	}
	return images
}

// stage resolves one stage: its base, then what its instructions take from
// elsewhere.
func (w *walker) stage(s *stage, globals *expander) error {
	parsed := w.parsed[s.index]
	line := startLine(parsed.Location)
	platform, err := globals.expand(parsed.Platform, w.globals)
	if err == nil {
		err = checkPlatform(platform.value)
	}
	if err != nil {
		return w.errorf(line, "%s", err)
	}
	base, err := globals.expand(parsed.BaseName, w.globals)
	if err != nil {
		return w.errorf(line, "%s", err)
	}
	if base.value == "" {
		return w.errorf(line, "the base image is empty after its variables are expanded%s", noValue(base.missing))
	}
	named, found := w.find(base.value)
	if found && base.value != strings.ToLower(base.value) {
		return w.errorf(line, "%q is not an image reference, and a FROM names stages in lower case alone, so docker build would fail too", base.value)
	}
	if found && named < s.index {
		if err := w.ambiguous(base.value, w.parsed[:s.index], line); err != nil {
			return err
		}
		s.base = w.stages[named]
		s.needs = append(s.needs, named)
		if err := w.inherit(s, line); err != nil {
			return err
		}
	} else {
		s.image = base.value
		if err := w.image(s, Image{Reference: base.value, Platform: platform.value, Line: line}, base.missing); err != nil {
			return err
		}
	}
	for _, command := range parsed.Commands {
		if err := w.takes(s, command, startLine(command.Location())); err != nil {
			return err
		}
	}
	return nil
}

// inherit gives a stage the triggers of the stage that it is built from. Both
// builders run them in front of it.
func (w *walker) inherit(s *stage, line int) error {
	base := w.parsed[s.base.index]
	for _, command := range base.Commands {
		onbuild, ok := command.(*instructions.OnbuildCommand)
		if !ok {
			continue
		}
		t, err := parseTrigger(onbuild.Expression)
		if err != nil {
			return w.errorf(startLine(onbuild.Location()), "ONBUILD trigger: %s", err)
		}
		w.size.add(t.size)
		if w.size.excess() != "" {
			return w.tooManyTriggers(line)
		}
		t.image, t.ofStage = w.parsed[s.index].BaseName, true
		for _, from := range sourcesOf(t.command) {
			if w.namesStage(from) {
				if err := w.ambiguous(from, w.parsed, line); err != nil {
					return err
				}
				continue // usable looks at it
			}
			if err := w.from(s, from, line); err != nil {
				return err
			}
		}
		s.triggers = append(s.triggers, t)
	}
	return nil
}

// noValue explains the variables of a FROM line that nothing sets.
func noValue(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf(": ARG %s has no default value before the first FROM, and the runner passes no build arguments, so docker build would fail too",
		strings.Join(names, ", "))
}

// takes notes what a command in a line takes from other stages and images.
func (w *walker) takes(s *stage, command instructions.Command, line int) error {
	for _, from := range sourcesOf(command) {
		if err := w.from(s, from, line); err != nil {
			return err
		}
	}
	return nil
}

// sourcesOf returns the stages and images that a command takes something from.
func sourcesOf(command instructions.Command) []string {
	switch c := command.(type) {
	case *instructions.CopyCommand:
		return []string{c.From}
	case *instructions.RunCommand:
		var from []string
		for _, mount := range instructions.GetMounts(c) {
			from = append(from, mount.From)
		}
		return from
	}
	return nil
}

// from notes the value of a --from: an earlier stage by name or number, or an
// image.
func (w *walker) from(s *stage, value string, line int) error {
	if value == "" || value == scratch {
		return nil
	}
	if strings.Contains(value, "$") {
		return w.errorf(line, "--from takes no variables: name a stage with FROM ... AS and copy from that")
	}
	index, found := w.origin(value)
	switch {
	case !found:
		return w.image(s, Image{Reference: value, Line: line}, nil)
	case index < 0 || index >= s.index:
		return w.errorf(line, "--from=%s is not an earlier stage", value)
	}
	s.needs = append(s.needs, index)
	return w.ambiguous(value, w.parsed, line)
}

// origin returns the index of the stage that a --from takes from, by number or
// name. A number may be that of no stage.
func (w *walker) origin(from string) (int, bool) {
	if number, err := strconv.Atoi(from); err == nil {
		return number, true
	}
	return w.find(from)
}

// ambiguous refuses the name of more than one of the stages: Docker takes the
// last of them, the executor the first.
func (w *walker) ambiguous(name string, stages []instructions.Stage, line int) error {
	if called(name, stages) < 2 {
		return nil
	}
	e := w.errorf(line, "more than one stage is named %s, and Kaniko takes another one than Docker", shorten(printable(name)))
	e.Advice = "Give each stage a name of its own."
	return e
}

// called returns how many of the stages have a name.
func called(name string, stages []instructions.Stage) int {
	count := 0
	for _, stage := range stages {
		if stage.Name == strings.ToLower(name) {
			count++
		}
	}
	return count
}

// find returns the index of the stage with a name. Docker compares the names in
// --from without regard to case; in FROM they are in small letters.
func (w *walker) find(stage string) (int, bool) {
	if stage == "" {
		return 0, false // what a stage without a name has for one
	}
	lower := strings.ToLower(stage)
	for index := range w.parsed {
		if w.parsed[index].Name == lower {
			return index, true
		}
	}
	return 0, false
}

// image notes an external image. The missing are the variables of its
// reference that nothing sets.
func (w *walker) image(s *stage, image Image, missing []string) error {
	if image.Reference == scratch {
		return nil
	}
	parsed, err := name.ParseReference(image.Reference)
	if err != nil {
		return w.errorf(image.Line, "%q is not an image reference%s", image.Reference, noValue(missing))
	}
	image.Registry = parsed.Context().RegistryStr()
	s.images = append(s.images, image)
	return nil
}
