package treestore

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"kiln/internal/buildcontext"
	"kiln/internal/treeindex"
)

const (
	// prefix begins the tag of every index, before the digits of a layer's digest.
	prefix = "kiln-index-v1-"
	// file is the name of an index in its archive.
	file = "index"
	// MaxEncoded bounds an index that is kept, in bytes; images with a hundred
	// thousand files take a tenth of it.
	MaxEncoded = 16 << 20
)

// Tag is the tag of the index of a layer, by the layer's digest.
func Tag(layer string) string { return prefix + strings.TrimPrefix(layer, "sha256:") }

// IsTag reports whether a tag is one of an index.
func IsTag(tag string) bool { return strings.HasPrefix(tag, prefix) }

// Image is an index as a registry keeps it.
type Image struct {
	Layer, Config, Manifest []byte
	// MediaType is that of the manifest.
	MediaType string
}

// Pack makes the image of an index. It is an error where that is longer than
// [MaxEncoded].
func Pack(index *treeindex.Index) (Image, error) {
	encoded := index.Encode()
	if len(encoded) > MaxEncoded {
		return Image{}, fmt.Errorf("the index of %s takes %d bytes, more than %d", index.Layer, len(encoded), MaxEncoded)
	}
	var packed bytes.Buffer
	packed.Grow(len(encoded)/2 + 8<<10) // mostly it is less
	gz, sum := gzip.NewWriter(&packed), sha256.New()
	w := tar.NewWriter(io.MultiWriter(gz, sum))
	head := &tar.Header{Format: tar.FormatPAX, Typeflag: tar.TypeReg, Name: file, Mode: 0o644, Size: int64(len(encoded)), ModTime: buildcontext.Time()}
	if err := w.WriteHeader(head); err != nil {
		return Image{}, err
	}
	_, err := w.Write(encoded)
	if err = errors.Join(err, w.Close(), gz.Close()); err != nil {
		return Image{}, err
	}
	image := Image{Layer: packed.Bytes(), MediaType: string(types.OCIManifestSchema1)}
	return image, image.describe(index.Layer, v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))})
}

// describe writes the documents; plain is the digest of the layer's archive.
func (i *Image) describe(layer string, plain v1.Hash) error {
	created := v1.Time{Time: buildcontext.Time().UTC()}
	config := v1.ConfigFile{
		OS: "linux", Architecture: runtime.GOARCH, Created: created,
		RootFS:  v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{plain}},
		History: []v1.History{{Created: created, CreatedBy: "kiln: the index of the layer " + layer}},
	}
	var err error
	if i.Config, err = json.Marshal(config); err != nil {
		return err
	}
	i.Manifest, err = json.Marshal(v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1,
		Config: v1.Descriptor{MediaType: types.OCIConfigJSON, Digest: hashOf(i.Config), Size: int64(len(i.Config))},
		Layers: []v1.Descriptor{{MediaType: types.OCILayer, Digest: hashOf(i.Layer), Size: int64(len(i.Layer))}},
	})
	return err
}

func hashOf(content []byte) v1.Hash {
	sum := sha256.Sum256(content)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

// errForm says that what is kept is no index.
var errForm = errors.New("it is not what kiln keeps there")

// unpack reads what [Pack] made of the index of a layer, of which nothing is believed.
func unpack(layer string, packed io.Reader) (*treeindex.Index, error) {
	gz, err := gzip.NewReader(packed)
	if err != nil {
		return nil, errForm
	}
	archive := tar.NewReader(io.LimitReader(gz, MaxEncoded+8<<10))
	head, err := archive.Next()
	if err != nil || head.Name != file || head.Typeflag != tar.TypeReg || head.Size > MaxEncoded {
		return nil, errForm
	}
	encoded := make([]byte, head.Size)
	if _, err := io.ReadFull(archive, encoded); err != nil {
		return nil, errForm
	}
	// To the end: only then is it known to have its digest.
	if _, err := io.Copy(io.Discard, io.LimitReader(packed, MaxEncoded)); err != nil {
		return nil, err
	}
	return treeindex.Decode(layer, encoded)
}
