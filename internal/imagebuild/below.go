package imagebuild

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"kiln/internal/registry"
	"kiln/internal/treeindex"
	"kiln/internal/treestore"
)

// maxLayers bounds the layers that are looked into at the same time, by all steps: each
// takes the memory of an index, or of what unpacks it. For images that no step waits for
// it is one more, so that a slow registry of theirs keeps no step waiting.
const maxLayers = 4

// layerSlots are what bounds the layers that the order looks into.
func (o *order) layerSlots() chan struct{} {
	if o.who.Ahead {
		return o.builder.wished
	}
	return o.builder.layers
}

const (
	// maxImageLayers bounds the layers of one image, of which runtimes take 127.
	maxImageLayers = 200
	// maxIndexed bounds what the indexes of all of them take, in bytes: more than that
	// of any one layer.
	maxIndexed = 48 << 20
)

// lookBelow returns the indexes of the layers of the base part, and which of them were
// made now. The layers of a base image are brought to the repository on the way.
func (a *assembly) lookBelow(ctx context.Context) (indexes []*treeindex.Index, made []bool, err error) {
	if a.below == nil {
		return nil, nil, nil
	}
	began, layers := time.Now(), a.below.Layers
	if len(layers) > maxImageLayers {
		return nil, nil, &treeindex.Odd{Reason: "it has too many layers"}
	}
	indexes, made = make([]*treeindex.Index, len(layers)), make([]bool, len(layers))
	errs := make([]error, len(layers))
	looking, cancel := context.WithCancel(ctx)
	defer cancel()
	var size atomic.Int64
	var group sync.WaitGroup
	for i, layer := range layers {
		group.Go(func() {
			indexes[i], made[i], errs[i] = a.layer(looking, layer)
			if errs[i] == nil && size.Add(int64(indexes[i].Size())) > maxIndexed {
				errs[i] = &treeindex.Odd{Reason: "its layers have too many entries, or names that are too long"}
			}
			if errs[i] != nil {
				cancel() // the others are of no use any more
			}
		})
	}
	group.Wait()
	if slices.Contains(made, true) {
		a.step("looking through the layers of the base part", time.Since(began))
	}
	return indexes, made, first(errs)
}

// first is the error that the others follow from.
func first(errs []error) error {
	at := slices.IndexFunc(errs, func(err error) bool { return err != nil && !errors.Is(err, context.Canceled) })
	if at >= 0 {
		return errs[at]
	}
	return errors.Join(errs...)
}

// layer returns the index of a layer, and whether the layer was read for it. A layer of
// another repository is copied to that of the image.
func (a *assembly) layer(ctx context.Context, layer registry.Blob) (index *treeindex.Index, read bool, err error) {
	slots := a.order.layerSlots()
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	if index = a.known[layer.Digest]; index != nil && a.plan.Dockerfile != nil {
		return index, false, nil // it is in the repository, with the base part
	}
	client, store := a.order.builder.options.Registry, a.store()
	if !slices.ContainsFunc(a.plan.Rest, touches) {
		_, err = client.Copy(ctx, store.Repository, a.below, layer, nil)
		return &treeindex.Index{Layer: layer.Digest}, false, err
	}
	index, err = store.Find(ctx, layer.Digest)
	if err == nil {
		_, err = client.Copy(ctx, store.Repository, a.below, layer, nil)
		return index, false, err
	}
	if lookup, ok := errors.AsType[*registry.LookupError](err); !ok || lookup.Kind != registry.NotFound {
		a.order.who.Logger.Info("the index of a layer is of no use", zap.Error(err))
	}
	index, err = a.read(ctx, store, layer)
	return index, true, err
}

// lookAhead looks for the indexes of the base image's layers that are there, while the base
// part is built of it: those that are not are made by the gate of that build, as it pulls
// the layers. What it returns waits for that, or breaks it off where the build is of no use.
func (a *assembly) lookAhead(ctx context.Context, layers []string) (end func(useful bool)) {
	if !slices.ContainsFunc(a.plan.Rest, touches) {
		return func(bool) {}
	}
	looking, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	group.Go(func() {
		known, size := map[string]*treeindex.Index{}, 0
		for _, layer := range layers {
			index, err := a.ahead(looking, layer)
			if err != nil || size+index.Size() > maxIndexed {
				break
			}
			size += index.Size()
			known[layer] = index
		}
		a.known = known
	})
	return func(useful bool) {
		if !useful {
			cancel()
		}
		group.Wait()
		cancel()
	}
}

// ahead returns the index of a layer of the base image.
func (a *assembly) ahead(ctx context.Context, layer string) (*treeindex.Index, error) {
	slots := a.order.layerSlots()
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return a.store().Find(ctx, layer)
}

// store has the indexes of the image's repository.
func (a *assembly) store() treestore.Store {
	return treestore.Store{Registry: a.order.builder.options.Registry, Repository: a.repository()}
}

// read copies a layer and makes its index, of what passes where it does.
func (a *assembly) read(ctx context.Context, store treestore.Store, layer registry.Blob) (*treeindex.Index, error) {
	passes := treestore.Passes{Layer: layer.Digest}
	streamed, err := a.order.builder.options.Registry.Copy(ctx, store.Repository, a.below, layer, passes.Next)
	index, odd := passes.End(err)
	switch {
	case err != nil:
		return nil, err
	case streamed:
		return index, odd
	}
	return store.Make(ctx, a.below, layer)
}

// keep puts indexes that were made into the registry, beside what else is to be done.
// It ends with the assembly. Where one cannot be kept, the next step makes it again.
func (a *assembly) keep(ctx context.Context, indexes []*treeindex.Index, made []bool) {
	store := a.store()
	for i, index := range indexes {
		if !made[i] {
			continue
		}
		a.keeping.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, cleanupTimeout)
			defer cancel()
			if err := store.Keep(ctx, index); err != nil {
				a.order.who.Logger.Info("the index of a layer is not kept", zap.String("layer", index.Layer), zap.Error(err))
			}
		})
	}
}
