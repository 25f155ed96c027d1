package imagebuild

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"kiln/internal/assemble"
	"kiln/internal/buildcontext"
	"kiln/internal/buildkey"
	"kiln/internal/config"
	"kiln/internal/kaniko"
	"kiln/internal/preflight"
	"kiln/internal/registry"
)

// plan is what a build makes and of what, known before anything is built.
type plan struct {
	file *preflight.File
	// refused is why the Kaniko at hand cannot build it, nil where it can.
	refused *preflight.Error
	// looked is what is known of the files of the context.
	looked *preflight.Context
	// warnings are for its author, kanikos those that hold where Kaniko builds the whole, and
	// stages are as they are sent.
	warnings, kanikos []preflight.Problem
	stages            []preflight.Stage
	// executor is the Kaniko image, by digest where that is known.
	executor string
	// bases are the external images that the Dockerfile names, with the
	// digests that they have now.
	bases []buildkey.Reference
	// head is sent before the context: the Dockerfile and what else stands beside
	// the context, packed.
	head []byte
	// triggers are the images that the bases' ONBUILD triggers name.
	triggers []string
	// known is what is known of the bases, by their reference; inspect are the layers
	// that the gate looks through.
	known   map[string]preflight.Base
	inspect []string
	// users says that the build pod gets a user namespace of its own.
	users bool
	// push and pull are the image's references with its tag.
	push, pull string
	// keyed says that the tag follows from what goes into the build, so that an
	// image that has it is the one that would be built.
	keyed bool
	// aged is the image under the tag where its age alone is against it.
	aged *registry.Image
	// blind says why the registry cannot be asked for the image, once that is
	// known.
	blind string
}

// arch and platform are what kiln builds for: the node's own.
const (
	arch     = runtime.GOARCH
	platform = "linux/" + arch
)

// makePlan reads the Dockerfile and finds out what would be built.
func (o *order) makePlan(ctx context.Context) error {
	read, err := check(ctx, &o.source, o.builder.options.Flavor, o.author())
	o.source.Context.Tree = nil
	if !o.part {
		o.who.Times.Mark("preflight")
	}
	if err != nil {
		return err
	}
	o.plan = &plan{
		file: read.file, refused: read.refused, looked: read.looked, warnings: read.warnings, kanikos: read.kanikos,
		keyed: o.builder.options.Settings.Tag == config.TagContent,
	}
	if read.refused != nil && !o.assembles() {
		return o.author().refuse(0, read.refused)
	}
	if err := o.resolve(ctx); err != nil {
		return err
	}
	files, err := o.files(ctx, read.report)
	if err != nil {
		return err
	}
	tag := o.begun.Tag
	switch {
	case o.plan.keyed:
		tag = o.key(files)
	case tag == "":
		tag = registry.RandomTag()
		o.note(func(b *Begun) { b.Tag = tag })
	}
	o.plan.push, o.plan.pull = o.builder.options.Names.Image(o.source.Workspace, tag)
	return nil
}

// files are what the key binds beside the context: what Kaniko gets there, or the
// Dockerfile itself where it cannot build that.
func (o *order) files(ctx context.Context, report *preflight.Report) ([]buildcontext.File, error) {
	if o.plan.refused == nil {
		files, err := o.mend(ctx, report)
		bad, ok := errors.AsType[*preflight.Error](err)
		if !ok || !o.assembles() {
			return files, o.author().refuse(0, err)
		}
		o.plan.refused = bad
	}
	return []buildcontext.File{{Name: preflight.SentDockerfile, Content: o.source.Text}}, nil
}

// resolve asks the registries which digests the executor and the external
// images have now, all at once, but for those that are known.
func (o *order) resolve(ctx context.Context) error {
	p := o.plan
	if len(p.file.Images) > maxImages {
		return o.author().tooMany(p.file.Images[maxImages])
	}
	p.bases = make([]buildkey.Reference, len(p.file.Images))
	errs := make([]error, len(p.file.Images))
	var group, executor sync.WaitGroup
	asking, enough := context.WithCancel(ctx)
	defer enough()
	executor.Go(func() { p.executor = o.executor(ctx, asking) })
	for i, image := range p.file.Images {
		group.Go(func() {
			digest, known := o.digests[image.Reference]
			if !known {
				digest, errs[i] = o.builder.options.Registry.Resolve(ctx, image.Reference)
			}
			p.bases[i] = buildkey.Reference{Name: image.Reference, Platform: platform, Digest: digest}
		})
	}
	group.Wait()
	defer time.AfterFunc(executorTimeout, enough).Stop()
	executor.Wait()
	for i, err := range errs {
		if err != nil {
			return o.author().baseError(p.file.Images[i], err)
		}
	}
	return nil
}

// key returns the tag of an image that is made of this.
func (o *order) key(files []buildcontext.File) string {
	file := o.plan.file
	flags := kaniko.ResultFlags(kaniko.Build{
		Flavor: o.builder.options.Flavor, SnapshotMode: o.builder.options.Settings.SnapshotMode, OwnArgs: file.OwnArgs, Arch: arch,
	})
	if o.plan.refused != nil {
		flags = append(flags, "not built by Kaniko")
	}
	if o.assembles() {
		flags = append(flags, assemble.Version)
	}
	key := buildkey.New(buildkey.Inputs{
		Executor:   o.plan.executor,
		Flags:      flags,
		Platform:   platform,
		Dockerfile: o.source.Dockerfile,
		Files:      files,
		Context:    o.source.Context.Digest,
		References: o.plan.bases,
	})
	o.who.Log.Debug("build key %s", key)
	return key.Tag()
}
