package preflight

import (
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// Base is what has to be known of a base image.
type Base struct {
	// Shell is the SHELL of its configuration, empty for /bin/sh -c.
	Shell []string
	// Triggers are its ONBUILD triggers.
	Triggers []string
	// Environment is what is odd about its configuration.
	Environment BaseEnvironment
	// Env is its environment, of entries NAME=value; nil where that is not known.
	Env []string
}

// variables are those of the environment, nil where it is not known. An image without a
// PATH is given one by builders, so that more may be set.
func (b Base) variables() *variables {
	if b.Env == nil {
		return nil
	}
	all := &variables{open: true}
	for _, entry := range b.Env {
		name, value, _ := strings.Cut(entry, "=")
		all.open = all.open && name != "PATH"
		all.set(name, variable{value: value, known: len(value) <= maxValue, env: true})
	}
	return all
}

// BaseEnvironment is what is odd about the configuration of a base image.
type BaseEnvironment struct {
	// NoPath is whether its environment sets something, and no PATH.
	NoPath bool
	// Bad is an entry of it that is not NAME=value, empty for none.
	Bad string
	// Relative is whether its working directory is a relative path.
	Relative bool
}

// Base looks at a base image, by its reference, and returns the external images that
// its ONBUILD triggers name: they run at the start of every stage that is built from
// it, and what one takes from a stage of this Dockerfile is no image.
//
// The error is of type [*Error]. It refuses an image that a used stage is built from
// and whose configuration Kaniko does not complete as Docker does, or ends with; where
// the stage sets PATH before all else, nothing is missing. It is of the kind [Syntax]
// for triggers that cannot be read, or are beyond the bounds of a Dockerfile: they are
// as hostile as the image.
func (f *File) Base(image string, base Base) ([]Image, error) {
	for index, s := range f.outline.stages {
		if !s.used || s.base != nil || s.image != image {
			continue
		}
		if e := f.outline.unfitBase(index, base.Environment); e != nil {
			return nil, e
		}
	}
	return f.triggers("ONBUILD of "+image, base.Triggers)
}

// unfitBase is the error of a stage whose base has an odd configuration.
func (w *walker) unfitBase(index int, base BaseEnvironment) *Error {
	line := startLine(w.parsed[index].Location)
	name := shorten(printable(w.stages[index].image))
	var e *Error
	switch {
	case base.Bad != "":
		e = w.errorf(line, "the environment of the base image %s has the entry %q, which is not NAME=value, and Kaniko ends with an error at it", name, shorten(printable(base.Bad)))
		e.Advice = "Use another base image."
	case base.Relative:
		e = w.errorf(line, "the working directory of the base image %s is a relative path, and Kaniko takes another directory than Docker", name)
		e.Advice = "Use another base image."
	case base.NoPath && !setsPath(w.parsed[index].Commands):
		e = w.errorf(line, "the environment of the base image %s has no PATH: Docker gives the image one, Kaniko does not", name)
		e.Advice = "Write ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin behind FROM."
	}
	return e
}

// setsPath reports whether the first command of a stage that may need a PATH sets
// it.
func setsPath(commands []instructions.Command) bool {
	for _, command := range commands {
		switch c := command.(type) {
		case *instructions.ArgCommand:
			continue
		case *instructions.EnvCommand:
			for _, pair := range c.Env {
				if pair.Key == "PATH" {
					return true
				}
			}
		}
		return false
	}
	return false
}
