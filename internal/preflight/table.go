package preflight

import (
	"slices"

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
	// Refuse would build something else, or fail: kiln does not start.
	Refuse
)

// String returns the verdict as documents write it.
func (v Verdict) String() string {
	return [...]string{"same", "warns", "refused"}[v]
}

// Row is one construct of Dockerfiles in the support table. Facts about
// chainguard 1.25.16 were tried with it or read in its source, those about
// osscontainertools 1.28 read in its source and README.
type Row struct {
	// Name is the construct, as a heading.
	Name string
	// Example is a Dockerfile with the construct, whose base is busybox or
	// scratch.
	Example string
	// Context is the build context of the example where it matters: "name",
	// "name/" or "name/ mode" for a directory, "name -> target" for a link.
	Context []string
	// Chainguard and Osscontainertools are the verdicts by flavor.
	Chainguard, Osscontainertools Verdict
	// Message says what would come out, Advice what to write instead.
	Message, Advice string
	// match reports whether a place in the Dockerfile has the construct.
	match func(*site) bool
	// find is match for what the build context decides.
	find func(*site) (copysource.Finding, bool)
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
	return slices.Concat(fileRows(), runRows(), copyRows(), contextRows(), pathRows(), configRows())
}

// Check compares the Dockerfile with what the flavor of Kaniko can do. It
// returns the warnings, each once, and an error of type [*Error] if anything would come out
// differently from Docker, with all that would.
//
// It is for one goroutine at a time.
func (d *Dockerfile) Check(flavor string) ([]Problem, error) {
	c := check{source: d.walker.source, flavor: flavor, rows: Table(), told: map[string]bool{}}
	if err := d.walker.walk(c.visit); err != nil {
		return nil, err
	}
	if len(c.refused) == 0 {
		return c.warned, nil
	}
	first := c.refused[0]
	first.More = c.refused[1:]
	return c.warned, first
}

// maxRefused bounds the errors of one Dockerfile.
const maxRefused = 20

// check is one look at a Dockerfile.
type check struct {
	source
	flavor string
	rows   []Row
	// told are the rows that have warned: once is enough.
	told    map[string]bool
	warned  []Problem
	refused []*Error
}

// visit asks every row about a site.
func (c *check) visit(s *site) {
	for _, row := range c.rows {
		verdict := row.Verdict(c.flavor)
		if verdict == Same || c.told[row.Name] || len(c.refused) >= maxRefused {
			continue
		}
		finding, found := row.look(s)
		if !found {
			continue
		}
		message := about(finding) + row.Message
		if verdict == Warn {
			c.told[row.Name] = true
			c.warned = append(c.warned, c.warn(s.line, message, row.Advice))
			continue
		}
		e := c.errorf(s.line, "%s", message)
		e.Advice = row.Advice
		if row.find != nil {
			e.Column = s.column(finding, e)
		}
		c.refused = append(c.refused, e)
	}
}
