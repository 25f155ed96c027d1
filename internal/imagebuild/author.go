package imagebuild

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"kiln/internal/failure"
	"kiln/internal/preflight"
	"kiln/internal/registry"
	"kiln/internal/split"
	"kiln/internal/steplog"
	"kiln/internal/treeindex"
)

// author is who reads what a build says of a Dockerfile.
type author struct {
	log   *steplog.Log
	place steplog.Place // of the Dockerfile
}

// author is the order's.
func (o *order) author() author { return author{log: o.who.Log, place: o.source.Place} }

// shield opens the group of the build.
func (a author) shield() { a.log.Shield("Build " + a.place.File) }

// refuse shows what is wrong with a Dockerfile, with the lines that are, and
// returns the error in one line, at the place that it names or else at line.
// The lines are the Dockerfile's own words, so they are shielded.
func (a author) refuse(line int, err error) error {
	bad, ok := errors.AsType[*preflight.Error](err)
	if !ok {
		return err
	}
	a.log.Unshield()
	a.log.Shield("Check " + a.place.File)
	for detail := range strings.Lines(bad.Detail()) {
		a.log.Line("%s", strings.TrimSuffix(detail, "\n"))
	}
	at := a.place
	at.Line = max(bad.Line, line)
	text := bad.Error()
	if bad.Advice != "" {
		text += "; " + bad.Advice
	}
	return &steplog.PlacedError{Place: at, Err: failure.New(reasonOf(bad.Kind), "%s", text)}
}

// reasonOf is the class of a mistake in a Dockerfile.
func reasonOf(kind preflight.Kind) failure.Reason {
	switch kind {
	case preflight.Syntax:
		return failure.DockerfileSyntax
	case preflight.Missing:
		return failure.SourceMissing
	}
	return failure.UnsupportedInstruction
}

// warn tells the author what the Dockerfile's reader found, each at its line.
func (a author) warn(problems []preflight.Problem) {
	for _, problem := range problems {
		at := a.place
		at.Line = problem.Line
		text := problem.Message
		if problem.Advice != "" {
			text += "; " + problem.Advice
		}
		a.log.Warning(at, text)
	}
}

// baseError is the error of an image that cannot be looked up, at the line
// that names it.
func (a author) baseError(image preflight.Image, err error) error {
	at := a.place
	at.Line = image.Line
	lookup, ok := errors.AsType[*registry.LookupError](err)
	if !ok {
		return err
	}
	reason := failure.RegistryUnreachable
	text := fmt.Sprintf("the registry of the image %s does not answer as a registry does", image.Reference)
	switch lookup.Kind {
	case registry.NotFound:
		reason, text = failure.BaseImageNotFound, fmt.Sprintf("the image %s does not exist: check its name and tag", image.Reference)
	case registry.OtherPlatform:
		reason, text = failure.BaseImageNotFound, fmt.Sprintf("the image %s does not exist for %s", image.Reference, platform)
	case registry.Unfit:
		reason, text = failure.UnsupportedInstruction, fmt.Sprintf("kiln cannot build with the image %s", image.Reference)
	case registry.Denied:
		reason, text = failure.BaseImageDenied, fmt.Sprintf("the registry does not let kiln pull the image %s: it may not exist, or the operator's registry secret has no access to it", image.Reference)
	case registry.Unreachable:
		text = fmt.Sprintf("the registry of the image %s cannot be reached", image.Reference)
	}
	if _, ours := errors.AsType[*registry.SettingsError](err); ours && lookup.Kind == registry.Denied {
		reason, text = failure.Misconfigured, fmt.Sprintf("kiln cannot log in to the registry of the image %s", image.Reference)
	}
	return &steplog.PlacedError{Place: at, Err: failure.New(reason, "%s: %s (%w)", at, text, err)}
}

// alone is why an image does not come about that this Kaniko would build otherwise than
// Docker, and that was to be put together for that reason. What the Dockerfile or its
// bases are to blame for is told as what Kaniko refuses.
func (a author) alone(refused *preflight.Error, why error) error {
	text := steplog.OneLine(why.Error())
	if _, unsure := errors.AsType[*split.Unsure](why); unsure {
		return a.refuse(0, refused)
	}
	if _, odd := errors.AsType[*treeindex.Odd](why); odd {
		return fmt.Errorf("%w (kiln would have put it together itself: %s)", a.refuse(0, refused), text)
	}
	reason := failure.Internal
	_, local := errors.AsType[*fs.PathError](why)
	switch kind := registry.KindOf(why); {
	case kind == registry.Denied:
		reason = failure.RegistryDeniedPush
	case kind == registry.Unreachable && !local:
		reason = failure.RegistryUnreachable
	}
	return failure.New(reason, "kiln: the image cannot be put together, and this Kaniko does not build it whole: %s", text)
}

// tooMany refuses a build that takes more than maxImages. image is the first that
// is one too many, or whose triggers are.
func (a author) tooMany(image preflight.Image) error {
	at := a.place
	at.Line = image.Line
	return &steplog.PlacedError{Place: at, Err: failure.New(failure.UnsupportedInstruction,
		"%s: with %s the build takes more than %d images from registries, triggers included, and kiln looks up no more for one; build from fewer", at, steplog.OneLine(image.Reference), maxImages)}
}
