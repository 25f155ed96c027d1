package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"sigs.k8s.io/kind/pkg/cluster/nodes"
	"sigs.k8s.io/kind/pkg/cluster/nodeutils"

	"kiln/e2e/cluster/internal/command"
)

// Paths in each node of a cluster of several.
const (
	sharedPath  = "/var/lib/kiln-shared"       // the directory that all nodes share
	storePath   = "/var/lib/kiln-shared-store" // where its files are, on this machine
	sharedfsBin = "/usr/local/bin/sharedfs"
)

// store is the directory of this machine that all nodes have at storePath; "" where the
// cluster has one node.
func (c *Cluster) store() string {
	if c.Nodes < 2 {
		return ""
	}
	return filepath.Join(c.dir(), "shared")
}

// makeStore makes that directory anew.
func (c *Cluster) makeStore() error {
	store := c.store()
	if store == "" {
		return nil
	}
	if err := errors.Join(os.RemoveAll(store), os.Mkdir(store, 0o755)); err != nil {
		return fmt.Errorf("create the directory that nodes share: %w", err)
	}
	return nil
}

// share gives all nodes the shared directory, each by a mount of its own.
func (c *Cluster) share(ctx context.Context, program string) error {
	if c.store() == "" {
		return nil
	}
	binary, err := os.ReadFile(program)
	if err != nil {
		return fmt.Errorf("share a directory: %w", err)
	}
	list, err := c.provider().ListInternalNodes(c.Name)
	if err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	for _, node := range list {
		if err := mountShared(ctx, node, string(binary)); err != nil {
			return fmt.Errorf("share a directory with %s: %w", node, err)
		}
	}
	return nil
}

// mountShared starts the program in the node, and returns when the mount is there.
func mountShared(ctx context.Context, node nodes.Node, binary string) error {
	if err := nodeutils.WriteFile(node, sharedfsBin, binary); err != nil {
		return err
	}
	if err := node.CommandContext(ctx, "chmod", "755", sharedfsBin).Run(); err != nil {
		return err
	}
	if err := node.CommandContext(ctx, "mkdir", "-p", sharedPath).Run(); err != nil {
		return err
	}
	err := command.Run(ctx, command.Options{}, "docker", "exec", "--detach", node.String(), sharedfsBin, storePath, sharedPath)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		err := node.CommandContext(ctx, "mountpoint", "-q", sharedPath).Run()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not mounted: does the machine have FUSE? %w", sharedPath, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
