package preflight

import (
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// Base is what has to be known of a base image.
type Base struct {
	// Shell is the SHELL of its configuration, empty for /bin/sh -c.
	Shell []string
	// Triggers are its ONBUILD triggers.
	Triggers []string
	// User is its USER, empty for root.
	User string
	// Environment is what its configuration has that builders complete or trip over.
	Environment BaseEnvironment
	// Env is its environment, of entries NAME=value; nil where that is not known.
	Env []string
}

// InContext reports whether what the build context holds can come out otherwise on this
// base than on one that brings nothing.
func (b Base) InContext() bool {
	return len(b.Triggers) > 0 || !rootOwner(b.User) || strings.Trim(b.Environment.Workdir, "/") != ""
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

// BaseEnvironment is what the configuration of a base image has that builders complete
// or trip over.
type BaseEnvironment struct {
	// NoPath is whether its environment sets something, and no PATH.
	NoPath bool
	// Bad is an entry of it that is not NAME=value, empty for none.
	Bad string
	// Relative is whether its working directory is a relative path, Dots whether it has
	// .. in it, or is too long. Workdir is the directory where neither is so, clean;
	// empty where it is not known.
	Relative, Dots bool
	Workdir        string
	// Long is whether the environment is too long to be kept.
	Long bool
	// Cmd is whether it has a CMD, StartInterval whether its HEALTHCHECK has such a time.
	Cmd, StartInterval bool
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
	case base.Long:
		e = w.errorf(line, "the environment of the base image %s is longer than kiln looks at, and what Kaniko makes of it is not known", name)
		e.Advice = "Use another base image."
	case base.Relative:
		e = w.errorf(line, "the working directory of the base image %s is a relative path, and Kaniko takes another directory than Docker", name)
		e.Advice = "Use another base image."
	case base.Dots:
		e = w.errorf(line, "the working directory of the base image %s has .. in it, or is too long, and Kaniko takes or makes other directories than Docker", name)
		e.Advice = "Use another base image."
	case base.StartInterval && w.keepsHealthcheck(index):
		e = w.errorf(line, "the base image %s has a HEALTHCHECK with --start-interval, which Kaniko drops", name)
		e.Advice = "Write a HEALTHCHECK of its own, or HEALTHCHECK NONE: nothing checks the health of an action."
	case base.NoPath && !setsPath(w.parsed[index].Commands):
		e = w.errorf(line, "the environment of the base image %s has no PATH: Docker gives the image one, Kaniko does not", name)
		e.Advice = "Write ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin behind FROM."
	}
	return e
}

// keepsHealthcheck reports whether the image that is built has the HEALTHCHECK of the base
// of a stage.
func (w *walker) keepsHealthcheck(index int) bool {
	for s := w.stages[len(w.stages)-1]; s != nil; s = s.base {
		if slices.ContainsFunc(w.parsed[s.index].Commands, func(command instructions.Command) bool {
			_, found := command.(*instructions.HealthCheckCommand)
			return found
		}) {
			return false
		}
		if s.index == index {
			return true
		}
	}
	return false
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
