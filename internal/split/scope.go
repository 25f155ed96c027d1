package split

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

const (
	// maxValue bounds a word before and after its variables are replaced, and what
	// they add to it, maxDocument a heredoc, maxValues all values that are kept, in
	// bytes; maxWords the words of one assembly.
	maxValue    = 4 << 10
	maxDocument = 64 << 10
	maxValues   = 1 << 20
	maxWords    = 20_000
)

var (
	errLong  = errors.New("a value is too long")
	errMany  = errors.New("there are too many values")
	errTwice = errors.New("more than one ${name/pattern/replacement} in one value")
)

// replacement finds the one expansion whose result can be longer than all that goes
// into it.
var replacement = regexp.MustCompile(`\$\{[^/:}]*/`)

// Scope is the variables that an instruction sees, those of ARG and ENV alike. It is
// for one goroutine.
type Scope struct {
	lex    *shell.Lex
	escape rune
	values map[string]string
	size   int
	words  int
	// documents is what all heredocs took, in bytes.
	documents int
	globals   *Scope
	// args are the ARGs so far, in order, each name once; argAt is where each is.
	args  []instructions.KeyValuePairOptional
	argAt map[string]int
}

func newScope(escape rune) *Scope {
	return &Scope{lex: shell.NewLex(escape), escape: escape, values: map[string]string{}, argAt: map[string]int{}}
}

func (s *Scope) clone() *Scope {
	own := *s
	own.lex, own.values = shell.NewLex(s.escape), maps.Clone(s.values)
	own.args, own.argAt = slices.Clone(s.args), maps.Clone(s.argAt)
	return &own
}

// Begin sets the environment of an image, as the beginning of a stage does: an ENV of
// the stage before takes the place of a later ARG of its name.
func (s *Scope) Begin(env []string) error {
	for _, entry := range env {
		key, value, _ := strings.Cut(entry, "=")
		if err := s.set(key, value); err != nil {
			return err
		}
	}
	return nil
}

// begin sets values.
func (s *Scope) begin(values map[string]string) error {
	for name, value := range values {
		if err := s.set(name, value); err != nil {
			return err
		}
	}
	return nil
}

// set sets a variable within bounds.
func (s *Scope) set(name, value string) error {
	if s.size += len(name) + len(value); s.size > maxValues {
		return errMany
	}
	s.values[name] = value
	return nil
}

// Get returns a variable.
func (s *Scope) Get(name string) (string, bool) {
	value, found := s.values[name]
	return value, found
}

// look hands out variables for one word, within a bound.
type look struct {
	values    map[string]string
	delivered int
	most      int
}

// Get implements shell.EnvGetter.
func (l *look) Get(key string) (string, bool) {
	value, found := l.values[key]
	if l.delivered += len(value); l.delivered > l.most {
		return "", found
	}
	return value, found
}

// Keys implements shell.EnvGetter.
func (l *look) Keys() []string { return slices.Sorted(maps.Keys(l.values)) }

// within checks the bounds before a word is expanded.
func (s *Scope) within(text string, most int) (*look, error) {
	switch s.words++; {
	case s.words > maxWords:
		return nil, errMany
	case len(text) > most:
		return nil, errLong
	case len(replacement.FindAllStringIndex(text, 2)) > 1:
		return nil, errTwice
	}
	return &look{values: s.values, most: most}, nil
}

// Expand returns a word with its variables replaced.
func (s *Scope) Expand(text string) (string, error) {
	env, err := s.within(text, maxValue)
	if err != nil {
		return "", err
	}
	value, _, err := s.lex.ProcessWord(text, env)
	if env.delivered > maxValue || len(value) > maxValue {
		return "", errLong
	}
	return value, err
}

// Words returns the words of a text with its variables replaced, as EXPOSE takes them.
func (s *Scope) Words(text string) ([]string, error) {
	env, err := s.within(text, maxValue)
	if err != nil {
		return nil, err
	}
	values, err := s.lex.ProcessWords(text, env)
	if env.delivered > maxValue {
		return nil, errLong
	}
	return values, err
}

