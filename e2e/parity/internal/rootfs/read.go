package rootfs

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// entry is one entry of a layer.
type entry struct {
	name string // absolute
	node *Node
	// hardlink is the absolute path that the entry is another name of.
	hardlink string
}

// Reader reads trees. It remembers layers, since most images of a run share
// their lower ones. It is safe for concurrent use.
type Reader struct {
	mu     sync.Mutex
	layers map[v1.Hash][]entry
}

// Read returns the tree of an image.
func (r *Reader) Read(img v1.Image) (Tree, error) {
	layers, err := img.Layers()
	if err != nil {
		return nil, fmt.Errorf("list layers: %w", err)
	}
	tree := Tree{"/": rootNode()}
	for i, layer := range layers {
		entries, err := r.layer(layer)
		if err != nil {
			return nil, fmt.Errorf("read layer %d: %w", i, err)
		}
		tree.apply(entries)
	}
	return tree, nil
}

func (r *Reader) layer(layer v1.Layer) ([]entry, error) {
	digest, err := layer.Digest()
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, found := r.layers[digest]; found {
		return known, nil
	}
	in, err := layer.Uncompressed()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	entries, err := parse(tar.NewReader(in))
	if err != nil {
		return nil, err
	}
	if r.layers == nil {
		r.layers = map[v1.Hash][]entry{}
	}
	r.layers[digest] = entries
	return entries, nil
}

func parse(in *tar.Reader) ([]entry, error) {
	var entries []entry
	for {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return nil, err
		}
		e := entry{name: path.Clean("/" + header.Name)}
		if header.Typeflag == tar.TypeLink {
			e.hardlink = path.Clean("/" + header.Linkname)
		} else if e.node, err = newNode(header, in); err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
		entries = append(entries, e)
	}
}

// capability is where a tar keeps security.capability (GNU tar and libarchive
// write it so too).
const capability = "SCHILY.xattr.security.capability"

func newNode(header *tar.Header, content io.Reader) (*Node, error) {
	node := &Node{
		Kind: kind(header.Typeflag), Mode: header.Mode & 0o7777, UID: header.Uid, GID: header.Gid,
		ModTime: header.ModTime, Capability: hex.EncodeToString([]byte(header.PAXRecords[capability])),
	}
	switch node.Kind {
	case "":
		return nil, fmt.Errorf("entry of the unknown type %q", header.Typeflag)
	case "file":
		hash := sha256.New()
		size, err := io.Copy(hash, content)
		if err != nil {
			return nil, err
		}
		node.Size, node.Digest = size, hex.EncodeToString(hash.Sum(nil))
	case "link":
		node.Link = header.Linkname
	case "char", "block":
		node.Device = fmt.Sprintf("%d:%d", header.Devmajor, header.Devminor)
	}
	return node, nil
}
