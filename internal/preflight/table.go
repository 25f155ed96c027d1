package preflight

import (
	"maps"
	"slices"

	"kiln/internal/buildcontext"
	"kiln/internal/copysource"
)

// Verdict says how an image comes out, compared with docker build.
type Verdict int

const (
	// Same builds what Docker builds.
	Same Verdict = iota
	// Warn builds the same files and configuration, as far as a parse can tell,
	// and the author should know of something.
	Warn
	// Mend would build something else, or fail, as the author has written it:
	// kiln writes it in another way, with Docker's result. Where that cannot be
	// done it is refused.
	Mend
	// Refuse would build something else, or fail: kiln does not start.
	Refuse
)

// String returns the verdict as documents write it.
func (v Verdict) String() string {
	return [...]string{"same", "warns", "rewritten", "refused"}[v]
}

// Row is one construct of Dockerfiles in the support table. The facts are about
// chainguard 1.25.16 and osscontainertools 1.28.3; [Row.Read] tells those that were
// not tried with the executor.
type Row struct {
	// Name is the construct, as a heading.
	Name string
	// Example is a Dockerfile with the construct, whose base is busybox or
	// scratch.
	Example string
	// Context is the build context of the example where it matters: "name",
	// "name/" or "name/ mode" for a directory, "name -> target" for a link,
	// "name = kind" for a file of a kind that the tests make.
	Context []string
	// Chainguard and Osscontainertools are the verdicts by flavor.
	Chainguard, Osscontainertools Verdict
	// Message says what would come out, Advice what to write instead.
	Message, Advice string
	// match reports whether a place in the Dockerfile has the construct.
	match func(*site) bool
	// find is match for what the build context decides.
	find func(*site) (copysource.Finding, bool)
	// mend writes such a place in another way, and reports whether it could.
	// It is there when a verdict is Mend.
	mend func(*site, *rewrite) bool
}

// Verdict returns the verdict for a flavor, and the stricter one for a flavor
// that the table does not know.
func (r Row) Verdict(flavor string) Verdict {
	switch flavor {
	case Chainguard:
		return r.Chainguard
	case Osscontainertools:
		return r.Osscontainertools
	}
	return max(r.Chainguard, r.Osscontainertools)
}

// Table returns the support table: every construct that some flavor does not
// build as Docker does.
func Table() []Row {
	return slices.Concat(fileRows(), runRows(), copyRows(), contextRows(), archiveRows(), pathRows(), ownRows(),
		configRows(), platformRows(), metaRows())
}

// Check compares the Dockerfile with what the flavor of Kaniko can do. It
// returns the warnings, each once, and an error of type [*Error] if anything would come out
// differently from Docker, with all that would. What [Dockerfile.Mend] writes in
// another way is no error.
//
// It is for one goroutine at a time.
func (d *Dockerfile) Check(flavor string) ([]Problem, error) {
	c := d.newCheck(flavor)
	err := c.run(d.walker)
	d.shells, d.found, d.foundFlavor = c.asked, c.found, flavor
	return c.warned, err
}

// newCheck returns a check that has looked at nothing.
func (d *Dockerfile) newCheck(flavor string) *check {
	return &check{
		source: d.walker.source, flavor: flavor, rows: Table(),
		told: map[string]bool{}, asked: map[string]bool{}, names: map[int]string{}, found: map[place]bool{},
	}
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
	told    map[string]bool
	warned  []Problem
	refused []*Error
	// edits are the instructions that are written in another way, names the
	// stages that get one, by number, and files what is copied from beside the
	// context. Size is that of all lines in edits and of all files, in bytes.
	edits []edit
	names map[int]string
	files []buildcontext.File
	size  int
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

// verdict is the error of all that is refused, nil for none.
func (c *check) verdict() error {
	if len(c.refused) == 0 {
		return nil
	}
	slices.SortStableFunc(c.refused, func(a, b *Error) int { return a.Line - b.Line })
	first := c.refused[0]
	first.More = c.refused[1:]
	return first
}

// visit asks every row about a site.
func (c *check) visit(s *site) {
	r := newRewrite(s, c)
	var spared []*Error
	refused := false
	for _, row := range c.rows {
		verdict := row.Verdict(c.flavor)
		if verdict == Same || c.told[row.Name] || len(c.refused) >= maxRefused {
			continue
		}
		at := place{s.line, row.Name}
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
			c.told[row.Name] = true
			c.warned = append(c.warned, s.warn(message, row.Advice))
			continue
		}
		e := s.refuse(message, row.Advice)
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
