package preflight

import (
	"maps"
	"slices"

	"kiln/internal/buildcontext"
)

// Report is what one Kaniko makes of a Dockerfile in a context, as far as can be
// told without its base images. Nothing changes it, and its fields are for reading.
type Report struct {
	// Warnings are what the author should know, each once. The first, Common of them, hold
	// whatever builds the image, the others where this Kaniko does.
	Warnings []Problem
	Common   int
	// Shells are the base images whose [Base] decides what is sent.
	Shells []Image

	file   *File
	flavor string
	// context is what is known of it without its list, found where something was.
	context *Context
	found   map[place]bool
}

// Report compares the Dockerfile with what the flavor of Kaniko can do in a context,
// which is nil where it is not known: then the sources of COPY and ADD are not looked
// at. The error, of type [*Error], has all that would come out differently from
// Docker; where there is nothing of that, all sources that the context does not hold.
// What [Report.Send] writes in another way is no error. Beside an error the report has
// those warnings alone that hold whatever builds the image.
func (f *File) Report(flavor string, context *Context) (*Report, error) {
	c := newCheck(f.outline.source, flavor)
	err := c.run(f.outline.over(context))
	common := slices.Concat(f.warnings, c.common)
	if err != nil {
		return &Report{Warnings: common, Common: len(common)}, err
	}
	r := &Report{
		Warnings: slices.Concat(common, c.warned), Common: len(common),
		file: f, flavor: flavor, context: context.Unlisted(), found: c.found,
	}
	for _, image := range f.Images {
		if c.asked[image.Reference] {
			r.Shells = append(r.Shells, image)
		}
	}
	return r, nil
}

// newCheck returns a check that has looked at nothing.
func newCheck(src source, flavor string) *check {
	return &check{
		source: src, flavor: flavor, rows: Table(),
		told: map[string]bool{}, asked: map[string]bool{}, names: map[int]string{}, found: map[place]bool{},
	}
}

// warn adds a warning of a row.
func (c *check) warn(row Row, problem Problem) {
	if row.Anywhere {
		c.common = append(c.common, problem)
		return
	}
	c.warned = append(c.warned, problem)
}

// maxRefused bounds the errors of one Dockerfile.
const maxRefused = 20

// check is one look at a Dockerfile.
type check struct {
	source
	flavor string
	rows   []Row
	// bases are the base images that are known, nil if none has been looked at;
	// asked are those that are to be.
	bases map[string]Base
	asked map[string]bool
	// found are the rows that have found something, by place. Where an earlier
	// look has found what is in before, no others are asked.
	found, before map[place]bool
	// told are the rows that have warned: once is enough.
	told map[string]bool
	// common are the warnings that hold whatever builds the image.
	common, warned []Problem
	refused        []*Error
	missing        []*Error
	// edits are the instructions that are written in another way, names the
	// stages that get one, by number, and files what is copied from beside the
	// context. Size is that of all lines in edits and of all files, in bytes.
	edits []edit
	names map[int]string
	files []buildcontext.File
	size  int
	// leaves is whether the stages that nothing uses are left out.
	leaves bool
}

// run looks at every place. The error is what is refused.
func (c *check) run(w *walker) error {
	if err := w.walk(c.visit); err != nil {
		return err
	}
	for number, name := range c.names {
		c.edits = append(c.edits, w.naming(number, name))
	}
	return c.verdict()
}

// leaveOut takes the stages that nothing uses away where the flavor would build them.
func (c *check) leaveOut(f *File) {
	if !c.leaves {
		return
	}
	for _, i := range f.Instructions {
		if node := f.outline.node(i.Line); i.Unused {
			c.edits = append(c.edits, edit{node: node, refusal: f.outline.errorf(i.Line, "a stage that nothing uses cannot be left out")})
		}
	}
}

// verdict is the error of all that is refused, or else of all that is missing; nil
// for none.
func (c *check) verdict() error {
	errs := c.refused
	if len(errs) == 0 {
		errs = c.missing
	}
	if len(errs) == 0 {
		return nil
	}
	slices.SortStableFunc(errs, func(a, b *Error) int { return a.Line - b.Line })
	first := errs[0]
	first.More = errs[1:]
	return first
}

// visit asks every row about a site.
func (c *check) visit(s *site) {
	c.noteMissing(s)
	r := newRewrite(s, c)
	var spared []*Error
	refused := false
	for _, row := range c.rows {
		verdict := row.Verdict(c.flavor)
		if verdict == Same || c.told[row.ID] || len(c.refused) >= maxRefused {
			continue
		}
		at := place{s.line, row.ID}
		if c.before != nil && !c.before[at] {
			continue
		}
		finding, found := row.look(s)
		if !found {
			continue
		}
		c.found[at] = true
		message := about(finding) + row.Message
		if verdict == Warn {
			c.told[row.ID] = true
			c.warn(row, s.warnOf(row, message))
			continue
		}
		e := s.refuse(row, message)
		if row.find != nil && s.trigger == nil {
			e.Column = s.column(finding, e)
		}
		if verdict == Mend && s.trigger == nil && c.size <= maxSize && row.mend(s, r) {
			spared = append(spared, e)
			continue
		}
		refused = true
		c.refused = append(c.refused, e)
	}
	c.leaves = c.leaves || r.leaves
	if len(spared) > 0 && !refused && !r.settled && !c.accept(s, r, spared[0]) {
		c.refused = append(c.refused, spared[0])
	}
}

// accept takes a rewritten instruction over, and reports whether it can.
func (c *check) accept(s *site, r *rewrite, refusal *Error) bool {
	e, ok := r.edit(s)
	c.size += len(e.line)
	for _, f := range r.files {
		c.size += len(f.Content)
	}
	if !ok || c.size > maxSize {
		return false
	}
	if c.bases == nil {
		return true // nothing is written yet
	}
	e.refusal = refusal
	c.edits = append(c.edits, e)
	c.files = append(c.files, slices.Concat(r.files, r.archives)...)
	maps.Copy(c.names, r.stages)
	return true
}
