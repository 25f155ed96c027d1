// Package assembled builds Dockerfiles in two parts: a builder makes the base part, as
// package split cuts it, of those entries of the context alone that it takes; package
// assemble puts the rest on top. Where BuildKit makes the base part, what differs from
// its image of the whole is the fault of the cut or of the rest, not of an executor;
// where the executor makes it, the image is what users get.
package assembled

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"kiln/e2e/parity/internal/candidate"
	"kiln/internal/assemble"
	"kiln/internal/buildcontext"
	"kiln/internal/preflight"
	"kiln/internal/split"
	"kiln/internal/treeindex"
)

// Parts builds base parts. The error is a *candidate.Refusal or a
// *candidate.BuildError where the Dockerfile is at fault.
type Parts interface {
	BuildSource(ctx context.Context, part *candidate.Source, push string) error
}

// Builder is what the builds have in common.
type Builder struct {
	// Parts builds the base parts.
	Parts Parts
	// Registry is the one registry, plain HTTP, that takes pushes and has all bases.
	Registry string
	// Skips says that the executor builds no stage that the last one does not need.
	Skips bool
	// Dir is an existing directory for all that builds write.
	Dir string
}

// Whole says why a Dockerfile is built as one, or refused.
type Whole struct {
	Err error
	// Part says that it is the base part that is refused: so is the Dockerfile, unless
	// the executor builds the whole.
	Part bool
}

// Error is the reason.
func (w *Whole) Error() string { return w.Err.Error() }

// Unwrap returns the reason.
func (w *Whole) Unwrap() error { return w.Err }

// build is one build.
type build struct {
	*Builder
	work   string
	source *candidate.Source
	file   *preflight.File
	tree   *buildcontext.Tree
	looked *preflight.Context
	parted bool
}

