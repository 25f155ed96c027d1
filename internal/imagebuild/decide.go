package imagebuild

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"kiln/internal/buildkey"
	"kiln/internal/event"
	"kiln/internal/failure"
	"kiln/internal/hook"
	"kiln/internal/metrics"
	"kiln/internal/preflight"
	"kiln/internal/registry"
	"kiln/internal/steplog"
)

// Image returns the image of a source: the one that the registry has already, or a
// new one. When ctx ends the build is cancelled, and the error is its cause. What was
// made for it in the cluster is given up when it returns. The source's tree is let go
// of.
func (b *Builder) Image(ctx context.Context, source *Source, who Asker) (Image, error) {
	o := &order{builder: b, who: who, source: *source, owner: who.Owner, begun: who.Begun}
	source.Context.Tree = nil
	b.shares.begin(who.ID)
	defer b.shares.end(who.ID)
	defer o.disown()
	defer o.abandon()
	image, err := o.image(ctx)
	o.tell(outcome(ctx, image, err), err)
	return image, err
}

// Again builds an image that was reused and that the nodes do not find.
func (b *Builder) Again(ctx context.Context, image Image) (Image, error) {
	o := image.order
	o.begun = Begun{Tag: o.begun.Tag}
	b.shares.begin(o.who.ID)
	defer b.shares.end(o.who.ID)
	if found, why := o.find(ctx); why == "" {
		o.missing = found.digest
	}
	return o.provide(ctx)
}

// Refused counts, and tells of, a build of which no source came about, for err.
func (b *Builder) Refused(ctx context.Context, who Asker, err error) {
	o := &order{builder: b, who: who}
	o.tell(outcome(ctx, Image{}, err), err)
}

// image plans the order and provides its image.
func (o *order) image(ctx context.Context) (Image, error) {
	if err := o.makePlan(ctx); err != nil {
		return Image{}, err
	}
	return o.provide(ctx)
}

// provide returns the image of the order's plan: it decides whether to build.
func (o *order) provide(ctx context.Context) (Image, error) {
	if o.begun.decided() {
		return o.build(ctx)
	}
	found, why := o.find(ctx)
	if why != "" && o.ageless() {
		found, why = result{digest: o.plan.aged.Digest, note: noteAgeless, start: &o.plan.aged.Start}, ""
	}
	o.who.Times.Mark("lookup")
	if why == "" {
		image := o.imageOf(found)
		image.Reused = found.note
		o.who.Log.Line("kiln: %s %s", found.note, image.Reference)
		o.who.Log.Unshield() // a worker that was killed may have begun to build
		return image, nil
	}
	o.author().warn(o.plan.warnings)
	if o.whole() {
		o.author().warn(o.plan.kanikos)
	}
	o.author().shield()
	o.who.Log.Line("kiln: %s", why)
	o.event(event.BuildStarted, "its image is built")
	return o.build(ctx)
}

// warnLate warns of what has turned out behind the beginning of the build's lines.
func (o *order) warnLate(problems []preflight.Problem) {
	if len(problems) > 0 {
		o.who.Log.Unshield()
		o.author().warn(problems)
		o.author().shield()
	}
}

// build has the image built, and says so.
func (o *order) build(ctx context.Context) (Image, error) {
	built, err := o.make(ctx)
	if err != nil {
		return Image{}, err
	}
	image := o.imageOf(built)
	o.who.Log.Line("kiln: %s %s", built.note, image.Reference)
	o.who.Log.Unshield()
	if built.kept {
		o.warnKept(built)
	}
	return image, nil
}

// result is how an image came about.
type result struct {
	digest string
	// note says it in the log.
	note string
	// kept says that the registry kept an older image under the tag.
	kept bool
	// followed says that another step built it, while this one waited.
	followed bool
	// start is how its containers start; nil where the image was not looked at.
	start *registry.Start
}

// imageOf is the image of a result.
func (o *order) imageOf(r result) Image {
	return Image{
		Reference: repository(o.plan.pull) + "@" + r.digest, Pushed: repository(o.plan.push) + "@" + r.digest,
		Followed: r.followed, Start: r.start, order: o,
	}
}

// findTimeout bounds a look-up of an image: a registry that does not answer in
// that time is left to the build to complain about.
const findTimeout = 10 * time.Second

// builtAlways is why an image is built that has a tag of its own.
const builtAlways = "each step is built (KILN_TAG=random)"

