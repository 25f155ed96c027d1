package cluster

import (
	"context"

	"golang.org/x/sync/errgroup"

	"kiln/e2e/cluster/internal/parts"
)

// made is everything that is there before an engine is needed.
type made struct {
	nodeTar, nodeKey         string // with plan.buildNode
	registryTar, registryKey string
	runcFilter               string // with plan.startEngine
	sharedFS                 string // of a cluster of several nodes
	bases                    []parts.Base
}

// Prepare makes all parts, without starting anything.
func (c *Cluster) Prepare(ctx context.Context) error {
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	running, _ := c.useEngine(ctx)
	p, err := c.require(ctx, running)
	if err != nil {
		return err
	}
	_, err = c.make(ctx, p)
	return err
}

// make runs two lines of work: compiling, which needs the processors, and the
// root file systems, which wait for the network.
func (c *Cluster) make(ctx context.Context, p plan) (made, error) {
	var m made
	maker := c.maker()
	var kaniko parts.Base
	var bases []parts.Base
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		if p.startEngine {
			if m.runcFilter, err = maker.RuncFilter(ctx); err != nil {
				return err
			}
		}
		if c.store() != "" {
			if m.sharedFS, err = maker.SharedFS(ctx); err != nil {
				return err
			}
		}
		if m.registryTar, m.registryKey, err = maker.RegistryImage(ctx); err != nil {
			return err
		}
		if p.buildNode {
			if m.nodeTar, m.nodeKey, err = maker.Node(ctx); err != nil {
				return err
			}
		}
		kaniko, err = maker.KanikoImage(ctx)
		return err
	})
	group.Go(func() (err error) {
		bases = parts.Origins()
		if p.buildBases {
			bases, err = maker.Bases(ctx)
		}
		return err
	})
	err := group.Wait()
	m.bases = append(bases, kaniko)
	return m, err
}
