package registry

import (
	"cmp"
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
	// Relative is whether the working directory is a relative path, Dots whether it has
	// .. in it, or is too long to be kept. Workdir is the directory where neither is so,
	// clean; "/" for none.
	Relative, Dots bool
	Workdir        string
	// Long is whether the environment is too long to be kept.
	Long bool
	// Cmd is whether it has a CMD, StartInterval whether its HEALTHCHECK has such a time.
	Cmd, StartInterval bool
}

const (
	// maxBad bounds the entry that is kept, in bytes.
	maxBad = 100
	// maxWorkdir bounds the working directory that is kept, in bytes (PATH_MAX).
	maxWorkdir = 4 << 10
)

// environment looks at a configuration. One without any environment is not
// without a PATH: every builder gives it its own.
func (c imageConfig) environment() Environment {
	env, workdir := c.Config.Env, cmp.Or(c.Config.WorkingDir, "/")
	e := Environment{
		NoPath:        env != nil && !slices.ContainsFunc(env, func(entry string) bool { return strings.HasPrefix(entry, "PATH=") }),
		Relative:      !path.IsAbs(workdir),
		Dots:          len(workdir) > maxWorkdir || slices.Contains(strings.Split(workdir, "/"), ".."),
		Long:          len(strings.Join(env, "\n")) > maxEnv,
		Cmd:           len(c.Config.Cmd) > 0,
		StartInterval: c.Config.Healthcheck != nil && c.Config.Healthcheck.StartInterval != 0,
	}
	if !e.Relative && !e.Dots {
		e.Workdir = path.Clean(strings.Clone(workdir))
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
