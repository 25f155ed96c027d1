package registry

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Bounds on the search for a file in the layers of an image.
const (
	maxLayers    = 200
	maxUnpacked  = 1 << 30 // bytes of all layers together, unpacked
	maxImageFile = 1 << 20 // bytes of one file
)

// errUnread marks a file of an image that is there and is not read: what it
// holds is not known, which is not the same as nothing.
var errUnread = errors.New("its layers do not tell")

// Files returns the content of files of an image, by their paths without a slash
// in front, as a container finds them; one that the image does not have is empty.
// pushed says that the image is one of kiln's own, read with the credentials for
// pushing; an index is followed to linux/arch.
//
// Layers are read from the top, as streams, until all files are found, and
// bounded in bytes and time. It is an error where the bounds do not suffice, where
// a file is a link, and where layers are compressed otherwise than by gzip. Errors
// are of type [*LookupError].
func (c *Client) Files(ctx context.Context, reference, arch string, pushed bool, files ...string) (map[string]string, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return nil, &LookupError{Reference: reference, Kind: Malformed, Err: err}
	}
	keychain, ask := c.pull, fetch[map[string]string]
	if pushed {
		keychain, ask = c.push, insist[map[string]string]
	}
	read := func(ctx context.Context, repo name.Repository) (map[string]string, error) {
		return c.files(ctx, keychain, document{repo: repo, kind: "manifests", id: ref.Identifier()}, arch, files)
	}
	found, err := ask(ctx, c, ref.Context(), read)
	if err != nil {
		return nil, &LookupError{Reference: reference, Kind: kindOf(err), Err: err}
	}
	return found, nil
}

// files is Files for one registry and its credentials.
func (c *Client) files(ctx context.Context, keychain authn.Keychain, d document, arch string, files []string) (map[string]string, error) {
	layers, err := c.layers(ctx, keychain, d, arch)
	if err != nil {
		return nil, err
	}
	s := search{wanted: files, found: map[string]string{}, left: maxUnpacked}
	for i := len(layers) - 1; i >= 0 && len(s.wanted) > 0; i-- {
		if err := c.searchLayer(ctx, keychain, document{repo: d.repo, kind: "blobs", id: layers[i].Digest}, &s); err != nil {
			return nil, err
		}
	}
	return s.found, nil
}

// layers returns those of the image in d, the lowest first.
func (c *Client) layers(ctx context.Context, keychain authn.Keychain, d document, arch string) ([]layer, error) {
	m, digest, err := c.manifestOf(ctx, keychain, d)
	if err == nil && m.isIndex() {
		var chosen choice
		chosen, err = c.choose(ctx, d.repo, digest, arch)
		m = chosen.manifest
	}
	switch {
	case err != nil:
		return nil, err
	case m.isIndex():
		return nil, fmt.Errorf("%w: an index is taken for an image", errMalformed)
	case len(m.Layers) > maxLayers:
		return nil, fmt.Errorf("%w: it has more than %d layers", errMalformed, maxLayers)
	}
	return m.Layers, nil
}

// manifestOf reads the manifest or index in d, and its digest.
func (c *Client) manifestOf(ctx context.Context, keychain authn.Keychain, d document) (m manifest, digest string, err error) {
	content, err := c.read(ctx, keychain, d)
	if err != nil {
		return manifest{}, "", err
	}
	err = decode(content, &m)
	return m, digestOf(content), err
}

// searchLayer looks for files in one layer.
func (c *Client) searchLayer(ctx context.Context, keychain authn.Keychain, d document, s *search) error {
	if !isDigest(d.id) {
		return fmt.Errorf("%w: the manifest names a layer by no sha256 digest", errMalformed)
	}
	response, err := c.send(ctx, keychain, http.MethodGet, d)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if err := transport.CheckError(response, http.StatusOK); err != nil {
		return err
	}
	return s.layer(response.Body)
}

// search is what is still looked for in the layers of an image.
type search struct {
	wanted []string
	found  map[string]string
	left   int64 // bytes that may be unpacked yet
}

// layer looks through one layer, from its top.
func (s *search) layer(packed io.Reader) error {
	in := bufio.NewReader(packed)
	head, _ := in.Peek(4)
	var unpacked io.Reader = in
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		gz, err := gzip.NewReader(in)
		if err != nil {
			return fmt.Errorf("%w: %w", errMalformed, err)
		}
		unpacked = gz
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return fmt.Errorf("%w %w: a layer is compressed by zstd", errMalformed, errUnread)
	}
	limited := &io.LimitedReader{R: unpacked, N: s.left}
	err := s.entries(tar.NewReader(limited))
	if s.left = limited.N; s.left <= 0 {
		return fmt.Errorf("%w %w: they hold more than %d bytes", errMalformed, errUnread, maxUnpacked)
	}
	return err
}

// entries looks at the entries of a layer until nothing is wanted any more. What
// the layer hides is in none below it.
func (s *search) entries(layer *tar.Reader) error {
	hidden := map[string]bool{}
	for len(s.wanted) > 0 {
		header, err := layer.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errMalformed, err)
		}
		entry := strings.TrimPrefix(path.Clean("/"+header.Name), "/")
		for _, file := range s.wanted {
			switch {
			case hides(entry, file):
				hidden[file] = true
			case entry == file && header.Typeflag == tar.TypeReg:
				content, err := io.ReadAll(io.LimitReader(layer, maxImageFile))
				if err != nil {
					return fmt.Errorf("%w: %w", errMalformed, err)
				}
				s.found[file] = string(content)
			case (entry == file || strings.HasPrefix(file, entry+"/")) && header.Typeflag != tar.TypeDir:
				return fmt.Errorf("%w %w: %s is no regular file", errMalformed, errUnread, entry)
			}
		}
		s.drop(func(file string) bool { _, found := s.found[file]; return found })
	}
	s.drop(func(file string) bool { return hidden[file] })
	return nil
}

// drop looks no longer for some files.
func (s *search) drop(done func(file string) bool) {
	var left []string
	for _, file := range s.wanted {
		if !done(file) {
			left = append(left, file)
		}
	}
	s.wanted = left
}

// hides reports whether an entry says that file, or a directory above it, is in
// no layer below (https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md#whiteouts).
func hides(entry, file string) bool {
	const whiteout, opaque = ".wh.", ".wh..wh..opq"
	dir, base := path.Split(entry)
	if base == opaque {
		return strings.HasPrefix(file, dir)
	}
	gone, is := strings.CutPrefix(base, whiteout)
	return is && (file == dir+gone || strings.HasPrefix(file, dir+gone+"/"))
}
