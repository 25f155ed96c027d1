package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"

	"sigs.k8s.io/kind/pkg/cluster/nodeutils"

	"kiln/e2e/cluster/internal/parts"
	"kiln/e2e/cluster/internal/registries"
)

// Load gives an image archive, as `docker save` writes it, to every node, so
// that pods with imagePullPolicy IfNotPresent or Never find it.
func (c *Cluster) Load(ctx context.Context, archive string) error {
	if running, _ := c.useEngine(ctx); !running {
		return fmt.Errorf("cluster %s is not running: no Docker engine is", c.Name)
	}
	nodes, err := c.provider().ListInternalNodes(c.Name)
	if err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	if len(nodes) == 0 {
		return fmt.Errorf("cluster %s is not running: start it with up", c.Name)
	}
	var errs []error
	for _, node := range nodes {
		file, err := os.Open(archive)
		if err != nil {
			return fmt.Errorf("open image archive: %w", err)
		}
		if err := nodeutils.LoadImageArchive(node, file); err != nil {
			errs = append(errs, fmt.Errorf("load %s into %s: %w", archive, node, err))
		}
		_ = file.Close() // it was only read
	}
	return errors.Join(errs...)
}

// Push writes an image archive with one image to the registry without auth,
// as repository:tag, and returns the name that pods know it by.
func (c *Cluster) Push(ctx context.Context, archive, repository string) (string, error) {
	state, err := c.loadState()
	if err != nil {
		return "", fmt.Errorf("cluster %s is not running: %w", c.Name, err)
	}
	img, err := parts.Base{Archive: archive}.Image()
	if err != nil {
		return "", err
	}
	if err := registries.Push(ctx, state.Push, repository, img); err != nil {
		return "", err
	}
	return c.open().Address() + "/" + repository, nil
}
