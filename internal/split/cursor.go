package split

import (
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// DefaultPath is what BuildKit sets where an image has no PATH
// (DefaultPathEnvUnix in its util/system).
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// cursor is what is known at a step of a chain.
type cursor struct {
	scope *Scope
	// env is the environment of the image, which ARG is no part of.
	env  []string
	user string
	// shell is whether a SHELL is set, cmd whether the stage has set CMD.
	shell, cmd bool
}

// root reports whether the user is root.
func (c *cursor) root() bool {
	return slices.Contains([]string{"", "root", "0", "0:0", "root:root", "0:root", "root:0"}, c.user)
}

// copy returns a cursor that goes on by itself.
func (c *cursor) copy() *cursor {
	own := *c
	own.scope, own.env = c.scope.clone(), slices.Clone(c.env)
	return &own
}

// begin is the cursor behind the FROM of an image.
func (d *decision) begin(from Step) (*cursor, error) {
	base, known := d.Bases[from.image]
	if !known && from.image != "scratch" {
		return nil, unsure(from.Line, "the base image is not known")
	}
	c := &cursor{scope: newScope(d.result.EscapeToken), env: slices.Clone(base.Env), user: base.User, shell: len(base.Shell) > 0}
	c.scope.globals = d.globals
	if !slices.ContainsFunc(c.env, func(entry string) bool { return strings.HasPrefix(entry, "PATH=") || entry == "PATH" }) {
		c.env = append(c.env, "PATH="+DefaultPath)
	}
	if err := c.scope.Begin(c.env); err != nil {
		return nil, unsure(from.Line, "the environment of the base image: %v", err)
	}
	return c, nil
}

// pass goes past a step whose variables are expanded.
func (c *cursor) pass(command instructions.Command) error {
	switch command := command.(type) {
	case nil:
		c.cmd = false
		return c.scope.Begin(c.env)
	case *instructions.EnvCommand:
		for _, pair := range command.Env {
			c.env = SetEnv(c.env, pair.Key, pair.Value)
		}
	case *instructions.UserCommand:
		c.user = command.User
	case *instructions.ShellCommand:
		c.shell = true
	case *instructions.CmdCommand:
		c.cmd = true
	}
	return c.scope.Apply(command)
}

// SetEnv sets a variable of an image's environment in its place, or behind all
// others (addEnv in dockerfile2llb).
func SetEnv(env []string, key, value string) []string {
	for i, entry := range env {
		if name, _, _ := strings.Cut(entry, "="); name == key {
			env[i] = key + "=" + value
			return env
		}
	}
	return append(env, key+"="+value)
}

// cut returns how many steps belong to the base part, and what is known behind them.
func (d *decision) cut(chain []Step) (int, *cursor, error) {
	at, err := d.begin(chain[0])
	if err != nil {
		return 0, nil, err
	}
	cut, behind := 1, at.copy()
	for i, step := range chain[1:] {
		c, err := step.Command()
		if err != nil {
			return 0, nil, unsure(step.Line, "%v", err)
		}
		if err := at.scope.Resolve(c); err != nil {
			return 0, nil, unsure(step.Line, "%v", err)
		}
		runs := c != nil && d.runs(c, at)
		if err := at.pass(c); err != nil {
			return 0, nil, unsure(step.Line, "%v", err)
		}
		// Triggers of one FROM stay together: no line divides them.
		if runs || step.Trigger && chain[cut-1].Trigger && cut == i+1 {
			cut, behind = i+2, at.copy()
			clear(d.archives)
		}
	}
	return cut, behind, nil
}
