package parts

import (
	"context"
	"path/filepath"

	"kiln/e2e/cluster/internal/gobuild"
)

// Comparison is what kiln's builds are compared with Docker's by: image
// archives and programs, by their paths.
type Comparison struct {
	Busybox, Debian, Kaniko string
	Buildkitd, Buildctl     string
}

// Comparison makes them, one after the other.
func (m Maker) Comparison(ctx context.Context) (c Comparison, err error) {
	busybox, err := m.busybox(ctx)
	if err != nil {
		return c, err
	}
	for _, part := range []struct {
		archive *string
		make    func() (Base, error)
	}{
		{&c.Busybox, func() (Base, error) { return m.busyboxImage(ctx, busybox) }},
		{&c.Debian, func() (Base, error) { return m.debianImage(ctx) }},
		{&c.Kaniko, func() (Base, error) { return m.KanikoImage(ctx) }},
	} {
		base, err := part.make()
		if err != nil {
			return c, err
		}
		*part.archive = base.Archive
	}
	if c.Buildkitd, err = m.buildKit(ctx, "buildkitd"); err != nil {
		return c, err
	}
	c.Buildctl, err = m.buildKit(ctx, "buildctl")
	return c, err
}

// buildKit is one of BuildKit's programs.
func (m Maker) buildKit(ctx context.Context, name string) (string, error) {
	module := filepath.Join("e2e", "parity", "buildkit")
	return m.builder().Build(ctx, gobuild.Program{
		Name: name, Module: module, Package: "github.com/moby/buildkit/cmd/" + name,
		Hint: "up to 2 minutes on 2 cores the first time",
	})
}
