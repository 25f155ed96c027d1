package preflight

import (
	"errors"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"kiln/internal/copysource"
)

// state is what is known of a stage at an instruction.
type state struct {
	variables *variables
	// user and workdir are as the image's configuration would have them;
	// unknown ones come from a base image.
	user    word
	workdir word
	// usersOwn is whether the user is that of the base image.
	usersOwn bool
	// shell is what SHELL has set, nil where that is left to the base image.
	shell []string
	// added are the texts of the RUNs that may have added users, owning of those
	// that may have made links, or given directories an owner or a mode.
	added, owning []string
	// volumes are the paths of VOLUME in this stage and in those that it is built
	// from.
	volumes []string
	// newVolume is whether one of them was not there before.
	newVolume bool
	// done counts the commands that the walk has gone past, triggersDone the
	// triggers before them.
	done, triggersDone int
	// made are the directories that WORKDIR made in this stage, and whose they
	// are; empty for root's and, as nearly all are, the base image's user's.
	made map[string]string
}

// site is one place in the Dockerfile that the support table is asked about.
type site struct {
	walker *walker
	// stage is nil for the file as a whole, which is the first site, and has no
	// index for the ARGs before the first FROM.
	stage *stage
	// command is nil for the file and for FROM.
	command instructions.Command
	// trigger is set for an ONBUILD trigger of the stage's base. Its line is that
	// of FROM.
	trigger *trigger
	node    *parser.Node
	line    int
	// leaked are the ARGs that earlier stages declare, with the last value.
	leaked   map[string]variable
	expander *expander
	// expanded and all remember what several rows ask for.
	expanded map[string]word
	all      string
	// loneHeredoc remembers whether the command is one, once asked.
	loneHeredoc *bool
	// found is what is wrong with the sources in the context, once compared.
	found    []copysource.Finding
	compared bool
}

// expand returns a word of the instruction with its variables replaced. It is
// not known when a variable may come from a base image.
func (s *site) expand(text string) (string, bool) {
	expanded, found := s.expanded[text]
	if !found {
		var err error
		if expanded, err = s.expander.expand(text, s.stage.variables); err != nil {
			expanded = word{}
		}
		s.expanded[text] = expanded
	}
	return expanded.value, expanded.known
}

// text is the instruction with the bodies of its heredocs.
func (s *site) text() string {
	if len(s.node.Heredocs) == 0 {
		return s.node.Original
	}
	if s.all == "" {
		parts := []string{s.node.Original}
		for _, document := range s.node.Heredocs {
			parts = append(parts, document.Content)
		}
		s.all = strings.Join(parts, "\n")
	}
	return s.all
}

// path returns an absolute, clean path of the image, as COPY and WORKDIR take
// it, and whether it ended in a slash.
func (s *site) path(text string) (absolute string, slash, known bool) {
	value, known := s.expand(text)
	if !known {
		return "", false, false
	}
	slash = strings.HasSuffix(value, "/") || value == "." || strings.HasSuffix(value, "/.")
	if !path.IsAbs(value) {
		if !s.stage.workdir.known {
			return "", false, false
		}
		value = path.Join("/", s.stage.workdir.value, value)
	}
	return path.Clean(value), slash, true
}

// walk visits the file and the ARGs before the first FROM, then every FROM, trigger and command of the used
// stages, with the state before it.
func (w *walker) walk(visit func(*site)) error {
	visit(&site{walker: w, line: 0})
	e := &expander{lex: w.lex}
	front := &stage{index: -1, state: state{variables: w.globals}}
	for i := range w.front {
		visit(w.site(front, &w.front[i], startLine(w.front[i].Location()), nil, e))
	}
	leaked := map[string]variable{}
	for index, s := range w.stages {
		if !s.used {
			continue
		}
		s.begin()
		line := startLine(w.parsed[index].Location)
		visit(w.site(s, nil, line, leaked, e))
		for i := range s.triggers {
			if err := w.site(s, nil, line, leaked, e).of(&s.triggers[i]).step(visit); err != nil {
				return err
			}
			s.triggersDone++
		}
		for _, command := range w.parsed[index].Commands {
			if err := w.site(s, command, startLine(command.Location()), leaked, e).step(visit); err != nil {
				return err
			}
			s.done++
		}
		for name, v := range s.variables.values {
			if !v.env {
				leaked[name] = v
			}
		}
	}
	return nil
}

// step visits a command and follows it, within bounds.
func (s *site) step(visit func(*site)) error {
	if err := s.mounts(); err != nil {
		return s.errorf("%s", err)
	}
	visit(s)
	if err := s.apply(); err != nil {
		return s.errorf("%s", err)
	}
	if s.expander.steps > maxSteps {
		return s.errorf("%s", errTooMany)
	}
	if s.expander.looks > maxLooks {
		return s.errorf("%s", errTooManyPatterns)
	}
	return nil
}

// node returns the parsed text of the instruction that starts in a line.
func (w *walker) node(line int) *parser.Node {
	if node := w.nodes[line]; node != nil {
		return node
	}
	return &parser.Node{}
}

// site returns the site of FROM, or of one command of a stage.
func (w *walker) site(s *stage, command instructions.Command, line int, leaked map[string]variable, e *expander) *site {
	return &site{
		walker: w, stage: s, command: command, node: w.node(line), line: line,
		leaked: leaked, expander: e, expanded: map[string]word{},
	}
}