// document returns the text of a heredoc with its variables replaced.
func (s *Scope) document(text string) (string, error) {
	if strings.Count(text, "${") > maxValue {
		return "", errMany
	}
	env, err := s.within(text, maxDocument)
	if err != nil {
		return "", err
	}
	lex := shell.NewLex('\\')
	lex.SkipProcessQuotes = true
	value, _, err := lex.ProcessWord(text, env)
	if env.delivered > maxDocument || len(value) > 2*maxDocument {
		return "", errLong
	}
	if s.documents += len(value); s.documents > 4*maxValues {
		return "", errMany
	}
	return value, err
}

// Resolve replaces the variables of a command as dispatch in dockerfile2llb does. The
// words of ARG and EXPOSE stay.
func (s *Scope) Resolve(c instructions.Command) error {
	if _, isArg := c.(*instructions.ArgCommand); c == nil || isArg {
		return nil
	}
	if run, ok := c.(*instructions.RunCommand); ok && len(run.FlagsUsed) == 0 {
		return nil
	}
	if able, ok := c.(instructions.SupportsSingleWordExpansion); ok {
		if err := able.Expand(s.Expand); err != nil {
			return err
		}
	}
	if able, ok := c.(instructions.SupportsSingleWordExpansionRaw); ok {
		return able.ExpandRaw(s.document)
	}
	return nil
}

// Apply sets what a command sets that [Scope.Resolve] has been asked for.
func (s *Scope) Apply(c instructions.Command) error {
	switch c := c.(type) {
	case *instructions.EnvCommand:
		for _, pair := range c.Env {
			if err := s.set(pair.Key, pair.Value); err != nil {
				return err
			}
		}
	case *instructions.ArgCommand:
		for i := range c.Args {
			if err := s.declare(&c.Args[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// declare sets the variable of an ARG, and its value there, as dispatchArg does
// without build arguments.
func (s *Scope) declare(pair *instructions.KeyValuePairOptional) error {
	if pair.Value != nil {
		value, err := s.Expand(*pair.Value)
		if err != nil {
			return err
		}
		pair.Value = &value
	} else if global, found := s.globals.Get(pair.Key); found {
		pair.Value = &global
	}
	if at, found := s.argAt[pair.Key]; found {
		s.args[at] = *pair
	} else {
		s.argAt[pair.Key] = len(s.args)
		s.args = append(s.args, *pair)
	}
	if pair.Value == nil || strings.HasPrefix(pair.Key, "BUILDKIT_SBOM_SCAN_") {
		return nil
	}
	return s.set(pair.Key, *pair.Value)
}

// BuildArgs are the ARGs so far with their values, or those of the ENVs of their names, as
// the history of a RUN begins with them (runCommandString in dockerfile2llb).
func (s *Scope) BuildArgs() []string {
	var args []string
	for _, arg := range s.args {
		value, found := s.Get(arg.Key)
		if !found {
			value = arg.ValueString()
		}
		args = append(args, arg.Key+"="+value)
	}
	return args
}

// meta sets the variables of an ARG before the first FROM.
func (s *Scope) meta(c *instructions.ArgCommand) error {
	for _, pair := range c.Args {
		if pair.Value == nil {
			continue
		}
		value, err := s.Expand(*pair.Value)
		if err != nil {
			return fmt.Errorf("ARG %s: %w", pair.Key, err)
		}
		if err := s.set(pair.Key, value); err != nil {
			return err
		}
	}
	return nil
}

// platformArgs are the variables that BuildKit sets (defaultArgs in dockerfile2llb):
// of the platform that is built for and on, which is the process' own. The name of
// the target is not among them.
func platformArgs() map[string]string {
	platform := runtime.GOOS + "/" + runtime.GOARCH
	args := map[string]string{}
	for _, prefix := range []string{"BUILD", "TARGET"} {
		args[prefix+"PLATFORM"], args[prefix+"OS"], args[prefix+"ARCH"] = platform, runtime.GOOS, runtime.GOARCH
		args[prefix+"OSVERSION"], args[prefix+"VARIANT"] = "", ""
	}
	return args
}
