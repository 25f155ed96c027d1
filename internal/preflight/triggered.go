package preflight

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Above looks at a Dockerfile that has a [Report] with the ONBUILD triggers and the
// environment of its base images, by the reference of the image. Each trigger is looked
// at as if it stood behind the FROM, in whose line its problems are. What would be
// rewritten is refused too, since the image has the trigger. So is what an instruction of
// the Dockerfile does by a trigger before it alone, or by a variable that only the image
// sets. Both builders take the triggers in front of the stage. It returns warnings, and
// an error of type [*Error] with all that is refused.
//
// Triggers are as hostile as the Dockerfile: those of all stages together are
// within the bounds of one.
func (f *File) Above(flavor string, context *Context, bases map[string]Base) (warned []Problem, err error) {
	defer func() {
		if recovered := recover(); recovered != nil {
			warned, err = nil, f.outline.errorf(0, "an ONBUILD trigger of a base image cannot be parsed: %v", recovered)
		}
	}()
	c := &triggerCheck{check: newCheck(f.outline.source, flavor), own: map[place]bool{}}
	if err := f.outline.over(context).walk(c.note); err != nil {
		return nil, err
	}
	w := f.outline.over(context)
	if err := w.learn(bases); err != nil {
		return nil, err
	}
	if err := w.mislaid(flavor, bases); err != nil {
		return nil, err
	}
	if err := w.walk(c.visit); err != nil {
		return nil, err
	}
	return c.warned, c.verdict()
}

// maxEnvironments bounds the environments of all base images, in bytes: they are as
// hostile as the images.
const maxEnvironments = 256 << 10

// learn gives the used stages the triggers of their bases, and their environment.
func (w *walker) learn(bases map[string]Base) error {
	size, length, all := w.size, 0, map[string]*brought{}
	for index, s := range w.stages {
		if s.base != nil || !s.used {
			continue
		}
		base, looked := bases[s.image]
		if _, found := all[s.image]; !found && looked {
			all[s.image] = base.brought()
			if length += len(strings.Join(base.Env, "\n")); length > maxEnvironments {
				return w.errorf(startLine(w.parsed[index].Location), "the environments of the base images have more than %d bytes together", maxEnvironments)
			}
		}
		s.brought = all[s.image]
		texts := base.Triggers
		if len(texts) == 0 {
			continue
		}
		line := startLine(w.parsed[index].Location)
		parsed, err := parseTriggers(source{name: w.name}, texts)
		if err != nil {
			return err
		}
		for i := range parsed {
			parsed[i].image = s.image
			size.add(parsed[i].size)
		}
		if size.excess() != "" {
			return w.tooManyTriggers(line)
		}
		s.triggers = parsed
		if err := w.usable(s, line); err != nil {
			return err
		}
	}
	return nil
}

// usable refuses triggers of a used stage that copy from an unused one, and those
// of another stage that copy from one which is not built before it.
func (w *walker) usable(s *stage, line int) error {
	if !s.used {
		return nil
	}
	for i := range s.triggers {
		for _, from := range sourcesOf(s.triggers[i].command) {
			index, found := w.origin(from)
			if !found {
				continue
			}
			at := w.site(s, nil, line, nil, nil).of(&s.triggers[i])
			switch {
			case s.triggers[i].ofStage && (index < 0 || index >= s.index):
				return at.errorf("--from=%s is not an earlier stage", shorten(printable(from)))
			case index < 0 || index >= len(w.stages) || w.stages[index].used:
				continue // a number of no stage fails in the executor
			}
			e := at.errorf("nothing else uses the stage %s, and kiln builds no stage for a trigger alone", shorten(printable(from)))
			e.Advice = "COPY something from the stage in the Dockerfile too."
			return e
		}
	}
	return nil
}

// tooManyTriggers is the error of a Dockerfile that is too large with the
// triggers of its bases.
func (w *walker) tooManyTriggers(line int) *Error {
	return w.errorf(line, "with the ONBUILD triggers of its bases the Dockerfile has more than %d instructions, %d heredocs, %d words or %d bytes",
		maxInstructions, maxHeredocs, maxWords, maxSize)
}

// triggerCheck is a look at a Dockerfile with what its bases have.
type triggerCheck struct {
	*check
	// own is what the Dockerfile has without them, and has been told of: what is refused
	// by place, what is warned of by the row alone.
	own map[place]bool
}

// place is a row at a line of the Dockerfile.
type place struct {
	line int
	row  string // its id
}