// begin sets the state after FROM.
func (s *stage) begin() {
	s.state = state{variables: &variables{}, made: map[string]string{}}
	switch {
	case s.base != nil:
		s.variables.from = s.base.variables.behind()
		s.usersOwn = s.base.usersOwn
		s.user, s.workdir, s.volumes = s.base.user, s.base.workdir, slices.Clip(s.base.volumes)
		s.shell, s.added, s.owning = s.base.shell, slices.Clip(s.base.added), slices.Clip(s.base.owning)
	case s.image == scratch:
		s.user, s.workdir = word{known: true}, word{value: "/", known: true}
	case s.brought != nil:
		s.user, s.workdir = s.brought.user, s.brought.workdir
		s.usersOwn = true
		if s.variables.from = s.brought.variables; s.variables.from == nil {
			s.variables.open = true
		}
		if at := s.workdir; at.known && !rootOwner(s.user.value) && !slices.Contains(usual(), at.value) {
			s.made[at.value] = s.user.value // as it is in nearly all images
		}
	default:
		s.variables.open = true
	}
}

// mounts has BuildKit read the mounts of a RUN, which it leaves until their
// variables are known and then keeps in the command: in one of the site's own.
func (s *site) mounts() error {
	if _, ok := s.command.(*instructions.RunCommand); !ok || len(s.node.Flags) == 0 {
		return nil
	}
	own, err := instructions.ParseInstructionWithLinter(s.node, &linter.Linter{})
	if err != nil {
		return err
	}
	run, ok := own.(*instructions.RunCommand)
	if !ok {
		return nil
	}
	s.command = run
	return run.Expand(func(text string) (string, error) {
		expanded, err := s.expander.expand(text, s.stage.variables)
		if err == nil && !expanded.known {
			return text, nil
		}
		return expanded.value, err
	})
}

// apply changes the state as the command does.
func (s *site) apply() error {
	switch c := s.command.(type) {
	case *instructions.ArgCommand:
		return s.expander.declare(*c, s.stage.variables, s.walker.globals)
	case *instructions.EnvCommand:
		return s.setEnv(c)
	case *instructions.UserCommand:
		value, known := s.expand(c.User)
		s.stage.user, s.stage.usersOwn = word{value: value, known: known}, false
	case *instructions.WorkdirCommand:
		s.setWorkdir(c)
	case *instructions.ShellCommand:
		s.stage.shell = c.Shell
	case *instructions.RunCommand:
		s.stage.note(s.text())
	case *instructions.VolumeCommand:
		for _, volume := range c.Volumes {
			if value, known := s.expand(volume); known {
				s.stage.volumes = append(s.stage.volumes, path.Clean(value))
				s.stage.newVolume = s.stage.newVolume || !s.exists(path.Clean(value))
			}
		}
	}
	return nil
}

// note keeps the text of a RUN for those who ask whose files are.
func (s *stage) note(text string) {
	if mayAddUser(text) && addUser.MatchString(text) {
		s.added = append(s.added, text)
	}
	if mayChange(text) && changesDirectory.MatchString(text) {
		s.owning = append(s.owning, text)
	}
}

// mayAddUser and mayChange are quick looks for what the patterns of these names
// need.
func mayAddUser(text string) bool {
	return strings.Contains(text, "user") || strings.Contains(text, "/etc/passwd")
}

func mayChange(text string) bool {
	return slices.ContainsFunc([]string{"ch", "user", "ln", "install", "umask", "mkdir"}, func(word string) bool { return strings.Contains(text, word) })
}

var addUser = regexp.MustCompile(`\b(adduser|useradd)\b|/etc/passwd`)

// setEnv sets the variables of an ENV. All of its values see the state before
// it.
func (s *site) setEnv(c *instructions.EnvCommand) error {
	values := make([]variable, len(c.Env))
	for i, pair := range c.Env {
		expanded, err := s.expander.expand(pair.Value, s.stage.variables)
		if err != nil && !errors.Is(err, errReplacements) {
			return err
		}
		if err := s.expander.count(pair.Key, expanded.value); err != nil {
			return err
		}
		values[i] = variable{value: expanded.value, known: expanded.known, env: true}
	}
	for i, pair := range c.Env {
		s.stage.variables.set(pair.Key, values[i])
	}
	return nil
}

// setWorkdir follows a WORKDIR. What it makes is owned by the user of the
// moment.
func (s *site) setWorkdir(c *instructions.WorkdirCommand) {
	absolute, _, known := s.path(c.Path)
	s.stage.workdir = word{value: absolute, known: known}
	if !known {
		return
	}
	if _, found := s.stage.owner(absolute); !found {
		s.stage.made[absolute] = s.stage.user.value
	}
}

// owner returns who made a directory by WORKDIR, in the stage or in one that
// it is built from.
func (s *stage) owner(directory string) (string, bool) {
	for ; s != nil; s = s.base {
		if owner, found := s.made[directory]; found {
			return owner, true
		}
	}
	return "", false
}

// declare adds the ARGs of one instruction. Outer are the ARGs before the
// first FROM, whose values an ARG without one takes; nil for those themselves.
func (e *expander) declare(arg instructions.ArgCommand, v, outer *variables) error {
	for _, pair := range arg.Args {
		if pair.Value == nil {
			if global, ok, _ := outer.get(pair.Key); ok {
				if err := e.keep(v, pair.Key, global); err != nil {
					return err
				}
			}
			continue
		}
		expanded, err := e.expand(*pair.Value, v)
		if errors.Is(err, errReplacements) && outer != nil {
			expanded, err = word{}, nil
		}
		if err != nil {
			return err
		}
		if err := e.keep(v, pair.Key, variable{value: expanded.value, known: expanded.known}); err != nil {
			return err
		}
	}
	return nil
}
