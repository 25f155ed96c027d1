package cluster

import (
	"context"
	"errors"
	"os"

	"kiln/e2e/cluster/internal/debian"
)

// Parts makes what kiln's builds are compared with Docker's by, without
// starting anything, and describes it as environment variables.
func (c *Cluster) Parts(ctx context.Context) ([]Variable, error) {
	if os.Geteuid() != 0 || !debian.Here() {
		return nil, errors.New("the base images and BuildKit's own need root on Debian")
	}
	unlock, err := c.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := c.requireInstalled(ctx, append(debian.BuildPackages(), "runc")); err != nil {
		return nil, err
	}
	made, err := c.maker().Comparison(ctx)
	return []Variable{
		{"KILN_PART_BUSYBOX", made.Busybox},
		{"KILN_PART_DEBIAN", made.Debian},
		{"KILN_PART_KANIKO", made.Kaniko},
		{"KILN_PART_BUILDKITD", made.Buildkitd},
		{"KILN_PART_BUILDCTL", made.Buildctl},
	}, err
}
