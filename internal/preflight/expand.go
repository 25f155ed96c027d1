package preflight

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

const (
	// maxValue bounds a word before and after expansion, and what variables add
	// to it, in bytes. Without it a few lines that each double an ARG take
	// gigabytes.
	maxValue = 4 << 10
	// maxValues bounds all values of variables together, in bytes.
	maxValues = 1 << 20
	// maxSteps bounds how many stages are looked through for variables and
	// directories, which takes time where every stage is built from the one
	// before.
	maxSteps = 2_000_000
	// wordSteps is what the expansion of one word counts.
	wordSteps = 100
)

// replacement finds "${name/": the one expansion whose result can be longer
// than everything that goes into it, by multiplication.
var replacement = regexp.MustCompile(`\$\{[^/:}]*/`)

var (
	errTooLong         = fmt.Errorf("a value is longer than %d bytes", maxValue)
	errTooMany         = errors.New("the Dockerfile uses too many variables or volumes in too many stages")
	errTooManyPatterns = errors.New("COPY and ADD have too many patterns for a build context of so many files")
	errReplacements    = errors.New("more than one ${name/pattern/replacement} in one value")
)

// variables are the ARGs and ENVs that a line sees. Those of a stage come
// after those of the stage that it is built from.
type variables struct {
	values map[string]variable
	from   *variables
	// shadowed are the ENVs over which an ARG of their name was declared: they are as
	// they were in stages that are built from this one.
	shadowed map[string]variable
	// open says that there are variables nobody knows: those of a base image.
	open bool
}

// behind are the variables of the stages that are built from the one of v.
func (v *variables) behind() *variables {
	if len(v.shadowed) == 0 {
		return v
	}
	return &variables{values: v.shadowed, from: v}
}

// shadow keeps an ENV over which an ARG of another value is declared.
func (v *variables) shadow(name string, arg variable, steps *int) {
	if found, ok, _ := v.count(name, steps); ok && found.env && !found.equal(arg) {
		if v.shadowed == nil {
			v.shadowed = map[string]variable{}
		}
		v.shadowed[name] = found
	}
}

// variable is one value. An ENV that was set by an ENV stays so.
type variable struct {
	value string
	known bool
	env   bool
}

// equal reports whether both have one value, as far as is known.
func (v variable) equal(other variable) bool {
	return v.known && other.known && v.value == other.value
}

// get looks name up. Open says that a base image may set it.
func (v *variables) get(name string) (found variable, ok, open bool) {
	return v.count(name, new(int))
}

// count is get, and adds the stages looked through to steps.
func (v *variables) count(name string, steps *int) (found variable, ok, open bool) {
	for ; v != nil; v = v.from {
		*steps++
		if found, ok = v.values[name]; ok {
			return found, true, open
		}
		open = open || v.open
	}
	return variable{}, false, open
}

// set sets name. A nil map is made.
func (v *variables) set(name string, value variable) {
	if value.env {
		delete(v.shadowed, name)
	}
	if v.values == nil {
		v.values = map[string]variable{}
	}
	v.values[name] = value
}

// platformValues are the platform that is built for and on, which for kiln is
// the one of its own node.
func platformValues() map[string]string {
	return map[string]string{
		"BUILDPLATFORM":  ownPlatform(),
		"BUILDOS":        runtime.GOOS,
		"BUILDARCH":      runtime.GOARCH,
		"BUILDVARIANT":   "",
		"TARGETPLATFORM": ownPlatform(),
		"TARGETOS":       runtime.GOOS,
		"TARGETARCH":     runtime.GOARCH,
		"TARGETVARIANT":  "",
	}
}

// expander replaces variables, within bounds. It is for one goroutine.
type expander struct {
	lex *shell.Lex
	// size is what all values that were kept take, in bytes.
	size int
	// steps is how many stages were looked through.
	steps int
	// looks is how many entries of the context were compared with patterns.
	looks int
	// documents is what all heredocs took whose variables were replaced, in
	// bytes.
	documents int
}

