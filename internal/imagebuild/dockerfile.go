package imagebuild

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/buildcontext"
	"kiln/internal/buildkey"
	"kiln/internal/executor"
	"kiln/internal/failure"
	"kiln/internal/gate"
	"kiln/internal/preflight"
	"kiln/internal/split"
	"kiln/internal/steplog"
)

// Check reads a Dockerfile and says in log what is refused and warned of in this
// context, before anybody is asked: neither registries nor the cluster. Assemble says
// that images are put together; then base images are taken to have nothing that matters.
func Check(ctx context.Context, source *Source, flavor executor.Flavor, assemble bool, log *steplog.Log) error {
	a := author{log: log, place: source.Place}
	read, err := check(ctx, source, flavor, a)
	if err == nil && assemble {
		read, err = checkPart(ctx, source, flavor, a, read)
	}
	if err != nil {
		return err
	}
	if read.refused != nil {
		return a.refuse(0, read.refused)
	}
	a.warn(slices.Concat(read.warnings, read.kanikos))
	return nil
}

// checkPart is check for the base part, which is what Kaniko builds of a Dockerfile.
func checkPart(ctx context.Context, source *Source, flavor executor.Flavor, a author, whole *dockerfile) (*dockerfile, error) {
	bases := map[string]split.Base{}
	for _, image := range whole.file.Images {
		bases[image.Reference] = split.Base{}
	}
	plan, err := split.Decide(split.Input{
		Dockerfile: source.Text, Bases: bases, Tree: source.Context.Tree, Archive: whole.looked.Archive, Skips: whole.file.Skipped(flavor.SkipsUnused()),
	})
	switch {
	case err != nil || len(plan.Rest) == 0:
		return whole, nil //nolint:nilerr // Kaniko would build the whole
	case plan.Dockerfile == nil:
		return &dockerfile{file: whole.file, looked: whole.looked, warnings: whole.warnings}, nil
	}
	part := *source
	part.Text = plan.Dockerfile
	read, err := check(ctx, &part, flavor, a)
	if err == nil {
		read.warnings = whole.warnings
	}
	return read, err
}

// dockerfile is a Dockerfile that may be built.
type dockerfile struct {
	file *preflight.File
	// report is nil where the Dockerfile is refused: this Kaniko would build it
	// otherwise than Docker.
	report  *preflight.Report
	refused *preflight.Error
	// looked is what is known of the context, without its list.
	looked *preflight.Context
	// warnings are those that hold whatever builds the image, and kanikos those that hold
	// where this Kaniko does, with that of the Kaniko itself.
	warnings, kanikos []preflight.Problem
}

// check reads the Dockerfile and finds what this Kaniko would build otherwise than
// Docker of this context. The error refuses what neither builds.
func check(ctx context.Context, source *Source, flavor executor.Flavor, a author) (*dockerfile, error) {
	file, err := preflight.Parse(a.place.File, source.Text)
	if err != nil {
		return nil, a.refuse(0, err)
	}
	known, err := file.Context(ctx, source.Context.Tree, func() (io.ReadCloser, error) { return openBuffered(ctx, source.Context.Path) })
	if err != nil {
		if _, ok := errors.AsType[*preflight.Error](err); ok {
			return nil, a.refuse(0, err)
		}
		return nil, fmt.Errorf("look into what ADD names: %w", err)
	}
	read := &dockerfile{file: file, looked: known.Unlisted()}
	report, err := file.Report(flavor.Name, known)
	if bad, ok := errors.AsType[*preflight.Error](err); ok && bad.Kind == preflight.Unsupported {
		read.refused, read.warnings = bad, report.Warnings
		return read, nil
	}
	if err != nil {
		return nil, a.refuse(0, err)
	}
	read.report, read.warnings, read.kanikos = report, report.Warnings[:report.Common], report.Warnings[report.Common:]
	if newer := flavor.Newer(); newer != "" {
		problem := preflight.Problem{Message: newer, Advice: "Tell who runs the runners: KILN_KANIKO_IMAGE names it."}
		read.kanikos = append(slices.Clone(read.kanikos), problem)
	}
	return read, nil
}

