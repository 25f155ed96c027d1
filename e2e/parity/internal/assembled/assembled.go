// Package assembled builds Dockerfiles in two parts: BuildKit builds the base part, as
// package split cuts it, of those entries of the context alone that it takes; package
// assemble puts the rest on top. What then differs from BuildKit's image of the whole is
// the fault of the cut or of the rest, not of an executor.
package assembled

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"kiln/e2e/parity/internal/candidate"
	"kiln/e2e/parity/internal/oracle"
	"kiln/internal/assemble"
	"kiln/internal/buildcontext"
	"kiln/internal/preflight"
	"kiln/internal/split"
	"kiln/internal/treeindex"
)

// Builder is what the builds have in common.
type Builder struct {
	// Oracle builds the base parts.
	Oracle *oracle.Oracle
	// Registry is the one registry, plain HTTP, that takes pushes and has all bases.
	Registry string
	// Dir is an empty directory for all that builds write.
	Dir string
}

// build is one build.
type build struct {
	*Builder
	work, dockerfile string
	file             *preflight.File
	text             []byte
	tree             *buildcontext.Tree
	looked           *preflight.Context
}

// Build builds a Dockerfile and pushes the image to a reference of the registry. The
// error is a *candidate.Refusal where it is not split, and a *candidate.BuildError
// where the base part does not build.
func (b *Builder) Build(ctx context.Context, dockerfile, push string) (err error) {
	work, err := os.MkdirTemp(b.Dir, "build-")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	own := &build{Builder: b, work: work, dockerfile: dockerfile}
	if err := own.read(); err != nil {
		return err
	}
	err = own.split(ctx, push, false)
	if errors.As(err, new(*chmodError)) {
		err = own.split(ctx, push, true)
	}
	return err
}

// chmodError says that a rest with a "RUN chmod" cannot be assembled.
type chmodError struct{ error }

// Unwrap returns why.
func (c *chmodError) Unwrap() error { return c.error }

// read stages the context and reads the Dockerfile.
func (b *build) read() error {
	var staged bytes.Buffer
	_, err := buildcontext.Stage(&staged, b.dockerfile, buildcontext.Limits{})
	var canonical bytes.Buffer
	if err == nil {
		_, b.tree, err = buildcontext.CanonicalTree(&canonical, &staged, buildcontext.Limits{})
	}
	if input, ok := errors.AsType[*buildcontext.InputError](err); ok {
		return &candidate.Refusal{Err: input}
	}
	if err != nil {
		return err
	}
	name := filepath.Base(b.dockerfile)
	if err := os.WriteFile(b.whole(), canonical.Bytes(), 0o600); err != nil {
		return err
	}
	if b.text, err = buildcontext.ReadFile(bytes.NewReader(canonical.Bytes()), name, buildcontext.DefaultLimits().DockerfileBytes); err != nil {
		return &candidate.Refusal{Err: err}
	}
	if b.file, err = preflight.Parse(name, b.text); err != nil {
		return &candidate.Refusal{Err: err}
	}
	if b.looked, err = b.file.Context(b.tree, b.open); err != nil {
		return err
	}
	ignore, err := buildcontext.ReadIgnore(bytes.NewReader(canonical.Bytes()), name)
	if err == nil {
		b.tree, err = b.tree.Without(".dockerignore", ignore)
	}
	return err
}

// whole is the canonical context, open opens it.
func (b *build) whole() string { return filepath.Join(b.work, "context.tar.gz") }

func (b *build) open() (io.ReadCloser, error) { return os.Open(b.whole()) }

// split builds in two parts.
func (b *build) split(ctx context.Context, push string, noChmod bool) error {
	bases, err := b.bases()
	if err != nil {
		return err
	}
	plan, err := split.Decide(split.Input{Dockerfile: b.text, Bases: bases, Tree: b.tree, Archive: b.looked.Archive, NoChmod: noChmod})
	if err != nil {
		return &candidate.Refusal{Err: err}
	}
	if len(plan.Rest) == 0 {
		return &candidate.Refusal{Err: errors.New("not split: there is no rest")}
	}
	below, err := b.below(ctx, plan, push)
	if err != nil {
		return err
	}
	in := assemble.Input{Plan: plan, Below: treeindex.Empty(), Context: b.tree}
	if below != nil {
		if in.Config, err = below.RawConfigFile(); err != nil {
			return err
		}
		if in.Below, err = index(below); err != nil {
			return &candidate.Refusal{Err: err}
		}
	}
	made, err := assemble.Assemble(in)
	if err != nil {
		for _, step := range plan.Rest {
			if _, ok := step.Chmod(); ok {
				return &chmodError{&candidate.Refusal{Err: err}}
			}
		}
		return &candidate.Refusal{Err: err}
	}
	return b.push(made, below, push)
}

// bases are the configurations of the images.
func (b *build) bases() (map[string]split.Base, error) {
	bases := map[string]split.Base{}
	for _, image := range b.file.Images {
		img, err := b.pull(image.Reference)
		if err != nil {
			return nil, &candidate.Refusal{Err: err}
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
	dir := filepath.Join(b.work, "base")
	if err := b.unpack(plan, dir); err != nil {
		return nil, err
	}
	// A name that no context can have.
	file := filepath.Join(dir, ".kiln.Dockerfile")
	err := errors.Join(os.WriteFile(file, plan.Dockerfile, 0o600), os.WriteFile(file+".dockerignore", []byte(".kiln.Dockerfile*\n"), 0o600))
	if err != nil {
		return nil, err
	}
	base := push + "-base"
	err = b.Oracle.Build(ctx, file, base)
	if failed, ok := errors.AsType[*oracle.BuildError](err); ok {
		return nil, &candidate.BuildError{Reason: failed.Reason, Output: failed.Output}
	}
	if err != nil {
		return nil, err
	}
	return b.pull(base)
}

// unpack unpacks what the base part gets of the context.
func (b *build) unpack(plan *split.Plan, dir string) error {
	src, err := b.open()
	if err != nil {
		return err
	}
	defer src.Close()
	keep := map[string]bool{}
	for _, path := range plan.Paths {
		keep[path] = true
	}
	if plan.Whole {
		for _, node := range b.tree.Below(".") {
			keep[node.Path] = true
		}
	}
	var picked bytes.Buffer
	if _, err := buildcontext.Pick(&picked, src, keep); err != nil {
		return err
	}
	gz, err := gzip.NewReader(&picked)
	if err != nil {
		return err
	}
	return extract(tar.NewReader(gz), dir)
}

// extract writes what is in a canonical context.
func extract(in *tar.Reader, dir string) error {
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		at := filepath.Join(dir, strings.TrimPrefix(h.Name, buildcontext.Dir+"/"))
		switch h.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(at, 0o755)
		case tar.TypeSymlink:
			if err := os.Symlink(h.Linkname, at); err != nil {
				return err
			}
			continue
		default:
			var content []byte
			if content, err = io.ReadAll(in); err == nil {
				err = os.WriteFile(at, content, 0o600)
			}
		}
		if err == nil {
			err = errors.Join(os.Chmod(at, h.FileInfo().Mode()), os.Chtimes(at, h.ModTime, h.ModTime))
		}
		if err != nil {
			return err
		}
	}
}

// index is the tree of an image, by way of the encoded index of each layer.
func index(img v1.Image) (*treeindex.Tree, error) {
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
	return treeindex.Overlay(indexes...)
}

// push pushes what was made.
func (b *build) push(made *assemble.Image, below v1.Image, push string) error {
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
		layer, err := made.WriteLayer(&content, b.open)
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
