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
	// ID is the stable name of the row, which messages carry and by which
	// docs/dockerfile.md can be linked to: one word in camel case.
	ID string
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
	// Anywhere says that a warning holds whatever builds the image.
	Anywhere bool
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

// mark is what a message of the row ends with.
func (r Row) mark() string { return " (rule " + r.ID + ")" }

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
	return slices.Concat(fileRows(), runRows(), copyRows(), pathRows(), runOwnRows(), configRows(), argRows(), platformRows(), metaRows())
}