// mend returns the files that are sent beside the context, with the Dockerfile as
// the flavor at hand can build it, and packs them. An error of type
// [*preflight.Error] refuses what it cannot.
func (o *order) mend(ctx context.Context, report *preflight.Report) ([]buildcontext.File, error) {
	p := o.plan
	bases := map[string]preflight.Base{}
	for _, image := range report.Shells {
		at := slices.IndexFunc(p.bases, func(r buildkey.Reference) bool { return r.Name == image.Reference })
		base, err := o.builder.options.Registry.Base(ctx, image.Reference, p.bases[at].Digest, arch)
		if err != nil {
			return nil, o.author().baseError(image, err)
		}
		bases[image.Reference] = preflight.Base{Shell: base.Shell, Triggers: base.Triggers}
	}
	ignore, err := o.readIgnore()
	if err != nil {
		return nil, failure.New(failure.BadRequest, "kiln: %w", err)
	}
	sent, err := report.Send(bases, ignore)
	if err != nil {
		return nil, err
	}
	var head bytes.Buffer
	if err := buildcontext.Head(&head, sent.Files); err != nil {
		return nil, err
	}
	p.head, p.stages = head.Bytes(), sent.Stages
	return sent.Files, nil
}

// maxImages bounds the images that one build takes from registries, those of
// triggers included: each is looked up, and remembered.
const maxImages = 100

// specify returns the specification of the pod that builds the plan's image. What
// the ONBUILD triggers of its bases name may be pulled too, once they have been
// found to build as with Docker.
func (o *order) specify(ctx context.Context) (*corev1.Pod, error) {
	p := o.plan
	further, err := o.triggered(ctx)
	if err != nil {
		return nil, err
	}
	var pulls []string
	for _, image := range slices.Concat(o.named(), further) {
		pinned, err := o.pinned(ctx, image)
		if err != nil {
			return nil, err
		}
		pulls = append(pulls, pinned)
	}
	for _, image := range further {
		p.triggers = append(p.triggers, image.reference.Name)
	}
	if p.inspect, err = inspections(p.file, p.known, p.triggers); err != nil {
		return nil, err
	}
	return o.builder.options.pod(o, pulls)
}

// base is an image that a build reads, and where the Dockerfile names it.
type base struct {
	reference buildkey.Reference
	image     preflight.Image
}

// named are the images that the Dockerfile itself names.
func (o *order) named() []base {
	p := o.plan
	all := make([]base, 0, len(p.bases))
	for i, reference := range p.bases {
		all = append(all, base{reference, p.file.Images[i]})
	}
	return all
}

// pinned names an image as the gate is to answer for it: a tag with the very
// image that Docker takes of an index, for the executor takes another of some. A
// digest that the Dockerfile names is answered with itself, so an index of which
// the executor takes another image is refused.
func (o *order) pinned(ctx context.Context, of base) (string, error) {
	found, err := o.builder.options.Registry.Base(ctx, of.reference.Name, of.reference.Digest, arch)
	if err != nil {
		return "", o.author().baseError(of.image, err)
	}
	pinned, same, err := found.Pin(of.reference.Name)
	if err != nil || same {
		return pinned, err
	}
	at := o.source.Place
	at.Line = of.image.Line
	return "", &steplog.PlacedError{Place: at, Err: failure.New(failure.UnsupportedInstruction,
		"%s: the digest of %s is that of an index, of which Kaniko would not take the image that Docker takes: name the digest of that image, %s",
		at, of.image.Reference, found.Manifest)}
}

// inspections says which layers the gate looks through: those that matter for
// what is built. Triggers copy from images that they name.
func inspections(file *preflight.File, bases map[string]preflight.Base, triggers []string) ([]string, error) {
	unpacked, err := file.Unpacked(bases)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, image := range unpacked {
		all = append(all, gate.Inspection{
			Image: image.Image, Paths: image.Paths, Whiteouts: image.Copied, Workdir: image.Workdir, User: image.User,
		}.String())
	}
	for _, image := range triggers {
		all = append(all, gate.Inspection{Image: image, Paths: []string{"/"}, Whiteouts: true}.String())
	}
	return all, nil
}