// note notes the rows of a site, before there are triggers.
func (c *triggerCheck) note(s *site) {
	for _, row := range c.rows {
		if row.Verdict(c.flavor) == Same {
			continue
		}
		if _, found := row.look(s); found {
			c.own[c.place(s, row)] = true
		}
	}
}

// place is where a row has something to say of a site of the Dockerfile: once is enough
// for a warning.
func (c *triggerCheck) place(s *site, row Row) place {
	if row.Verdict(c.flavor) == Warn {
		return place{row: row.ID}
	}
	return place{s.line, row.ID}
}

// visit asks the rows about a trigger, and about what it, or the base's environment,
// makes of an instruction behind it.
func (c *triggerCheck) visit(s *site) {
	for _, row := range c.rows {
		if len(c.refused) >= maxRefused || !c.asks(row, s) {
			continue
		}
		if finding, found := row.look(s); found {
			c.report(s, row, about(finding)+row.Message)
		}
	}
}

// asks reports whether a row has something to say about a site that it has not
// said.
func (c *triggerCheck) asks(row Row, s *site) bool {
	verdict := row.Verdict(c.flavor)
	if verdict == Same || verdict == Warn && c.told[row.ID] {
		return false
	}
	return !s.given() || s.stage != nil && !c.own[c.place(s, row)]
}

// given reports whether a site is in the Dockerfile, as the triggers of its
// stages are too, and not in a base image.
func (s *site) given() bool { return s.trigger == nil || s.trigger.ofStage }

// report refuses a site or warns of it.
func (c *triggerCheck) report(s *site, row Row, message string) {
	if row.Verdict(c.flavor) == Warn {
		c.told[row.ID] = true
		c.warned = append(c.warned, s.warnOf(row, message))
		return
	}
	e := s.refuse(row, message)
	if s.given() {
		root := s.stage.root()
		e.Reason = fmt.Sprintf("behind %s of %s: %s", root.brings(), shorten(printable(root.image)), e.Reason)
	}
	c.refused = append(c.refused, e)
}

// brings names what of the base image of a stage can have to do with an instruction.
func (s *stage) brings() string {
	switch {
	case len(s.triggers) > 0:
		return "the ONBUILD triggers"
	case s.brought != nil && (!rootOwner(s.brought.user.value) || s.brought.workdir.known && s.brought.workdir.value != "/"):
		return "the configuration"
	}
	return "the environment"
}

// warn is a problem of a site that refuses nothing.
func (s *site) warn(message, advice string) Problem {
	if s.trigger == nil {
		return s.walker.warn(s.line, message, advice)
	}
	problem := s.walker.warn(s.line, message, s.trigger.advice(advice))
	problem.Message = s.trigger.String() + ": " + problem.Message
	return problem
}

// warnOf is the problem of a site that a row warns of.
func (s *site) warnOf(row Row, message string) Problem {
	problem := s.warn(message, row.Advice)
	problem.Message += row.mark()
	return problem
}

// refuse is the error of a site that a row has something against.
func (s *site) refuse(row Row, message string) *Error {
	e := s.errorf("%s", message)
	e.Reason += row.mark()
	if e.Advice = row.Advice; s.trigger != nil {
		e.Advice = s.trigger.advice(row.Advice)
	}
	return e
}

// of makes a site that of a trigger.
func (s *site) of(t *trigger) *site {
	s.trigger, s.command, s.node = t, t.command, t.node
	return s
}

// String names a trigger in a message, which it leaves room for.
func (t *trigger) String() string {
	const longest = 80
	text := printable(t.node.Original)
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "..."
	}
	return fmt.Sprintf("ONBUILD %s, a trigger of %s", text, shorten(printable(t.image)))
}

// advice is what a row advises for a trigger, which its base has.
func (t *trigger) advice(row string) string {
	if t.ofStage {
		return "Change the ONBUILD in the stage that FROM names. " + row
	}
	return "Use another base image, or change the trigger in this one. " + row
}

// errorf is an error of the site; that of a trigger names it, in the line of
// FROM.
func (s *site) errorf(format string, args ...any) *Error {
	e := s.walker.errorf(s.line, format, args...)
	if s.trigger == nil {
		return e
	}
	e.Reason = s.trigger.String() + ": " + e.Reason
	if at := strings.Index(e.Text, s.trigger.image); at >= 0 {
		e.Column = utf8.RuneCountInString(e.Text[:at]) + 1
	}
	return e
}
