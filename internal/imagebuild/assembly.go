package imagebuild

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"go.uber.org/zap"

	"kiln/internal/assemble"
	"kiln/internal/buildcontext"
	"kiln/internal/config"
	"kiln/internal/registry"
	"kiln/internal/split"
	"kiln/internal/steplog"
	"kiln/internal/treeindex"
)

// noteAgeless says that an image is used again whatever its age.
const noteAgeless = "reused (nothing in it was run)"

// assembly is the way to an image without a build of the whole: the base part, which
// is an image of its own, and the rest on top of it. It belongs to the goroutine of
// who asks.
type assembly struct {
	order *order
	// tree lists the context as COPY sees it, which is all of it where whole says so.
	tree  *buildcontext.Tree
	whole bool
	// bases are the images that the Dockerfile names.
	bases map[string]split.Base
	plan  *split.Plan
	// below is the image of the base part, nil for none.
	below *registry.Original
	// known are the indexes of layers that were looked into ahead, by their digests.
	known map[string]*treeindex.Index
	// keeping are indexes on their way to the registry.
	keeping sync.WaitGroup
}

// assembles reports whether what runs nothing is put on top here.
func (o *order) assembles() bool {
	settings := o.builder.options.Settings
	return settings.Assemble && settings.Tag == config.TagContent && !o.part
}

// finalError is a failure of the base part: the whole would fail likewise.
type finalError struct{ err error }

// Error implements error.
func (e *finalError) Error() string { return e.err.Error() }

// Unwrap returns the failure.
func (e *finalError) Unwrap() error { return e.err }

// make has the image of the plan made: put on top of its base part, or else built whole
// by Kaniko.
func (o *order) make(ctx context.Context) (result, error) {
	if o.whole() {
		return o.produce(ctx)
	}
	made, err := o.assemble(ctx)
	final, failed := errors.AsType[*finalError](err)
	switch {
	case err == nil:
		return made, nil
	case ctx.Err() != nil:
		return result{}, context.Cause(ctx)
	case failed:
		return result{}, final.err
	}
	return o.instead(ctx, err)
}

// whole reports whether Kaniko is to build the whole.
func (o *order) whole() bool {
	begun := o.begun.Pod != "" && o.begun.Part == "" // by an earlier run of the daemon
	return !o.assembles() || begun || o.missing != "" && o.plan.refused == nil
}

// instead has Kaniko build the whole, for a reason.
func (o *order) instead(ctx context.Context, why error) (result, error) {
	text := steplog.OneLine(why.Error())
	_, unsure := errors.AsType[*split.Unsure](why)
	switch {
	case o.plan.refused != nil:
		o.who.Logger.Info("an image is not put together, and Kaniko cannot build it", zap.Error(why))
		return result{}, o.author().alone(o.plan.refused, why)
	case unsure:
		o.who.Log.Debug("%s", text)
	default:
		o.who.Logger.Warn("an image is not put together, Kaniko builds it", zap.Error(why))
		o.who.Log.Line("kiln: Kaniko builds the whole image: %s", text)
	}
	o.begun = Begun{}
	o.warnLate(o.plan.kanikos)
	return o.produce(ctx)
}

// assemble puts the image together. An error of type [*finalError] is that of the
// image, any other says why it is not put together so.
func (o *order) assemble(ctx context.Context) (result, error) {
	a, err := o.divide(ctx)
	if err != nil {
		return result{}, err
	}
	defer a.keeping.Wait()
	made, err := a.make(ctx)
	if a.again(err) {
		if err := a.split(true); err != nil {
			return result{}, err
		}
		made, err = a.make(ctx)
	}
	return made, err
}

// again reports whether an error may be that of a "RUN chmod" that the tree below does
// not let be done here.
func (a *assembly) again(err error) bool {
	_, unsure := errors.AsType[*split.Unsure](err)
	_, odd := errors.AsType[*treeindex.Odd](err)
	return (unsure || odd) && slices.ContainsFunc(a.plan.Rest, func(s split.Step) bool { _, is := s.Chmod(); return is })
}

// ageless reports whether nothing was run for the image that is too old, so that it would
// come out the same.
func (o *order) ageless() bool {
	return o.plan.aged != nil && o.missing == "" && o.assembles() && o.plan.aged.Comment == assemble.NothingRun(o.tag())
}

// tag is that of the order's image, which has the key of all that it comes from.
func (o *order) tag() string {
	return o.plan.push[strings.LastIndexByte(o.plan.push, ':')+1:]
}

// divide looks at context and bases and splits the Dockerfile.
func (o *order) divide(ctx context.Context) (*assembly, error) {
	tree, err := o.readTree()
	if err != nil {
		return nil, err
	}
	if tree == nil {
		return nil, &split.Unsure{Reason: "the build context has too many files"}
	}
	ignore, err := o.readIgnore()
	if err != nil {
		return nil, err
	}
	a := &assembly{order: o, bases: map[string]split.Base{}}
	if a.tree, err = tree.Without(".dockerignore", ignore); err != nil {
		return nil, err
	}
	a.whole = a.tree.Len() == tree.Len()
	for _, named := range o.named() {
		base, err := o.builder.options.Registry.Base(ctx, named.reference.Name, named.reference.Digest, arch)
		if err != nil {
			return nil, err
		}
		if base.Whole {
			a.bases[named.image.Reference] = split.Base{Env: base.Env, User: base.Start.User, Shell: base.Shell, Triggers: base.Triggers}
		}
	}
	return a, a.split(false)
}

