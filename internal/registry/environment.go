package registry

import (
	"path"
	"slices"
	"strings"
)

// Environment is what a configuration has that builders complete or trip over.
type Environment struct {
	// NoPath is whether it has an environment, and no PATH in it.
	NoPath bool
	// Bad is the first entry that is not NAME=value, at most 100 bytes of it; empty
	// for none.
	Bad string
	// Relative is whether the working directory is a relative path.
	Relative bool
}

// maxBad bounds the entry that is kept, in bytes.
const maxBad = 100

// environment looks at a configuration. One without any environment is not
// without a PATH: every builder gives it its own.
func (c imageConfig) environment() Environment {
	env := c.Config.Env
	e := Environment{
		NoPath:   env != nil && !slices.ContainsFunc(env, func(entry string) bool { return strings.HasPrefix(entry, "PATH=") }),
		Relative: c.Config.WorkingDir != "" && !path.IsAbs(c.Config.WorkingDir),
	}
	at := slices.IndexFunc(env, func(entry string) bool { return strings.IndexByte(entry, '=') < 1 })
	if at >= 0 {
		e.Bad = strings.Clone(env[at][:min(len(env[at]), maxBad)])
		if e.Bad == "" {
			e.Bad = " "
		}
	}
	return e
}
