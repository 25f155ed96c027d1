package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Original is an image for one platform as its registry has it. Whoever may push there
// wrote it.
type Original struct {
	// Digest is that of Manifest, and Config the configuration; both documents are as
	// they are stored.
	Digest           string
	Manifest, Config []byte
	// Layers are the layers, the lowest first.
	Layers []Blob
	// Created, Labels and Start are of the configuration, as in [Image].
	Created time.Time
	Labels  map[string]string
	Start   Start

	// repo holds it, under the name that it was asked for by, and ours says that kiln
	// pushes there.
	repo name.Repository
	ours bool
}

// Blob is a part of an image. What it says of itself is not checked before it is read.
type Blob struct {
	// Digest is "sha256:" and 64 hexadecimal digits, Size is in bytes.
	Digest string
	Size   int64
}

// Original reads a base image for one platform by the digest of its manifest, with the
// credentials for pulling. The reference says of which repository.
//
// Errors are of type [*LookupError].
func (c *Client) Original(ctx context.Context, reference, digest string) (Original, error) {
	ref, err := name.ParseReference(reference)
	if err == nil && !isDigest(digest) {
		err = errors.New("its digest is not sha256: and 64 hexadecimal digits")
	}
	if err != nil {
		return Original{}, &LookupError{Reference: reference, Kind: Malformed, Err: err}
	}
	found, err := fetch(ctx, c, ref.Context(), func(ctx context.Context, repo name.Repository) (Original, error) {
		return c.original(ctx, c.pull, document{repo: repo, kind: "manifests", id: digest}, true)
	})
	if err != nil {
		return Original{}, &LookupError{Reference: reference, Kind: kindOf(err), Err: err}
	}
	found.repo = ref.Context()
	return found, nil
}

// Pushed reads an image that kiln pushed, by a tag or digest, with the credentials for
// pushing. Without its configuration, which takes a request, what is of that stays
// empty.
//
// Errors are of type [*LookupError].
func (c *Client) Pushed(ctx context.Context, reference string, configuration bool) (Original, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return Original{}, &LookupError{Reference: reference, Kind: Malformed, Err: err}
	}
	found, err := insist(ctx, c, ref.Context(), func(ctx context.Context, repo name.Repository) (Original, error) {
		return c.original(ctx, c.push, document{repo: repo, kind: "manifests", id: ref.Identifier()}, configuration)
	})
	if err != nil {
		return Original{}, &LookupError{Reference: reference, Kind: kindOf(err), Err: err}
	}
	found.repo, found.ours = ref.Context(), true
	return found, nil
}

// original reads the documents of an image.
func (c *Client) original(ctx context.Context, keychain authn.Keychain, d document, configuration bool) (Original, error) {
	content, err := c.read(ctx, keychain, d)
	if err != nil {
		return Original{}, err
	}
	var m manifest
	if err := decode(content, &m); err != nil {
		return Original{}, err
	}
	if m.isIndex() {
		return Original{}, fmt.Errorf("%w: it is an index of images", errMalformed)
	}
	if err := m.fit(); err != nil {
		return Original{}, err
	}
	found := Original{Digest: digestOf(content), Manifest: content}
	for _, l := range m.Layers {
		if !isDigest(l.Digest) || l.Size < 0 {
			return Original{}, fmt.Errorf("%w: a layer without a sha256 digest and a size", errMalformed)
		}
		found.Layers = append(found.Layers, Blob{Digest: l.Digest, Size: l.Size})
	}
	if !configuration {
		return found, nil
	}
	if !isDigest(m.Config.Digest) {
		return Original{}, fmt.Errorf("%w: the manifest names no config", errMalformed)
	}
	if found.Config, err = c.read(ctx, keychain, document{repo: d.repo, kind: "blobs", id: m.Config.Digest}); err != nil {
		return Original{}, err
	}
	return found, found.configure()
}

// configure takes out of the configuration what is of use.
func (o *Original) configure() error {
	var config imageConfig
	if err := decode(o.Config, &config); err != nil {
		return err
	}
	if created, err := time.Parse(time.RFC3339Nano, config.Created); err == nil {
		o.Created = created
	}
	o.Labels, o.Start = config.Config.Labels, config.start()
	return nil
}

// StartOf is how containers of an image with that configuration start.
func StartOf(config []byte) (Start, error) {
	var parsed imageConfig
	if err := decode(config, &parsed); err != nil {
		return Start{}, err
	}
	return parsed.start(), nil
}

// Open returns the content of one of an image's layers. It is whole, and what the image
// says, where it reads to its end; otherwise the last read fails. It takes a connection
// until it is closed.
func (c *Client) Open(ctx context.Context, of *Original, blob Blob) (io.ReadCloser, error) {
	sources := []name.Repository{of.repo}
	keychain := c.push
	if !of.ours {
		keychain = c.pull
		if mirror, mirrored := c.mirrors.Repository(of.repo); mirrored {
			sources = []name.Repository{mirror, of.repo}
		}
	}
	var failed error
	for _, repo := range sources {
		body, err := c.open(ctx, keychain, withScheme(repo, c.insecure), blob)
		if err == nil {
			return body, nil
		}
		failed = err
	}
	return nil, fmt.Errorf("read the layer %s of %s: %w", blob.Digest, of.repo, failed)
}

// Read passes the content of one of an image's layers to what to returns, from the start
// again where it breaks off: to is called for each time. The content is the image's where
// the error is nil.
func (c *Client) Read(ctx context.Context, of *Original, blob Blob, to func() io.Writer) error {
	return c.insistOn(ctx, func() error {
		content, err := c.Open(ctx, of, blob)
		if err != nil {
			return err
		}
		_, err = io.Copy(to(), content)
		return errors.Join(err, content.Close())
	})
}

// open asks one registry for a blob.
func (c *Client) open(ctx context.Context, keychain authn.Keychain, repo name.Repository, blob Blob) (io.ReadCloser, error) {
	response, err := c.send(ctx, keychain, http.MethodGet, document{repo: repo, kind: "blobs", id: blob.Digest})
	if err != nil {
		return nil, err
	}
	if err := transport.CheckError(response, http.StatusOK); err != nil {
		return nil, errors.Join(err, response.Body.Close())
	}
	return &verified{ReadCloser: response.Body, left: blob.Size, digest: blob.Digest, sum: sha256.New()}, nil
}

// verified is a body that has to have a size and a digest.
type verified struct {
	io.ReadCloser
	left   int64
	digest string
	sum    hash.Hash
}

// Read implements [io.Reader].
func (v *verified) Read(p []byte) (int, error) {
	n, err := v.ReadCloser.Read(p)
	v.sum.Write(p[:n])
	switch v.left -= int64(n); {
	case v.left < 0:
		return 0, fmt.Errorf("%w: the blob %s is larger than its image says", errMalformed, v.digest)
	case !errors.Is(err, io.EOF):
		return n, err
	case v.left > 0:
		return 0, fmt.Errorf("%w: the blob %s is cut off", errMalformed, v.digest)
	case "sha256:"+hex.EncodeToString(v.sum.Sum(nil)) != v.digest:
		return 0, fmt.Errorf("%w: the content of the blob %s has another digest", errMalformed, v.digest)
	}
	return n, err
}
