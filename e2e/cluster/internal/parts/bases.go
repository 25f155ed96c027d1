package parts

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/sync/errgroup"

	"kiln/e2e/cluster/internal/cache"
	"kiln/e2e/cluster/internal/debian"
	"kiln/e2e/cluster/internal/image"
)

// certificates is where Debian keeps the public certificate authorities.
const certificates = "/etc/ssl/certs/ca-certificates.crt"

// compilerRootFS names the compiler's files in the cache.
const compilerRootFS = "gcc-rootfs"

// Base is an image that the cluster's registry serves.
type Base struct {
	// Tags are its names in the registry, as repository:tag.
	Tags []string
	// Archive is a docker archive with the image.
	Archive string
	// Origin is where a machine with a registry in reach takes it from instead,
	// "" for an image that is always made here.
	Origin string
}

// Image reads the archive.
func (b Base) Image() (v1.Image, error) {
	img, err := tarball.ImageFromPath(b.Archive, nil)
	if err != nil {
		return nil, fmt.Errorf("read image archive %s: %w", b.Archive, err)
	}
	return img, nil
}

// RegistryImage is the test registry's own image.
func (m Maker) RegistryImage(ctx context.Context) (archive, key string, err error) {
	program, err := m.Registry(ctx)
	if err != nil {
		return "", "", err
	}
	key = filepath.Base(filepath.Dir(program))
	archive, err = m.archive("registry-image", key, func(work string) (v1.Image, error) {
		return image.Registry(program, runtime.GOARCH, filepath.Join(work, "layer.tar"))
	})
	return archive, key, err
}

// KanikoImage is the executor's image.
func (m Maker) KanikoImage(ctx context.Context) (Base, error) {
	program, err := m.Kaniko(ctx)
	if err != nil {
		return Base{}, err
	}
	key := filepath.Base(filepath.Dir(program))
	archive, err := m.archive("kaniko-image", key, func(work string) (v1.Image, error) {
		return image.Kaniko(program, certificates, runtime.GOARCH, filepath.Join(work, "layer.tar"))
	})
	return Base{Tags: []string{"kaniko/executor:" + KanikoVersion}, Archive: archive}, err
}

// Origins are the bases as a registry in reach serves them, for machines that
// cannot make Debian root file systems.
func Origins() []Base {
	hub := func(names ...string) (bases []Base) {
		for _, n := range names {
			bases = append(bases, Base{Tags: []string{"library/" + n}, Origin: "docker.io/library/" + n})
		}
		return bases
	}
	return hub("busybox:latest", "debian:bookworm", "debian:bookworm-slim", "gcc:12")
}

// Bases makes the images that Dockerfiles start from, from Debian packages.
func (m Maker) Bases(ctx context.Context) ([]Base, error) {
	busybox, err := m.busybox(ctx)
	if err != nil {
		return nil, err
	}
	bases := make([]Base, 3)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		bases[0], err = m.busyboxImage(ctx, busybox)
		return err
	})
	group.Go(func() (err error) {
		bases[1], err = m.debianImage(ctx)
		return err
	})
	group.Go(func() (err error) {
		bases[2], err = m.compilerImage(ctx, busybox)
		return err
	})
	return bases, group.Wait()
}

// busybox is Debian's static busybox, taken from its package.
func (m Maker) busybox(ctx context.Context) (string, error) {
	rootfs, err := m.rootFS(ctx, "busybox-rootfs", "extract", []string{"busybox-static"}, nil)
	if err != nil {
		return "", err
	}
	dir, err := m.Store.Get("busybox", filepath.Base(filepath.Dir(rootfs)), func(dir string) error {
		return image.ExtractFile(rootfs, "bin/busybox", filepath.Join(dir, "busybox"))
	})
	return filepath.Join(dir, "busybox"), err
}

func (m Maker) busyboxImage(ctx context.Context, busybox string) (Base, error) {
	archive, err := m.archive("busybox-image", m.baseKey(busybox), func(work string) (v1.Image, error) {
		return image.Busybox(ctx, busybox, runtime.GOARCH, filepath.Join(work, "layer.tar"))
	})
	return Base{Tags: []string{"library/busybox:latest", "library/busybox:stable"}, Archive: archive}, err
}

func (m Maker) debianImage(ctx context.Context) (Base, error) {
	rootfs, err := m.rootFS(ctx, "debian-rootfs", "minbase", nil,
		image.Below([]string{"usr/share/doc", "usr/share/man", "usr/share/locale", "var/lib/apt/lists", "var/cache/apt", "dev"}, "copyright"))
	if err != nil {
		return Base{}, err
	}
	archive, err := m.archive("debian-image", m.baseKey(rootfs), func(string) (v1.Image, error) {
		return image.Debian(rootfs, runtime.GOARCH)
	})
	return Base{Tags: []string{"library/debian:" + debian.Release, "library/debian:" + debian.Release + "-slim"}, Archive: archive}, err
}

func (m Maker) compilerImage(ctx context.Context, busybox string) (Base, error) {
	rootfs, err := m.rootFS(ctx, compilerRootFS, "extract", []string{"gcc", "libc6-dev"}, image.CompilerExcess)
	if err != nil {
		return Base{}, err
	}
	archive, err := m.archive("gcc-image", m.baseKey(rootfs)+m.baseKey(busybox), func(work string) (v1.Image, error) {
		return image.Compiler(ctx, rootfs, busybox, runtime.GOARCH, filepath.Join(work, "layer.tar"))
	})
	return Base{Tags: []string{"library/gcc:12", "library/gcc:latest"}, Archive: archive}, err
}

// baseKey is the key of the cache entry that a file is in.
func (m Maker) baseKey(path string) string {
	return cache.Key(basesLayout, filepath.Base(filepath.Dir(path)))
}

// archive keeps an image as a docker archive.
func (m Maker) archive(entry, key string, build func(work string) (v1.Image, error)) (string, error) {
	dir, err := m.Store.Get(entry, key, func(dir string) error {
		return m.inScratch(func(work string) error {
			img, err := build(work)
			if err != nil {
				return err
			}
			ref, err := name.NewTag("kiln.build/" + entry + ":local")
			if err != nil {
				return err
			}
			return tarball.WriteToFile(filepath.Join(dir, "image.tar"), ref, img)
		})
	})
	return filepath.Join(dir, "image.tar"), err
}
