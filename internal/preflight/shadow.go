package preflight

import (
	"maps"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// inheritance is what the stages built from one image make of its environment.
type inheritance struct {
	walker *walker
	flavor string
	// env is the environment.
	env map[string]string
	// set are the variables that a stage sets by ENV; shadowed are those of the image
	// over which it then declares an ARG.
	set, shadowed map[*stage]map[string]bool
}

// shadowed refuses an ARG over a variable of an image: what the rows ArgAfterEnv and
// EnvOfParentShadowed say of an ENV of the Dockerfile holds for the image's too.
func (w *walker) shadowed(flavor, image string, env []string) *Error {
	of := &inheritance{walker: w, flavor: flavor, env: map[string]string{}, set: map[*stage]map[string]bool{}, shadowed: map[*stage]map[string]bool{}}
	for _, entry := range env {
		if name, value, found := strings.Cut(entry, "="); found {
			of.env[name] = value
		}
	}
	for _, s := range w.stages {
		if !s.used || s.root().image != image {
			continue
		}
		if e := of.stage(s); e != nil {
			return e
		}
	}
	return nil
}

// stage follows the variables of a stage, whose base has been followed.
func (h *inheritance) stage(s *stage) *Error {
	parsed := h.walker.parsed[s.index]
	if s.base != nil {
		if names := slices.Sorted(maps.Keys(h.shadowed[s.base])); len(names) > 0 {
			return h.refuse("EnvOfParentShadowed", startLine(parsed.Location), names[0])
		}
	}
	h.set[s], h.shadowed[s] = map[string]bool{}, map[string]bool{}
	for _, command := range parsed.Commands {
		switch c := command.(type) {
		case *instructions.EnvCommand:
			for _, pair := range c.Env {
				h.set[s][pair.Key] = true
				delete(h.shadowed[s], pair.Key)
			}
		case *instructions.ArgCommand:
			for _, pair := range c.Args {
				if !h.differs(s, pair) {
					continue
				}
				if e := h.refuse("ArgAfterEnv", startLine(c.Location()), pair.Key); e != nil {
					return e
				}
				h.shadowed[s][pair.Key] = true
			}
		}
	}
	return nil
}

// differs reports whether an ARG gives a variable of the image another value.
func (h *inheritance) differs(s *stage, arg instructions.KeyValuePairOptional) bool {
	value, found := h.env[arg.Key]
	for at := s; found && at != nil; at = at.base {
		found = !h.set[at][arg.Key]
	}
	if !found {
		return false
	}
	if arg.Value != nil {
		return *arg.Value != value
	}
	global, declared, _ := h.walker.globals.get(arg.Key)
	return declared && (!global.known || global.value != value)
}

// refuse is the error of a row, nil where the flavor builds it as Docker does.
func (h *inheritance) refuse(id string, line int, name string) *Error {
	row := argRows()[slices.IndexFunc(argRows(), func(r Row) bool { return r.ID == id })]
	if row.Verdict(h.flavor) != Refuse {
		return nil
	}
	e := h.walker.errorf(line, "the base image sets %s: %s%s", shorten(printable(name)), row.Message, row.mark())
	e.Advice = row.Advice
	return e
}