// lookup implements shell.EnvGetter for one word and counts what it hands out.
type lookup struct {
	variables *variables
	steps     *int
	delivered int
	most      int // that may be handed out
	missing   []string
	unknown   bool
}

// Get implements shell.EnvGetter. Beyond the bound it hands out nothing;
// expand notices.
func (l *lookup) Get(key string) (string, bool) {
	found, ok, open := l.variables.count(key, l.steps)
	switch {
	case ok && !found.known, !ok && open, !ok && key == "PATH": // BuildKit has a PATH for images without one
		l.unknown = true
	case !ok && !slices.Contains(l.missing, key) && len(l.missing) < 10:
		l.missing = append(l.missing, key)
	}
	l.delivered += len(found.value)
	if l.delivered > l.most {
		return "", ok
	}
	return found.value, ok
}

// Keys implements shell.EnvGetter.
func (l *lookup) Keys() []string { return nil }

// word is an expanded word.
type word struct {
	value string
	// known is false when the value depends on a variable that only the base
	// image may set.
	known bool
	// missing are the variables that nothing sets.
	missing []string
}

// expand returns text with its variables replaced. One word takes memory in
// the order of maxValue squared at most: it, and all that variables add, are
// bounded, and only one multiplying expansion is allowed in it.
func (e *expander) expand(text string, v *variables) (word, error) {
	if len(text) > maxValue {
		return word{}, errTooLong
	}
	if len(replacement.FindAllStringIndex(text, 2)) > 1 {
		return word{}, errReplacements
	}
	if e.steps += wordSteps; e.steps > maxSteps {
		return word{}, errTooMany
	}
	look := lookup{variables: v, steps: &e.steps, most: maxValue}
	result, _, err := e.lex.ProcessWord(text, &look)
	if e.steps > maxSteps {
		return word{}, errTooMany
	}
	if look.delivered > maxValue || len(result) > maxValue {
		return word{}, errTooLong
	}
	if look.unknown {
		return word{missing: look.missing}, nil
	}
	if err != nil {
		return word{}, err
	}
	return word{value: result, known: true, missing: look.missing}, nil
}

// maxDocument bounds a heredoc with variables, before and after they are
// replaced, in bytes.
const maxDocument = 64 << 10

// simple finds the one form of ${ that is replaced in heredocs: the others can
// be nested, which takes memory.
var simple = regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*\}`)

// document returns the text of a heredoc with its variables replaced as BuildKit
// does it (dispatch in dockerfile2llb), and whether all of them are known.
func (s *site) document(text string) (string, bool) {
	if !plain(text) || !strings.ContainsAny(text, "$\\<\ufeff") {
		return text, plain(text)
	}
	e := s.expander
	if len(text) > maxDocument || e.documents > maxSize || strings.Count(text, "${") != len(simple.FindAllStringIndex(text, -1)) {
		return "", false
	}
	if e.steps += wordSteps + len(text)/10; e.steps > maxSteps {
		return "", false
	}
	lex := shell.NewLex('\\')
	lex.SkipProcessQuotes = true
	look := lookup{variables: s.stage.variables, steps: &e.steps, most: maxDocument}
	result, _, err := lex.ProcessWord(text, &look)
	e.documents += len(text) + look.delivered
	return result, err == nil && !look.unknown && look.delivered <= maxDocument
}

// keep sets a variable and counts it.
func (e *expander) keep(v *variables, name string, value variable) error {
	if err := e.count(name, value.value); err != nil {
		return err
	}
	v.shadow(name, value, &e.steps)
	v.set(name, value)
	return nil
}

// count adds what a variable takes.
func (e *expander) count(name, value string) error {
	if e.size += len(name) + len(value); e.size > maxValues {
		return fmt.Errorf("the values of variables are longer than %d bytes together", maxValues)
	}
	return nil
}

// newGlobals returns what a FROM line sees before the first ARG.
func newGlobals() *variables {
	globals := &variables{}
	for name, value := range maps.All(platformValues()) {
		globals.set(name, variable{value: value, known: true})
	}
	return globals
}
