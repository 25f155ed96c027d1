package request

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/buildkey"
	"kiln/internal/executor"
	"kiln/internal/failure"
	"kiln/internal/gate"
	"kiln/internal/preflight"
	"kiln/internal/steplog"
)

// ready returns the specification of the pod that builds the plan's image. What
// the ONBUILD triggers of its bases name may be pulled too, once they have been
// found to build as with Docker.
func (s *step) ready(ctx context.Context, p *plan) (*corev1.Pod, error) {
	further, err := s.triggered(ctx, p)
	if err != nil {
		return nil, err
	}
	var pulls []string
	for _, image := range slices.Concat(s.named(p), further) {
		pinned, err := s.pinned(ctx, image)
		if err != nil {
			return nil, err
		}
		pulls = append(pulls, pinned)
	}
	for _, image := range further {
		p.triggers = append(p.triggers, image.reference.Name)
	}
	if p.inspect, err = inspections(p.file, p.onbuild, p.triggers); err != nil {
		return nil, err
	}
	return s.buildPod(p, pulls)
}

// base is an image that a build reads, and where the Dockerfile names it.
type base struct {
	reference buildkey.Reference
	image     preflight.Image
}

// named are the images that the Dockerfile itself names.
func (s *step) named(p *plan) []base {
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
func (s *step) pinned(ctx context.Context, of base) (string, error) {
	found, err := s.handler.operator.Registry.Base(ctx, of.reference.Name, of.reference.Digest, arch)
	if err != nil {
		return "", s.baseError(of.image, err)
	}
	pinned, same, err := found.Pin(of.reference.Name)
	if err != nil || same {
		return pinned, err
	}
	at := s.dockerfile()
	at.Line = of.image.Line
	return "", &steplog.PlacedError{Place: at, Err: failure.New(failure.UnsupportedInstruction,
		"%s: the digest of %s is that of an index, of which Kaniko would not take the image that Docker takes: name the digest of that image, %s",
		at, of.image.Reference, found.Manifest)}
}

// inspections says which layers the gate looks through: those that matter for
// what is built. Triggers copy from images that they name.
func inspections(file *preflight.File, onbuild map[string]bool, triggers []string) ([]string, error) {
	unpacked, err := file.Unpacked(onbuild)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, image := range unpacked {
		all = append(all, gate.Inspection{Image: image.Image, Paths: image.Paths, Whiteouts: image.Copied}.String())
	}
	for _, image := range triggers {
		all = append(all, gate.Inspection{Image: image, Paths: []string{"/"}, Whiteouts: true}.String())
	}
	return all, nil
}

// triggered returns the images that the triggers of the plan's bases name. All
// bases are asked at once.
func (s *step) triggered(ctx context.Context, p *plan) ([]base, error) {
	var count atomic.Int64
	count.Store(int64(len(p.bases)))
	found := make([][]base, len(p.bases))
	triggers := make([][]string, len(p.bases))
	errs := make([]error, len(p.bases))
	var group sync.WaitGroup
	for i := range p.bases {
		group.Go(func() { triggers[i], found[i], errs[i] = s.triggersOf(ctx, p, i, &count) })
	}
	group.Wait()
	onbuild := map[string][]string{}
	for i, err := range errs {
		if err != nil {
			return nil, err
		}
		if len(triggers[i]) > 0 {
			onbuild[p.file.Images[i].Reference] = triggers[i]
		}
	}
	p.onbuild = map[string]bool{}
	for reference := range onbuild {
		p.onbuild[reference] = true
	}
	if len(onbuild) > 0 {
		if err := s.checkTriggers(p, onbuild); err != nil {
			return nil, err
		}
	}
	images := slices.Concat(found...)
	slices.SortStableFunc(images, func(a, b base) int { return strings.Compare(a.reference.Name, b.reference.Name) })
	return slices.CompactFunc(images, func(a, b base) bool { return a.reference == b.reference }), nil
}

// checkTriggers refuses triggers of bases, by the base's reference, that this
// Kaniko would build otherwise than Docker, and warns of some.
func (s *step) checkTriggers(p *plan, onbuild map[string][]string) error {
	tree, err := s.readTree()
	if err != nil {
		return failure.New(failure.BadRequest, "kiln: %w", err)
	}
	warnings, err := p.file.Onbuild(s.handler.operator.Flavor.Name, preflight.Listed(tree), onbuild)
	if err != nil {
		return s.refuse(0, err)
	}
	if len(warnings) > 0 {
		s.log.Unshield()
		s.warn(warnings)
		s.log.Shield("Build " + s.dockerfile().File)
	}
	return nil
}

// triggersOf returns the triggers of the base with that index, and the images that
// they name. count is that of all images of the build.
func (s *step) triggersOf(ctx context.Context, p *plan, index int, count *atomic.Int64) ([]string, []base, error) {
	image, of := p.file.Images[index], p.bases[index]
	found, err := s.handler.operator.Registry.Base(ctx, of.Name, of.Digest, arch)
	if err != nil {
		return nil, nil, s.baseError(image, err)
	}
	named, err := p.file.Base(image.Reference, preflight.Base{Triggers: found.Triggers, Environment: preflight.BaseEnvironment(found.Environment)})
	if err != nil {
		return nil, nil, s.refuse(image.Line, err)
	}
	if err := s.unbuildable(image, named); err != nil {
		return nil, nil, err
	}
	if count.Add(int64(len(named))) > maxImages {
		return nil, nil, s.tooMany(image)
	}
	var references []base
	for _, further := range named {
		further.Line = image.Line
		digest, err := s.handler.operator.Registry.Resolve(ctx, further.Reference)
		if err != nil {
			return nil, nil, s.baseError(further, err)
		}
		references = append(references, base{buildkey.Reference{Name: further.Reference, Platform: platform, Digest: digest}, further})
	}
	return found.Triggers, references, nil
}

// unbuildable refuses triggers that copy from images which the chainguard fork
// does not fetch: it looks for them in the Dockerfile alone
// (pkg/executor/build.go, fetchExtraStages).
func (s *step) unbuildable(base preflight.Image, named []preflight.Image) error {
	if s.handler.operator.Flavor.Name != executor.Chainguard || len(named) == 0 {
		return nil
	}
	at := s.dockerfile()
	at.Line = base.Line
	return &steplog.PlacedError{Place: at, Err: failure.New(failure.UnsupportedInstruction,
		"%s: an ONBUILD trigger of %s copies from %s, which this Kaniko does not fetch; name that image in a FROM of its own, or have the operator use osscontainertools/kaniko",
		at, base.Reference, named[0].Reference)}
}