// split finds the rest, without any RUN in it where noChmod says so.
func (a *assembly) split(noChmod bool) error {
	o := a.order
	plan, err := split.Decide(split.Input{
		Dockerfile: o.source.Text, Bases: a.bases, Tree: a.tree, Archive: o.plan.looked.Archive, NoChmod: noChmod,
		Skips: o.plan.file.Skipped(o.builder.options.Flavor.SkipsUnused()),
	})
	if err == nil && len(plan.Rest) == 0 {
		err = &split.Unsure{Reason: "nothing follows what is run"}
	}
	a.plan = plan
	return err
}

// make has the base part built unless it is there, and puts the rest on it.
func (a *assembly) make(ctx context.Context) (result, error) {
	if err := a.findBelow(ctx); err != nil {
		return result{}, err
	}
	timed, cancel := context.WithTimeout(ctx, a.order.builder.options.Settings.BuildTimeout)
	defer cancel()
	indexes, made, err := a.lookBelow(timed)
	if err != nil {
		return result{}, err
	}
	a.keep(ctx, indexes, made)
	tree, err := treeindex.Overlay(timed, indexes...)
	if err != nil {
		return result{}, err
	}
	whole := a.order.source.Context.Path
	archives, err := assemble.Archives(timed, a.plan, func() (io.ReadCloser, error) { return openBuffered(timed, whole) })
	if err != nil {
		return result{}, err
	}
	in := assemble.Input{Plan: a.plan, Name: a.order.tag(), Below: tree, Context: a.tree, Archives: archives}
	if a.below != nil {
		in.Config = a.below.Config
	}
	image, err := assemble.Assemble(timed, in)
	if err != nil {
		return result{}, err
	}
	return a.push(timed, image)
}

// push writes the layer and pushes the image.
func (a *assembly) push(ctx context.Context, image *assemble.Image) (result, error) {
	began := time.Now()
	layer, err := a.write(ctx, image)
	if err != nil {
		return result{}, err
	}
	defer layer.remove()
	a.show(began)
	began = time.Now()
	config, err := image.Config(layer.diffID())
	if err != nil {
		return result{}, err
	}
	var base []byte
	if a.below != nil {
		base = a.below.Manifest
	}
	manifest, mediaType, err := image.Manifest(base, config, layer.of)
	if err != nil {
		return result{}, err
	}
	if err := a.upload(ctx, config, layer); err != nil {
		return result{}, err
	}
	o := a.order
	err = o.builder.options.Registry.PutManifest(ctx, o.plan.push, string(mediaType), manifest)
	if _, kept := errors.AsType[*registry.KeptError](err); kept {
		return o.keptAlike(ctx, digestOf(manifest))
	}
	if err != nil {
		return result{}, err
	}
	start, err := registry.StartOf(config)
	if err != nil {
		return result{}, err
	}
	a.step("pushing %s", time.Since(began), o.plan.push)
	o.who.Times.Mark("assemble")
	return result{digest: digestOf(manifest), note: "built", start: &start}, nil
}

// keptAlike is the result where the registry keeps what the tag has: mostly the very
// image that was pushed.
func (o *order) keptAlike(ctx context.Context, digest string) (result, error) {
	kept, err := o.keptImage(ctx)
	if err != nil {
		return result{}, &finalError{err}
	}
	if kept.digest == digest {
		kept.note, kept.kept = "built", false
	}
	return kept, nil
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// show tells of the instructions of the rest. The time of the layer stands at the last
// one that may have files in it.
func (a *assembly) show(began time.Time) {
	last := -1
	for i, step := range a.plan.Rest {
		if touches(step) {
			last = i
		}
	}
	for i, step := range a.plan.Rest {
		took := time.Duration(0)
		if i == last {
			took = time.Since(began)
		}
		if !step.From {
			a.step("%s", took, steplog.OneLine(step.Text))
		}
	}
}

// touches reports whether an instruction has to do with files: with others the tree
// below does not matter.
func touches(step split.Step) bool {
	command, err := step.Command()
	switch command.(type) {
	case *instructions.CopyCommand, *instructions.AddCommand, *instructions.RunCommand, *instructions.WorkdirCommand:
		return true
	}
	return err != nil
}

// step shows a step and the time that it took, as Docker numbers them.
func (a *assembly) step(format string, took time.Duration, args ...any) {
	text := fmt.Sprintf(format, args...)
	a.tell(text, fmt.Sprintf("%s %.1fs", text, took.Seconds()))
}

// tell shows a step once, by what it does.
func (a *assembly) tell(key, text string) {
	a.order.steps++
	a.order.who.Log.Once("step "+key, fmt.Sprintf("#%d %s", a.order.steps, text))
}

// cached tells that the base part is there.
func (a *assembly) cached(found result) {
	age := strings.TrimSuffix(strings.TrimPrefix(found.note, "reused ("), ")")
	a.tell("base part", "CACHED (base part "+age+")")
}

// repository is where the image is pushed to.
func (a *assembly) repository() string { return repository(a.order.plan.push) }