// triggered returns the images that the triggers of the plan's bases name. All
// bases are asked at once.
func (o *order) triggered(ctx context.Context) ([]base, error) {
	p := o.plan
	var count atomic.Int64
	count.Store(int64(len(p.bases)))
	found := make([][]base, len(p.bases))
	looked := make([]preflight.Base, len(p.bases))
	errs := make([]error, len(p.bases))
	var group sync.WaitGroup
	for i := range p.bases {
		group.Go(func() { looked[i], found[i], errs[i] = o.look(ctx, i, &count) })
	}
	group.Wait()
	p.known = map[string]preflight.Base{}
	for i, err := range errs {
		if err != nil {
			return nil, err
		}
		p.known[p.file.Images[i].Reference] = looked[i]
	}
	if err := o.checkBases(); err != nil {
		return nil, err
	}
	images := slices.Concat(found...)
	slices.SortStableFunc(images, func(a, b base) int { return strings.Compare(a.reference.Name, b.reference.Name) })
	return slices.CompactFunc(images, func(a, b base) bool { return a.reference == b.reference }), nil
}

// checkBases refuses what this Kaniko would build otherwise than Docker for what the
// plan's bases have, and notes what it warns of. The context is read where there are triggers, or
// where the working directory or user of a base decides: the rest has been looked at with it.
func (o *order) checkBases() error {
	p := o.plan
	var context *preflight.Context
	if slices.ContainsFunc(slices.Collect(maps.Values(p.known)), preflight.Base.InContext) {
		tree, err := o.readTree()
		if err != nil {
			return failure.New(failure.BadRequest, "kiln: %w", err)
		}
		context = preflight.Listed(tree)
	}
	warnings, err := p.file.Above(o.builder.options.Flavor.Name, context, p.known)
	if err != nil {
		return o.author().refuse(0, err)
	}
	p.kanikos = append(slices.Clone(p.kanikos), warnings...)
	return nil
}

// look returns what is to be known of the base with that index, and the images that its
// triggers name. count is that of all images of the build.
func (o *order) look(ctx context.Context, index int, count *atomic.Int64) (preflight.Base, []base, error) {
	p := o.plan
	image, of := p.file.Images[index], p.bases[index]
	found, err := o.builder.options.Registry.Base(ctx, of.Name, of.Digest, arch)
	if err != nil {
		return preflight.Base{}, nil, o.author().baseError(image, err)
	}
	looked := preflight.Base{
		Triggers: found.Triggers, User: found.Start.User,
		Environment: preflight.BaseEnvironment(found.Environment), Env: found.Env,
	}
	named, err := p.file.Base(image.Reference, looked)
	if err != nil {
		return preflight.Base{}, nil, o.author().refuse(image.Line, err)
	}
	if err := o.unbuildable(image, named); err != nil {
		return preflight.Base{}, nil, err
	}
	if count.Add(int64(len(named))) > maxImages {
		return preflight.Base{}, nil, o.author().tooMany(image)
	}
	var references []base
	for _, further := range named {
		further.Line = image.Line
		digest, err := o.builder.options.Registry.Resolve(ctx, further.Reference)
		if err != nil {
			return preflight.Base{}, nil, o.author().baseError(further, err)
		}
		references = append(references, base{buildkey.Reference{Name: further.Reference, Platform: platform, Digest: digest}, further})
	}
	return looked, references, nil
}

// unbuildable refuses triggers that copy from images which the chainguard fork
// does not fetch: it looks for them in the Dockerfile alone
// (pkg/executor/build.go, fetchExtraStages).
func (o *order) unbuildable(base preflight.Image, named []preflight.Image) error {
	if o.builder.options.Flavor.Name != executor.Chainguard || len(named) == 0 {
		return nil
	}
	at := o.source.Place
	at.Line = base.Line
	return &steplog.PlacedError{Place: at, Err: failure.New(failure.UnsupportedInstruction,
		"%s: an ONBUILD trigger of %s copies from %s, which this Kaniko does not fetch; name that image in a FROM of its own, or have the operator use osscontainertools/kaniko",
		at, base.Reference, named[0].Reference)}
}