// Build builds a Dockerfile and pushes the image to a reference of the registry, and
// says whether a base part was built for it. The error is a *Whole where it is not
// split, and a *candidate.BuildError where the base part does not build.
func (b *Builder) Build(ctx context.Context, dockerfile, push string) (parted bool, err error) {
	work, err := os.MkdirTemp(b.Dir, "assembled-")
	if err != nil {
		return false, fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	own := &build{Builder: b, work: work}
	err = own.read(ctx, dockerfile)
	if refusal, ok := errors.AsType[*candidate.Refusal](err); ok {
		return false, &Whole{Err: refusal}
	}
	if err != nil {
		return false, err
	}
	err = own.split(ctx, push, false)
	if errors.As(err, new(*chmodError)) {
		err = own.split(ctx, push, true)
	}
	return own.parted, err
}

// chmodError says that a rest with a "RUN chmod" cannot be assembled.
type chmodError struct{ error }

// Unwrap returns why.
func (c *chmodError) Unwrap() error { return c.error }

// read stages the context and reads the Dockerfile.
func (b *build) read(ctx context.Context, dockerfile string) (err error) {
	if b.source, err = candidate.Stage(dockerfile, filepath.Join(b.work, "context.tar.gz")); err != nil {
		return err
	}
	if b.file, err = preflight.Parse(b.source.Name, b.source.Text); err != nil {
		return &candidate.Refusal{Err: err}
	}
	if b.looked, err = b.file.Context(ctx, b.source.Tree, b.source.Open); err != nil {
		return &candidate.Refusal{Err: err}
	}
	ignore, err := b.source.Ignore()
	if err != nil {
		return &candidate.Refusal{Err: err}
	}
	b.tree, err = b.source.Tree.Without(".dockerignore", ignore)
	return err
}

// split builds in two parts.
func (b *build) split(ctx context.Context, push string, noChmod bool) error {
	bases, err := b.bases()
	if err != nil {
		return err
	}
	plan, err := split.Decide(split.Input{Dockerfile: b.source.Text, Bases: bases, Tree: b.tree, Archive: b.looked.Archive, NoChmod: noChmod, Skips: b.file.Skipped(b.Skips)})
	if err != nil {
		return &Whole{Err: err}
	}
	if len(plan.Rest) == 0 {
		return &Whole{Err: errors.New("not split: there is no rest")}
	}
	below, err := b.below(ctx, plan, push)
	if err != nil {
		return err
	}
	archives, err := assemble.Archives(ctx, plan, b.source.Open)
	if err != nil {
		return again(plan, err)
	}
	in := assemble.Input{Plan: plan, Below: treeindex.Empty(), Context: b.tree, Archives: archives}
	if below != nil {
		if in.Config, err = below.RawConfigFile(); err != nil {
			return err
		}
		if in.Below, err = index(ctx, below); err != nil {
			return &Whole{Err: err}
		}
	}
	made, err := assemble.Assemble(ctx, in)
	if err != nil {
		return again(plan, err)
	}
	return b.push(ctx, made, below, push)
}

// again is the error of a rest that cannot be put on its base part.
func again(plan *split.Plan, err error) error {
	for _, step := range plan.Rest {
		if _, ok := step.Chmod(); ok {
			return &chmodError{&Whole{Err: err}}
		}
	}
	return &Whole{Err: err}
}

// bases are the configurations of the images.
func (b *build) bases() (map[string]split.Base, error) {
	bases := map[string]split.Base{}
	for _, image := range b.file.Images {
		img, err := b.pull(image.Reference)
		if err != nil {
			return nil, &Whole{Err: err}
		}
		file, err := img.ConfigFile()
		if err != nil {
			return nil, err
		}
		bases[image.Reference] = split.Base{Env: file.Config.Env, User: file.Config.User, Shell: file.Config.Shell, Triggers: file.Config.OnBuild}
	}
	return bases, nil
}

// pull reads an image: every registry stands for the one.
func (b *Builder) pull(reference string) (v1.Image, error) {
	parsed, err := name.ParseReference(reference)
	if err != nil {
		return nil, err
	}
	separator := ":"
	if strings.HasPrefix(parsed.Identifier(), "sha256:") {
		separator = "@"
	}
	local, err := name.ParseReference(b.Registry + "/" + parsed.Context().RepositoryStr() + separator + parsed.Identifier())
	if err != nil {
		return nil, err
	}
	return remote.Image(local)
}

// below is the image of the base part, nil for none.
func (b *build) below(ctx context.Context, plan *split.Plan, push string) (v1.Image, error) {
	switch {
	case plan.Dockerfile != nil:
	case plan.Image == "scratch":
		return nil, nil
	default:
		return b.pull(plan.Image)
	}
	part, err := b.part(plan)
	if err != nil {
		return nil, err
	}
	base := push + "-base"
	err = b.Parts.BuildSource(ctx, part, base)
	if refusal, ok := errors.AsType[*candidate.Refusal](err); ok {
		return nil, &Whole{Err: refusal, Part: true}
	}
	if err != nil {
		return nil, err
	}
	b.parted = true
	return b.pull(base)
}

// part is the base part, with what it gets of the context.
func (b *build) part(plan *split.Plan) (*candidate.Source, error) {
	nodes := b.tree.Below(".")
	if !plan.Whole {
		nodes = nil
		for _, path := range plan.Paths {
			if node, found := b.tree.Find(path); found {
				nodes = append(nodes, node)
			}
		}
	}
	keep := map[string]bool{}
	for _, node := range nodes {
		keep[node.Path] = true
	}
	src, err := b.source.Open()
	if err != nil {
		return nil, err
	}
	defer src.Close()
	var picked bytes.Buffer
	if _, err := buildcontext.Pick(&picked, src, keep); err != nil {
		return nil, err
	}
	path := filepath.Join(b.work, "part.tar.gz")
	part := &candidate.Source{Name: b.source.Name, Text: plan.Dockerfile, Path: path, Tree: buildcontext.NewTree(nodes...)}
	return part, os.WriteFile(path, picked.Bytes(), 0o600)
}

// index is the tree of an image, by way of the encoded index of each layer.
func index(ctx context.Context, img v1.Image) (*treeindex.Tree, error) {
	layers, err := img.Layers()
	if err != nil {
		return nil, err
	}
	var indexes []*treeindex.Index
	for _, layer := range layers {
		digest, err := layer.Digest()
		if err != nil {
			return nil, err
		}
		content, err := layer.Uncompressed()
		if err != nil {
			return nil, err
		}
		made, err := treeindex.Read(digest.String(), content)
		if err = errors.Join(err, content.Close()); err != nil {
			return nil, err
		}
		again, err := treeindex.Decode(digest.String(), made.Encode())
		if err != nil {
			return nil, err
		}
		indexes = append(indexes, again)
	}
	return treeindex.Overlay(ctx, indexes...)
}

// push pushes what was made.
func (b *build) push(ctx context.Context, made *assemble.Image, below v1.Image, push string) error {
	var base []byte
	var layers []v1.Layer
	if below != nil {
		var err error
		if base, err = below.RawManifest(); err != nil {
			return err
		}
		if layers, err = below.Layers(); err != nil {
			return err
		}
	}
	var written *assemble.Layer
	diffID := ""
	if made.Changes() {
		var content bytes.Buffer
		layer, err := made.WriteLayer(ctx, &content, b.source.Open)
		if err != nil {
			return err
		}
		written, diffID = &layer, layer.DiffID
		layers = append(layers, static.NewLayer(content.Bytes(), types.DockerLayer))
	}
	config, err := made.Config(diffID)
	if err != nil {
		return err
	}
	manifest, _, err := made.Manifest(base, config, written)
	if err != nil {
		return err
	}
	return b.upload(push, layers, config, manifest)
}

// upload pushes blobs and a manifest.
func (b *Builder) upload(push string, layers []v1.Layer, config, manifest []byte) error {
	tag, err := name.NewTag(push)
	if err != nil {
		return err
	}
	for _, layer := range append(layers, static.NewLayer(config, types.DockerConfigJSON)) {
		if err := remote.WriteLayer(tag.Context(), layer); err != nil {
			return err
		}
	}
	var of struct {
		MediaType types.MediaType `json:"mediaType"`
	}
	if err := json.Unmarshal(manifest, &of); err != nil {
		return err
	}
	return remote.Put(tag, document{manifest, of.MediaType})
}

// document is a manifest as it is stored.
type document struct {
	data []byte
	kind types.MediaType
}

// RawManifest implements remote.Taggable.
func (d document) RawManifest() ([]byte, error) { return d.data, nil }

// MediaType tells the registry what it is.
func (d document) MediaType() (types.MediaType, error) { return d.kind, nil }
