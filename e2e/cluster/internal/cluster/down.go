package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"kiln/e2e/cluster/internal/command"
	"kiln/e2e/cluster/internal/registries"
)

// Down removes the cluster, its registries and, when no other cluster is on
// it, the engine that was started for it. What was built stays in the cache. A
// cluster that is not there is no error; whatever a crash left of it is
// removed.
func (c *Cluster) Down(ctx context.Context) error {
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	running, own := c.useEngine(ctx)
	if running {
		if err := c.remove(ctx); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(c.dir()); err != nil {
		return fmt.Errorf("remove cluster directory: %w", err)
	}
	switch {
	case !running:
		return c.own.Sweep(ctx) // what an engine of ours that was killed left
	case !own:
		return errors.Join(registries.RemoveNetwork(ctx), c.own.Sweep(ctx))
	default:
		return c.stopUnused(ctx)
	}
}

// remove removes the containers of this cluster from the engine.
func (c *Cluster) remove(ctx context.Context) error {
	if err := os.RemoveAll(c.statePath()); err != nil {
		return fmt.Errorf("remove cluster state: %w", err)
	}
	err := errors.Join(
		registries.Remove(ctx, c.open().Name),
		registries.Remove(ctx, c.guarded("", "").Name),
	)
	if deleteErr := c.provider().Delete(c.Name, c.Kubeconfig()); deleteErr != nil {
		err = errors.Join(err, fmt.Errorf("delete kind cluster %s: %w", c.Name, deleteErr))
	}
	return err
}

// stopUnused stops our engine unless a container of another cluster is on it.
func (c *Cluster) stopUnused(ctx context.Context) error {
	out, err := command.Output(ctx, "docker", "ps", "--all", "--format", "{{.Names}}")
	if err != nil {
		return err
	}
	if out != "" {
		c.Progress.Printf("leaving the Docker engine running for %s", strings.Join(strings.Fields(out), ", "))
		return nil
	}
	return c.stopEngine(ctx)
}

// stopEngine ends our engine. The network goes first, while the engine can
// still take its rules out of the packet filter.
func (c *Cluster) stopEngine(ctx context.Context) error {
	end := c.Progress.During("stopping the Docker engine", "", 20*time.Second)
	err := errors.Join(registries.RemoveNetwork(ctx), c.own.Stop(ctx))
	end(err)
	return err
}
