package preflight

import (
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// brought is what the base image of stages brings along.
type brought struct {
	// variables are nil where they are not known.
	variables *variables
	user      word
	workdir   word
}

func (b Base) brought() *brought {
	return &brought{
		variables: b.variables(),
		user:      word{value: b.User, known: true},
		workdir:   word{value: b.Environment.Workdir, known: b.Environment.Workdir != ""},
	}
}

// mislaid refuses what of the configuration of a base image Kaniko keeps where Docker does
// not.
func (w *walker) mislaid(flavor string, bases map[string]Base) error {
	if flavor == Chainguard {
		if err := w.keptCmd(bases); err != nil {
			return err
		}
	}
	return w.keptTwin(bases)
}

// keptCmd refuses a trigger with an ENTRYPOINT for which Docker drops the CMD of the base
// image, and chainguard's Kaniko, which goes by the Dockerfile alone, does not.
func (w *walker) keptCmd(bases map[string]Base) error {
	for index, s := range w.stages {
		if !s.used || s.base != nil || !bases[s.image].Environment.Cmd {
			continue
		}
		var entrypoint *trigger
		cmd := slices.ContainsFunc(w.parsed[index].Commands, starts)
		for i := range s.triggers {
			if _, ok := s.triggers[i].command.(*instructions.EntrypointCommand); ok {
				entrypoint = &s.triggers[i]
			} else {
				cmd = cmd || starts(s.triggers[i].command)
			}
		}
		if entrypoint == nil || cmd {
			continue
		}
		e := w.site(s, nil, startLine(w.parsed[index].Location), nil, nil).of(entrypoint).
			errorf("this Kaniko keeps the CMD of the image, Docker drops it for the ENTRYPOINT")
		e.Advice = "Write the ENTRYPOINT behind FROM too, or CMD []."
		return e
	}
	return nil
}

// starts reports whether a command says how a container starts.
func starts(command instructions.Command) bool {
	switch command.(type) {
	case *instructions.EntrypointCommand, *instructions.CmdCommand:
		return true
	}
	return false
}

// keptTwin refuses an ENV of a variable that the environment of the base image has more
// than once: Kaniko changes the first of them, and the last one counts.
func (w *walker) keptTwin(bases map[string]Base) error {
	twins := map[string]map[string]bool{}
	for image, base := range bases {
		twins[image] = base.twins()
	}
	for index, s := range w.stages {
		root := s.root()
		if !s.used || len(twins[root.image]) == 0 {
			continue
		}
		refuse := func(at *site) error {
			c, ok := at.command.(*instructions.EnvCommand)
			if !ok || !slices.ContainsFunc(c.Env, func(pair instructions.KeyValuePair) bool { return twins[root.image][pair.Key] }) {
				return nil
			}
			e := at.errorf("the environment of the base image %s sets the variable more than once, and Kaniko keeps the last of it", shorten(printable(root.image)))
			e.Advice = "Give the variable another name, or use another base image."
			return e
		}
		for i := range s.triggers {
			if err := refuse(w.site(s, nil, startLine(w.parsed[index].Location), nil, nil).of(&s.triggers[i])); err != nil {
				return err
			}
		}
		for _, command := range w.parsed[index].Commands {
			if err := refuse(w.site(s, command, startLine(command.Location()), nil, nil)); err != nil {
				return err
			}
		}
	}
	return nil
}

// twins are the variables that the environment sets more than once.
func (b Base) twins() map[string]bool {
	seen, twins := map[string]bool{}, map[string]bool{}
	for _, entry := range b.Env {
		name, _, _ := strings.Cut(entry, "=")
		if seen[name] {
			twins[name] = true
		}
		seen[name] = true
	}
	return twins
}
