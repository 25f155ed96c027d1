package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"kiln/e2e/cluster/internal/command"
	"kiln/e2e/cluster/internal/kube"
	"kiln/e2e/cluster/internal/parts"
	"kiln/e2e/cluster/internal/registries"
)

// How long Check waits for a cluster whose node runs, for one answer of it, and
// between two questions.
const (
	checkLimit    = 3 * time.Minute
	answerLimit   = 30 * time.Second
	checkInterval = 250 * time.Millisecond
)

// Check returns nil when the cluster and its registries are up and answer. One
// that lacks a part is refused at once. One that has all and does not answer as
// it should, but whose node runs, may be slow and is waited for: an API server
// on a busy machine takes more than a moment.
func (c *Cluster) Check(ctx context.Context) error {
	if err := c.whole(ctx); err != nil {
		return err
	}
	client, err := kube.FromFile(c.Kubeconfig())
	if err != nil {
		return err
	}
	return c.await(ctx, client.Ready, c.nodeRuns)
}

// whole returns nil when the engine, the registries and what is in them are
// there.
func (c *Cluster) whole(ctx context.Context) error {
	if running, _ := c.useEngine(ctx); !running {
		return fmt.Errorf("cluster %s is not running: no Docker engine is", c.Name)
	}
	state, err := c.loadState()
	if err != nil {
		return fmt.Errorf("cluster %s is not running: %w", c.Name, err)
	}
	running, err := registries.Running(ctx, c.Name)
	if err != nil {
		return err
	}
	if len(running) < 2 {
		return fmt.Errorf("cluster %s is broken: only %d of its 2 registries run", c.Name, len(running))
	}
	if !registries.Has(ctx, state.Push, "kaniko/executor:"+parts.KanikoVersion) {
		return fmt.Errorf("cluster %s is broken: its registry has lost the Kaniko image", c.Name)
	}
	return nil
}

// await asks until the answer is nil, for as long as the node runs, but no
// longer than checkLimit. It returns the last answer, and says on the way that
// it waits and for what.
func (c *Cluster) await(ctx context.Context, ask func(context.Context) error, runs func(context.Context) bool) error {
	err := once(ctx, ask)
	if err == nil {
		return nil
	}
	if !runs(ctx) {
		return fmt.Errorf("cluster %s is broken: its node does not run: %w", c.Name, err)
	}
	end := c.Progress.During(fmt.Sprintf("waiting for cluster %s, whose node runs: %v", c.Name, err), "", 20*time.Second)
	defer func() { end(err) }()
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("cluster %s is broken, though its node runs: %w", c.Name, err)
		case <-time.After(checkInterval):
		}
		if err = once(ctx, ask); err == nil {
			return nil
		}
		if !runs(ctx) && ctx.Err() == nil {
			return fmt.Errorf("cluster %s is broken: its node ended: %w", c.Name, err)
		}
	}
}

// once asks, and takes no answer within answerLimit for an answer.
func once(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	return ask(ctx)
}

// nodeRuns says whether the container of the first node runs. The label is
// kind's (pkg/cluster/internal/providers/docker/constants.go of v0.33.0).
func (c *Cluster) nodeRuns(ctx context.Context) bool {
	out, err := command.Output(ctx, "docker", "ps", "--filter", "label=io.x-k8s.kind.cluster="+c.Name,
		"--filter", "status=running", "--format", "{{.Names}}")
	return err == nil && slices.Contains(strings.Fields(out), c.controlPlane())
}