// find returns the image of the plan that the registry has and that need not be
// built again; otherwise why it has to be built.
func (o *order) find(ctx context.Context) (found result, why string) {
	if !o.plan.keyed && o.begun.Given == "" {
		return result{}, builtAlways
	}
	if o.plan.blind != "" {
		return result{}, o.plan.blind
	}
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	image, err := o.builder.options.Registry.Image(ctx, o.plan.push)
	switch {
	case err == nil && !o.plan.keyed: // nobody else has its tag
		return result{digest: image.Digest, note: "built", start: &image.Start}, ""
	case err == nil:
		return o.decide(&image)
	}
	if lookup, ok := errors.AsType[*registry.LookupError](err); ok && lookup.Kind == registry.NotFound {
		if !o.plan.keyed {
			return result{}, builtAlways
		}
		return o.decide(nil)
	}
	// Some registries deny what does not exist, and a build may still go well.
	o.who.Logger.Warn("look up the image", zap.Error(err))
	o.plan.blind = "the registry does not say whether it was built: " + steplog.OneLine(err.Error())
	return result{}, o.plan.blind
}

// decide says whether the image under the key's tag, nil for none, is used.
func (o *order) decide(image *registry.Image) (found result, why string) {
	switch {
	case image != nil && image.Digest == o.missing:
		return result{}, "the nodes do not find it"
	case image != nil && o.isNew(image):
		// As new as what this step would build, whatever the age limit.
		return result{digest: image.Digest, note: "built by another runner", followed: true, start: &image.Start}, ""
	}
	decision := buildkey.Policy{MaxAge: o.builder.options.Settings.ReuseMaxAge}.Decide(image, time.Now())
	if !decision.Reuse {
		if o.plan.aged = nil; decision.Aged {
			o.plan.aged = image
		}
		return result{}, decision.Reason
	}
	return result{digest: image.Digest, note: decision.Reason, start: &image.Start}, ""
}

// clockSkew is how far the clocks of two nodes may be apart.
const clockSkew = time.Minute

// isNew reports whether the image was built since the step began. A build writes
// its own time, so one that is ahead of the clock proves nothing.
func (o *order) isNew(image *registry.Image) bool {
	return image.Created.After(o.who.Times.Started()) && image.Created.Before(time.Now().Add(clockSkew))
}

// keptImage is the result of a build whose tag the registry did not let be
// written again: what it holds there is what runs.
func (o *order) keptImage(ctx context.Context) (result, error) {
	image, err := o.builder.options.Registry.Image(ctx, o.plan.push)
	if err != nil {
		return result{}, failure.New(failure.RegistryDeniedPush, "kiln: the registry keeps the image that has the tag %s and does not show it: %w", o.plan.push, err)
	}
	return result{digest: image.Digest, note: "built " + buildkey.Age(max(0, time.Since(image.Created))) + " ago", kept: true, start: &image.Start}, nil
}

// warnKept tells of an image that the registry did not let be replaced.
func (o *order) warnKept(built result) {
	text := fmt.Sprintf("the registry keeps the image that has the tag %s (%s) and did not take the one that was built now: "+
		"the kept one runs. An operator can make the repository's tags mutable, or expire them before KILN_REUSE_MAX_AGE", o.plan.push, built.note)
	o.who.Log.Line("::warning::kiln: %s", hook.EscapeData(text))
}

// tell counts how a build ended, and says so on the runner pod.
func (o *order) tell(ended metrics.Build, err error) {
	if !o.who.Ahead {
		o.builder.options.Metrics.BuildEnded(ended)
	}
	switch ended {
	case metrics.BuildReused:
		o.event(event.ImageReused, "an image of the registry is used again")
	case metrics.BuildFailed:
		o.event(event.BuildFailed, string(failure.Of(err)))
	}
}

// event tells of this order on the runner pod.
func (o *order) event(reason event.Reason, message string) {
	o.builder.options.Events.Record(event.Pod{Name: o.who.Runner.Name, UID: o.who.Runner.UID}, reason, "request "+o.who.ID+": "+message)
}

// outcome is how a build is counted.
func outcome(ctx context.Context, image Image, err error) metrics.Build {
	switch {
	case ctx.Err() != nil:
		return metrics.BuildCancelled
	case err != nil:
		return metrics.BuildFailed
	case image.Reused != "":
		return metrics.BuildReused
	case image.Followed:
		return metrics.BuildFollowed
	}
	return metrics.BuildBuilt
}

// repository cuts the tag off an image reference.
func repository(reference string) string {
	if i := strings.LastIndexByte(reference, ':'); i > strings.LastIndexByte(reference, '/') {
		return reference[:i]
	}
	return reference
}
