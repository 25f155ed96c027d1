package request

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"go.uber.org/zap"

	"kiln/internal/buildcontext"
	"kiln/internal/buildkey"
	"kiln/internal/config"
	"kiln/internal/failure"
	"kiln/internal/kaniko"
	"kiln/internal/preflight"
	"kiln/internal/registry"
	"kiln/internal/steplog"
)

// plan is what a build makes and of what, known before anything is built.
type plan struct {
	file *preflight.File
	// warnings are for its author, and stages as they are sent.
	warnings []preflight.Problem
	stages   []preflight.Stage
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
	// onbuild are the bases that have triggers; inspect are the layers that the
	// gate looks through.
	onbuild map[string]bool
	inspect []string
	// users says that the build pod gets a user namespace of its own.
	users bool
	// push and pull are the image's references with its tag.
	push, pull string
	// keyed says that the tag follows from what goes into the build, so that an
	// image that has it is the one that would be built.
	keyed bool
	// blind says why the registry cannot be asked for the image, once that is
	// known.
	blind string
}

// arch and platform are what kiln builds for: the node's own.
const (
	arch     = runtime.GOARCH
	platform = "linux/" + arch
)

// plan reads the staged context and the Dockerfile and finds out what would be
// built.
func (s *step) plan(ctx context.Context) (*plan, error) {
	content, read, err := s.accept()
	if err != nil {
		return nil, err
	}
	p := &plan{file: read.file, warnings: read.warnings, keyed: s.handler.operator.Settings.Tag == config.TagContent}
	if err := s.resolve(ctx, p); err != nil {
		return nil, err
	}
	files, err := s.mend(ctx, p, read.report)
	if err != nil {
		return nil, err
	}
	tag := registry.RandomTag()
	if p.keyed {
		if tag, err = s.key(p, content, files); err != nil {
			return nil, err
		}
	}
	p.push, p.pull = s.handler.operator.Names.Image(s.asked.Workspace, tag)
	return p, nil
}

// maxImages bounds the images that one build takes from registries, those of
// triggers included: each is looked up, and remembered.
const maxImages = 100

// tooMany refuses a build that takes more than maxImages. image is the first that
// is one too many, or whose triggers are.
func (s *step) tooMany(image preflight.Image) error {
	at := s.dockerfile()
	at.Line = image.Line
	return &steplog.PlacedError{Place: at, Err: failure.New(failure.UnsupportedInstruction,
		"%s: with %s the build takes more than %d images from registries, triggers included, and kiln looks up no more for one; build from fewer", at, steplog.OneLine(image.Reference), maxImages)}
}

// resolve asks the registries which digests the executor and the external
// images have now, all at once.
func (s *step) resolve(ctx context.Context, p *plan) error {
	if len(p.file.Images) > maxImages {
		return s.tooMany(p.file.Images[maxImages])
	}
	p.bases = make([]buildkey.Reference, len(p.file.Images))
	errs := make([]error, len(p.file.Images))
	var group sync.WaitGroup
	group.Go(func() { p.executor = s.executor(ctx) })
	for i, image := range p.file.Images {
		group.Go(func() {
			digest, err := s.handler.operator.Registry.Resolve(ctx, image.Reference)
			p.bases[i] = buildkey.Reference{Name: image.Reference, Platform: platform, Digest: digest}
			errs[i] = err
		})
	}
	group.Wait()
	for i, err := range errs {
		if err != nil {
			return s.baseError(p.file.Images[i], err)
		}
	}
	return nil
}

// executorTimeout bounds the question for the digest of the Kaniko image.
const executorTimeout = 3 * time.Second

// executor is the Kaniko image, pinned to the digest that its registry has for
// it now. Nodes may have a way to it that the daemon has not: then the name is
// all that is known of it.
func (s *step) executor(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, executorTimeout)
	defer cancel()
	digest, err := s.handler.executors.resolve(ctx, s.handler.operator.Registry, s.handler.operator.Settings.KanikoImage)
	if err != nil {
		s.logger.Info("the digest of the Kaniko image is not known", zap.Error(err))
		return s.handler.operator.Settings.KanikoImage
	}
	pinned, err := pin(s.handler.operator.Settings.KanikoImage, digest)
	if err != nil {
		return s.handler.operator.Settings.KanikoImage
	}
	return pinned
}

// mend returns the files that are sent beside the context, with the Dockerfile as
// the flavor at hand can build it, and packs them.
func (s *step) mend(ctx context.Context, p *plan, report *preflight.Report) ([]buildcontext.File, error) {
	bases := map[string]preflight.Base{}
	for _, image := range report.Shells {
		at := slices.IndexFunc(p.bases, func(r buildkey.Reference) bool { return r.Name == image.Reference })
		base, err := s.handler.operator.Registry.Base(ctx, image.Reference, p.bases[at].Digest, arch)
		if err != nil {
			return nil, s.baseError(image, err)
		}
		bases[image.Reference] = preflight.Base{Shell: base.Shell, Triggers: base.Triggers}
	}
	ignore, err := s.readIgnore()
	if err != nil {
		return nil, failure.New(failure.BadRequest, "kiln: %w", err)
	}
	sent, err := report.Send(bases, ignore)
	if err != nil {
		return nil, s.refuse(0, err)
	}
	var head bytes.Buffer
	if err := buildcontext.Head(&head, sent.Files); err != nil {
		return nil, err
	}
	p.head, p.stages = head.Bytes(), sent.Stages
	return sent.Files, nil
}

// key returns the tag of an image that is made of this.
func (s *step) key(p *plan, content string, files []buildcontext.File) (string, error) {
	key := buildkey.New(buildkey.Inputs{
		Executor:   p.executor,
		Flags:      kaniko.ResultFlags(kaniko.Build{Flavor: s.handler.operator.Flavor, SnapshotMode: s.handler.operator.Settings.SnapshotMode, Unused: p.file.Unused, OwnArgs: p.file.OwnArgs, Arch: arch}),
		Platform:   platform,
		Dockerfile: s.asked.Dockerfile,
		Files:      files,
		Context:    content,
		References: p.bases,
	})
	s.log.Debug("build key %s", key)
	return key.Tag(), nil
}

// pin names an image by tag and digest: the digest says which, the tag is what
// the Dockerfile asks for.
func pin(reference, digest string) (string, error) {
	parsed, err := name.ParseReference(reference)
	if err != nil {
		return "", fmt.Errorf("image %q: %w", reference, err)
	}
	if tag, ok := parsed.(name.Tag); ok {
		return tag.Context().Name() + ":" + tag.TagStr() + "@" + digest, nil
	}
	return reference, nil
}

// repository cuts the tag off an image reference.
func repository(reference string) string {
	if i := strings.LastIndexByte(reference, ':'); i > strings.LastIndexByte(reference, '/') {
		return reference[:i]
	}
	return reference
}
