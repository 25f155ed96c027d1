package harness

import (
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
)

func TestPackIsReproducible(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("\x7fELF"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := recipe{base: empty.Image, config: v1.Config{Entrypoint: []string{"/program"}}, files: []file{{"program", path}}}
	var digests []v1.Hash
	var tags []string
	for range 2 {
		img, err := r.pack()
		if err != nil {
			t.Fatal(err)
		}
		digest, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		tag, err := r.tag()
		if err != nil {
			t.Fatal(err)
		}
		digests, tags = append(digests, digest), append(tags, tag)
	}
	if digests[0] != digests[1] || tags[0] != tags[1] {
		t.Errorf("digests %v and tags %v differ", digests, tags)
	}
	r.config.User = "1001"
	if tag, err := r.tag(); err != nil || tag == tags[0] {
		t.Errorf("another user has the same tag %s, %v", tag, err)
	}
}
