package preflight

import (
	"errors"
	"fmt"
	"regexp"
	"runtime"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

const (
	// maxValue bounds a word before and after expansion, and what variables add
	// to it, in bytes. Without it a few lines that each double an ARG take
	// gigabytes.
	maxValue = 4 << 10
	// maxValues bounds all values of ARGs together, in bytes.
	maxValues = 1 << 20
)

// replacement finds "${name/": the one expansion whose result can be longer
// than everything that goes into it, by multiplication.
var replacement = regexp.MustCompile(`\$\{[^/:}]*/`)

var errTooLong = fmt.Errorf("a value is longer than %d bytes", maxValue)

// scope holds the ARGs before the first FROM, which are the only ones that a
// FROM line sees. It implements shell.EnvGetter and counts what it hands out
// for one word.
type scope struct {
	lex       *shell.Lex
	values    map[string]string
	size      int
	delivered int
}

// newScope returns the scope that Docker starts with: the platform that is
// built for and on, which for kiln is the one of its own node.
func newScope(escapeToken rune) *scope {
	platform := runtime.GOOS + "/" + runtime.GOARCH
	return &scope{
		lex: shell.NewLex(escapeToken),
		values: map[string]string{
			"BUILDPLATFORM":  platform,
			"BUILDOS":        runtime.GOOS,
			"BUILDARCH":      runtime.GOARCH,
			"BUILDVARIANT":   "",
			"TARGETPLATFORM": platform,
			"TARGETOS":       runtime.GOOS,
			"TARGETARCH":     runtime.GOARCH,
			"TARGETVARIANT":  "",
		},
	}
}

// Get implements shell.EnvGetter. Beyond the bound it hands out nothing;
// expand notices.
func (s *scope) Get(key string) (string, bool) {
	value, found := s.values[key]
	s.delivered += len(value)
	if s.delivered > maxValue {
		return "", found
	}
	return value, found
}

// Keys implements shell.EnvGetter.
func (s *scope) Keys() []string { return nil }

// expand returns word with its variables replaced. One word takes memory in
// the order of maxValue squared at most: it, and all that variables add, are
// bounded, and only one multiplying expansion is allowed in it.
func (s *scope) expand(word string) (string, error) {
	if len(word) > maxValue {
		return "", errTooLong
	}
	if len(replacement.FindAllStringIndex(word, 2)) > 1 {
		return "", errors.New("more than one ${name/pattern/replacement} in one value")
	}
	s.delivered = 0
	result, _, err := s.lex.ProcessWord(word, s)
	if err != nil {
		return "", err
	}
	if s.delivered > maxValue || len(result) > maxValue {
		return "", errTooLong
	}
	return result, nil
}

// declare adds the ARGs of one instruction.
func (s *scope) declare(arg instructions.ArgCommand) error {
	for _, pair := range arg.Args {
		if pair.Value == nil {
			continue
		}
		value, err := s.expand(*pair.Value)
		if err != nil {
			return err
		}
		if s.size += len(pair.Key) + len(value); s.size > maxValues {
			return fmt.Errorf("the values of ARG are longer than %d bytes together", maxValues)
		}
		s.values[pair.Key] = value
	}
	return nil
}
