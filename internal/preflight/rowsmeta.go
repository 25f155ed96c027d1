package preflight

import (
	"math/bits"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// metaRows are constructs that say what runs in a container, and labels.
func metaRows() []Row {
	return []Row{
		{
			ID:                "LabelQuotes",
			Name:              "LABEL with quotes, backslashes or dollar signs in what comes of it",
			Example:           "FROM busybox\nLABEL a=\"it's\"\n",
			Osscontainertools: Mend,
			Message:           "this Kaniko expands a LABEL twice: what quotes keep the first time is lost the second time",
			Advice:            "Write the label without quotes, backslashes and dollar signs in its text.",
			match: func(s *site) bool {
				c, ok := s.command.(*instructions.LabelCommand)
				return ok && slices.ContainsFunc(c.Labels, func(pair instructions.KeyValuePair) bool {
					return !s.settled(pair.Key) || !s.settled(pair.Value)
				})
			},
			mend: mendLabels,
		},
		{
			ID:                "GlobalArgQuotes",
			Name:              "ARG before the first FROM with quotes, backslashes or dollar signs in what comes of it",
			Example:           "ARG A='say \"hi\"'\nFROM busybox\nARG A\nRUN echo \"$A\" > /a\n",
			Chainguard:        Refuse,
			Osscontainertools: Refuse,
			Message:           "Kaniko expands the value twice: what quotes keep the first time is lost the second time",
			Advice:            "Give the ARG its value in the stages that use it.",
			match: func(s *site) bool {
				c, ok := s.command.(*instructions.ArgCommand)
				return ok && s.stage.index < 0 && slices.ContainsFunc(c.Args, func(pair instructions.KeyValuePairOptional) bool {
					return pair.Value != nil && !s.settled(*pair.Value)
				})
			},
		},
		{
			ID:                "CmdKept",
			Name:              "CMD in a stage that one with an ENTRYPOINT is built from",
			Example:           "FROM busybox AS a\nCMD [\"x\"]\nFROM a\nENTRYPOINT [\"/e\"]\n",
			Chainguard:        Mend, // it keeps one for an ENTRYPOINT of ONBUILD
			Osscontainertools: Mend,
			Message:           "Kaniko keeps a CMD that Docker drops for the ENTRYPOINT of a later stage",
			Advice:            "Remove the CMD of the earlier stage.",
			match: func(s *site) bool {
				_, ok := s.command.(*instructions.CmdCommand)
				return ok && s.overruled()
			},
			mend: func(_ *site, r *rewrite) bool {
				r.start = &exec{}
				return true
			},
		},
		{
			ID:                "ShellFormShared",
			Name:              "CMD or ENTRYPOINT in shell form for a SHELL of three words, or of five to seven",
			Example:           "FROM busybox\nSHELL [\"/bin/sh\", \"-e\", \"-c\"]\nENTRYPOINT a\nCMD b\n",
			Chainguard:        Mend,
			Osscontainertools: Mend,
			Message:           "Kaniko gives the CMD and the ENTRYPOINT the command of a later instruction",
			Advice:            "Write them in exec form, with the words of SHELL first.",
			match: func(s *site) bool {
				if _, ok := s.shellForm(); !ok {
					return false
				}
				if s.stage.shell == nil {
					return s.trigger == nil && s.stage.root().image != scratch // the base may have one
				}
				return shared(s.stage.shell)
			},
			mend: mendShellForm,
		},
	}
}

// exec is the exec form of a CMD or ENTRYPOINT.
type exec struct {
	words []string
}

// list is never nil, so that it is written as one.
func (e *exec) list() []string { return append([]string{}, e.words...) }

// means reports whether a CMD or ENTRYPOINT that was read is this.
func (e *exec) means(read any) bool {
	switch c := read.(type) {
	case *instructions.CmdCommand:
		return !c.PrependShell && slices.Equal(c.CmdLine, e.words)
	case *instructions.EntrypointCommand:
		return !c.PrependShell && slices.Equal(c.CmdLine, e.words)
	}
	return false
}

// shellForm returns the command of a CMD or ENTRYPOINT that the shell is to run.
func (s *site) shellForm() (string, bool) {
	switch c := s.command.(type) {
	case *instructions.CmdCommand:
		return strings.Join(c.CmdLine, " "), c.PrependShell
	case *instructions.EntrypointCommand:
		return strings.Join(c.CmdLine, " "), c.PrependShell
	}
	return "", false
}

// shared reports whether the executor's list of a SHELL has room for one more
// word: it appends each command to that list, and the last one stays. Lists grow
// to the powers of two.
func shared(shell []string) bool { return len(shell) > 0 && bits.OnesCount(uint(len(shell))) != 1 }

// mendShellForm writes the words of the SHELL in front of the command, as both
// builders do in the image. There is nothing to write for most shells.
func mendShellForm(s *site, r *rewrite) bool {
	shell, known := r.shell(s)
	if !known {
		return false
	}
	if r.start != nil || !shared(shell) {
		r.settled = r.start == nil
		return true
	}
	text, _ := s.shellForm()
	r.start = &exec{words: append(slices.Clone(shell), text)}
	return plain(text)
}

// overruled reports whether a stage of the last one's own line, after this one,
// has an ENTRYPOINT and no CMD. No CMD matters beyond that line.
func (s *site) overruled() bool {
	last := s.walker.stages[len(s.walker.stages)-1]
	found := false
	for stage := last; stage != nil; stage = stage.base {
		s.expander.steps++
		if stage == s.stage {
			return found
		}
		found = found || s.walker.starts(stage)
	}
	return false
}

// starts reports whether a stage has an ENTRYPOINT and no CMD, in its triggers and
// instructions.
func (w *walker) starts(s *stage) bool {
	entrypoint, cmd := false, false
	note := func(command instructions.Command) {
		switch command.(type) {
		case *instructions.EntrypointCommand:
			entrypoint = true
		case *instructions.CmdCommand:
			cmd = true
		}
	}
	for i := range s.triggers {
		note(s.triggers[i].command)
	}
	for _, command := range w.parsed[s.index].Commands {
		note(command)
	}
	return entrypoint && !cmd
}

// special are the characters that an expansion takes for more than themselves.
const special = "'\"\\$"

// settled reports whether a word that was expanded stays what it is when it is
// expanded again. The values of a base image are taken to.
func (s *site) settled(word string) bool {
	value, known := s.expand(word)
	if known {
		return !strings.ContainsAny(value, special)
	}
	return !strings.ContainsAny(unquoted(word), "'\"\\")
}

// unquoted is a word without double quotes around it.
func unquoted(word string) string {
	if len(word) > 1 && strings.HasPrefix(word, `"`) && strings.HasSuffix(word, `"`) {
		return word[1 : len(word)-1]
	}
	return word
}

// mendLabels quotes what comes of each word once more, for the second time.
func mendLabels(s *site, r *rewrite) bool {
	for _, pair := range s.command.(*instructions.LabelCommand).Labels {
		key, keyOK := s.twice(pair.Key)
		value, valueOK := s.twice(pair.Value)
		if !keyOK || !valueOK || !plain(key+value) {
			return false
		}
		r.labels = append(r.labels, instructions.KeyValuePair{Key: key, Value: value})
	}
	return true
}

// twice writes a word so that what comes of it is the same after the second
// expansion as after the first of the author's.
func (s *site) twice(word string) (string, bool) {
	value, known := s.expand(word)
	switch {
	case !known:
		return `"` + unquoted(word) + `"`, s.settled(word)
	case strings.ContainsAny(value, special):
		return quoted(quoted(value)), true
	}
	return quoted(value), true
}

// quoted writes a text so that its expansion is the text.
func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`).Replace(text) + `"`
}

// labelLine is a LABEL of pairs that are words already.
func labelLine(labels []instructions.KeyValuePair) string {
	parts := []string{"LABEL"}
	for _, pair := range labels {
		parts = append(parts, pair.Key+"="+pair.Value)
	}
	return strings.Join(parts, " ")
}

// meansLabels reports whether a LABEL that was read has these pairs.
func (r *rewrite) meansLabels(read any) bool {
	c, ok := read.(*instructions.LabelCommand)
	return ok && slices.EqualFunc(c.Labels, r.labels, func(a, b instructions.KeyValuePair) bool {
		return a.Key == b.Key && a.Value == b.Value
	})
}
