package imagebuild

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"kiln/internal/buildcontext"
	"kiln/internal/registry"
	"kiln/internal/steplog"
)

// findBelow sets the image of the base part, which is built unless it is there.
func (a *assembly) findBelow(ctx context.Context) error {
	a.below = nil
	if a.plan.Dockerfile != nil {
		return a.findPart(ctx)
	}
	if a.plan.Image == "scratch" {
		return nil
	}
	below, err := a.baseImage(ctx)
	if err != nil {
		return err
	}
	a.below = &below
	from := "FROM " + steplog.OneLine(a.plan.Image)
	a.tell(from, from)
	return nil
}

// baseImage is the image that the Dockerfile begins with.
func (a *assembly) baseImage(ctx context.Context) (registry.Original, error) {
	name, base, err := a.base(ctx)
	if err != nil {
		return registry.Original{}, err
	}
	return a.order.builder.options.Registry.Original(ctx, name, base.Manifest)
}

// base is what is known of that image, and its name.
func (a *assembly) base(ctx context.Context) (name string, base registry.Base, err error) {
	for _, named := range a.order.named() {
		if named.image.Reference == a.plan.Image {
			base, err = a.order.builder.options.Registry.Base(ctx, named.reference.Name, named.reference.Digest, arch)
			return named.reference.Name, base, err
		}
	}
	return "", base, fmt.Errorf("the base image %s is not known", a.plan.Image)
}

// findPart has the base part built unless it is there.
func (a *assembly) findPart(ctx context.Context) error {
	o := a.order
	part, err := a.partOrder(ctx)
	if err != nil {
		return err
	}
	defer part.clear(o)
	if err := part.makePlan(ctx); err != nil {
		if o.plan.refused != nil {
			return &finalError{err}
		}
		return err
	}
	o.warnLate(part.plan.kanikos)
	var found result
	why := "an earlier run of the daemon has begun it"
	if o.begun.Part != part.plan.push {
		found, why = part.find(ctx)
	}
	if why == "" {
		a.cached(found)
	} else if found, err = a.build(ctx, part, why); err != nil {
		return err
	}
	below, err := o.builder.options.Registry.Pushed(ctx, repository(part.plan.push)+"@"+found.digest, true)
	if err != nil {
		return fmt.Errorf("read the base part: %w", err)
	}
	a.below = &below
	return nil
}

// build has the base part built, by this runner or another.
func (a *assembly) build(ctx context.Context, part *order, why string) (result, error) {
	o := a.order
	o.who.Log.Debug("the base part, to line %d: %s", a.plan.Last, why)
	if err := o.ensureOwner(ctx); err != nil {
		return result{}, &finalError{err}
	}
	part.owner = o.owner
	part.noteAs(o)
	// Whatever the rest needs of them: all who want the base part want the same pod.
	if _, base, err := a.base(ctx); err == nil { // it is scratch, or the build fails
		part.indexed = base.Layers
	}
	ahead := a.lookAhead(ctx, part.indexed)
	built, err := part.produce(ctx)
	ahead(err == nil)
	o.steps = part.steps
	if err != nil {
		return result{}, &finalError{err}
	}
	if built.kept {
		part.warnKept(built)
	}
	return built, nil
}

// partOrder is an order of the base part: of the Dockerfile to its last instruction, and
// of those entries of the context alone that are copied up to there. It has a file to
// clear.
func (a *assembly) partOrder(ctx context.Context) (*order, error) {
	o := a.order
	part := &order{builder: o.builder, who: o.who, source: o.source, owner: o.owner, part: true}
	part.source.Text, part.digests = a.plan.Dockerfile, map[string]string{}
	for _, base := range o.plan.bases { // a tag that moves meanwhile is none of this image's
		part.digests[base.Name] = base.Digest
	}
	keep, nodes := map[string]bool{}, a.tree.Below(".")
	if !a.plan.Whole {
		nodes = nil
		for _, name := range a.plan.Paths {
			if node, found := a.tree.Find(name); found {
				nodes = append(nodes, node)
			}
		}
	}
	for _, node := range nodes {
		keep[node.Path] = true
	}
	part.source.Context.Tree = buildcontext.NewTree(nodes...)
	if a.plan.Whole && a.whole {
		return part, nil
	}
	path, digest, err := pick(ctx, o.source.Context.Path, keep)
	part.source.Context.Path, part.source.Context.Digest = path, digest
	return part, err
}

// pick writes the part of a context that is kept beside it, and returns where, and the
// digest of its content.
func pick(ctx context.Context, whole string, keep map[string]bool) (path, digest string, err error) {
	src, err := openBuffered(ctx, whole)
	if err != nil {
		return "", "", fmt.Errorf("read the build context: %w", err)
	}
	defer src.Close()
	dst, err := os.CreateTemp(filepath.Dir(whole), "part-")
	if err != nil {
		return "", "", fmt.Errorf("write a part of the build context: %w", err)
	}
	out := bufio.NewWriterSize(dst, 256<<10)
	sum, err := buildcontext.Pick(out, src, keep)
	if err == nil {
		err = out.Flush()
	}
	if err = errors.Join(err, dst.Close()); err != nil {
		return "", "", errors.Join(err, os.Remove(dst.Name()))
	}
	return dst.Name(), sum.Digest, nil
}

// clear removes the file of a base part's order, unless it is that of the whole.
func (o *order) clear(whole *order) {
	if o.source.Context.Path != whole.source.Context.Path {
		_ = os.Remove(o.source.Context.Path) // what is left goes with the request
	}
}
