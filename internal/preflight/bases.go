package preflight

import "github.com/moby/buildkit/frontend/dockerfile/instructions"

// BaseEnvironment is what is odd about the configuration of a base image.
type BaseEnvironment struct {
	// NoPath is whether its environment sets something, and no PATH.
	NoPath bool
	// Bad is an entry of it that is not NAME=value, empty for none.
	Bad string
	// Relative is whether its working directory is a relative path.
	Relative bool
}

// CheckBase returns an error of type [*Error] if a used stage is built from the
// image and Kaniko does not complete its configuration as Docker does, or ends
// with it. Where the stage sets PATH before all else, nothing is missing.
func (d *Dockerfile) CheckBase(image string, base BaseEnvironment) error {
	for index, s := range d.walker.stages {
		if !s.used || s.base != nil || s.image != image {
			continue
		}
		if e := d.walker.unfitBase(index, base); e != nil {
			return e
		}
	}
	return nil
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
