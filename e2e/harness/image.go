package harness

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// runnerBase is what the stand-in's image adds its program to. It has bash,
// which the runner runs hooks with.
const runnerBase = "library/debian:bookworm-slim"

// Images are the references, as the cluster pulls them, of the images that a
// runner pod is made of.
type Images struct {
	Kiln   string // the binaries of kiln
	Runner string // the stand-in on a Debian base
	// HookSize is the size of kiln-hook in bytes.
	HookSize int64
}

// BuildImages compiles kiln and the stand-in from the working tree, packs them
// and pushes them under tags derived from their content. What is up to date in
// bin/e2e or in the registry is not made again.
func (c *Cluster) BuildImages(ctx context.Context) (Images, error) {
	dir := filepath.Join(c.Root, "bin", "e2e")
	programs, err := c.programs()
	if err != nil {
		return Images{}, err
	}
	var kiln []file
	for _, p := range programs {
		if err := c.compile(ctx, filepath.Join(dir, p.name), p.from); err != nil {
			return Images{}, err
		}
		kiln = append(kiln, file{p.name, filepath.Join(dir, p.name)})
	}
	if err := c.compile(ctx, filepath.Join(dir, "standin"), "./e2e/standin"); err != nil {
		return Images{}, err
	}
	base, err := c.base(ctx, runnerBase)
	if err != nil {
		return Images{}, err
	}
	var images Images
	images.Kiln, err = c.provide(ctx, "kiln-e2e/kiln", recipe{base: empty.Image, config: v1.Config{
		Entrypoint: []string{"/kilnd"},
		User:       "65532:65532",
	}, files: kiln})
	if err != nil {
		return Images{}, err
	}
	images.Runner, err = c.provide(ctx, "kiln-e2e/runner", recipe{base: base, config: v1.Config{
		Entrypoint: []string{"/usr/local/bin/standin"},
		Cmd:        []string{"wait"},
		Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		User:       "1001:1001",
	}, files: []file{{"usr/local/bin/standin", filepath.Join(dir, "standin")}}})
	if err != nil {
		return Images{}, err
	}
	info, err := os.Stat(filepath.Join(dir, "kiln-hook"))
	if err != nil {
		return Images{}, fmt.Errorf("build images: %w", err)
	}
	images.HookSize = info.Size()
	return images, nil
}

// programs are the packages of kiln's image under the names they have there. The
// tree may be an earlier one, which has fewer.
func (c *Cluster) programs() ([]file, error) {
	programs := []file{{"kilnd", "./daemon"}, {"kiln-hook", "./hookshim"}}
	for _, name := range []string{"kiln-init", "kiln-agent", "kiln-sidecar"} {
		_, err := os.Stat(filepath.Join(c.Root, "daemon", name))
		switch {
		case err == nil:
			programs = append(programs, file{name, "./daemon/" + name})
		case !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("build images: %w", err)
		}
	}
	return programs, nil
}

// PackImage packs files of this machine, by their names in the image, on the
// busybox base, and pushes it unless the registry has it. All files can be
// executed. It returns the reference by which the cluster pulls the image.
func (c *Cluster) PackImage(ctx context.Context, config v1.Config, files map[string]string) (string, error) {
	base, err := c.base(ctx, "library/busybox:latest")
	if err != nil {
		return "", err
	}
	r := recipe{base: base, config: config}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		r.files = append(r.files, file{name, files[name]})
	}
	return c.provide(ctx, "kiln-e2e/action", r)
}

// PackBare packs files as an image that has nothing else, as [Cluster.PackImage]
// does on busybox.
func (c *Cluster) PackBare(ctx context.Context, config v1.Config, files map[string]string) (string, error) {
	r := recipe{base: empty.Image, config: config}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		r.files = append(r.files, file{name, files[name]})
	}
	return c.provide(ctx, "kiln-e2e/bare", r)
}

func (c *Cluster) compile(ctx context.Context, to, pkg string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", to, pkg)
	cmd.Dir = c.Root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("compile %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// A recipe is an image that is yet to be packed: a base, a process, and one
// layer with files.
type recipe struct {
	base   v1.Image
	config v1.Config
	files  []file
}

// file is a file of an image and where its content is.
type file struct{ name, from string }

// tag is derived from all that goes into the image. It takes no compression
// to tell it, unlike the image's digest.
func (r recipe) tag() (string, error) {
	sum := sha256.New()
	digest, err := r.base.Digest()
	if err != nil {
		return "", fmt.Errorf("read base image: %w", err)
	}
	if err := json.NewEncoder(sum).Encode([]any{digest.String(), r.config}); err != nil {
		return "", fmt.Errorf("hash image configuration: %w", err)
	}
	for _, f := range r.files {
		data, err := os.ReadFile(f.from)
		if err != nil {
			return "", fmt.Errorf("hash image: %w", err)
		}
		fmt.Fprintf(sum, "%s %x\n", f.name, sha256.Sum256(data))
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}

// provide makes sure that the registry has the image and returns the reference
// by which the cluster pulls it.
func (c *Cluster) provide(ctx context.Context, repository string, r recipe) (string, error) {
	tag, err := r.tag()
	if err != nil {
		return "", err
	}
	target := repository + ":" + tag
	ref, err := name.ParseReference(c.RegistryPush+"/"+target, name.Insecure)
	if err != nil {
		return "", fmt.Errorf("push %s: %w", repository, err)
	}
	if _, err := remote.Head(ref, remote.WithContext(ctx)); err == nil {
		return c.Registry + "/" + target, nil
	}
	img, err := r.pack()
	if err != nil {
		return "", err
	}
	if err := remote.Write(ref, img, remote.WithContext(ctx)); err != nil {
		return "", fmt.Errorf("push %s: %w", repository, err)
	}
	return c.Registry + "/" + target, nil
}

// pack adds one layer with the files, owned by root and executable, and
// replaces the configuration's process. The same recipe gives the same image.
func (r recipe) pack() (v1.Image, error) {
	var layerTar bytes.Buffer
	tw := tar.NewWriter(&layerTar)
	for _, f := range r.files {
		data, err := os.ReadFile(f.from)
		if err != nil {
			return nil, fmt.Errorf("pack image: %w", err)
		}
		header := &tar.Header{Name: f.name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(data))}
		if err := tw.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("pack image: %w", err)
		}
		if _, err := tw.Write(data); err != nil {
			return nil, fmt.Errorf("pack image: %w", err)
		}
	}
	if err := tw.Close(); err != nil {
		return nil, fmt.Errorf("pack image: %w", err)
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layerTar.Bytes())), nil }
	layer, err := tarball.LayerFromOpener(open, tarball.WithCompressionLevel(gzip.BestSpeed))
	if err != nil {
		return nil, fmt.Errorf("pack image: %w", err)
	}
	img, err := mutate.AppendLayers(r.base, layer)
	if err != nil {
		return nil, fmt.Errorf("pack image: %w", err)
	}
	current, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("pack image: %w", err)
	}
	current = current.DeepCopy()
	current.Config = r.config
	current.OS, current.Architecture = "linux", "amd64"
	if img, err = mutate.ConfigFile(img, current); err != nil {
		return nil, fmt.Errorf("pack image: %w", err)
	}
	return img, nil
}

// base reads an image of the local registry from this machine.
func (c *Cluster) base(ctx context.Context, repository string) (v1.Image, error) {
	ref, err := name.ParseReference(c.RegistryPush+"/"+repository, name.Insecure)
	if err != nil {
		return nil, fmt.Errorf("read base image: %w", err)
	}
	img, err := remote.Image(ref, remote.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("read base image: %w", err)
	}
	return img, nil
}
