package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"
	kind "sigs.k8s.io/kind/pkg/cluster"
	"sigs.k8s.io/kind/pkg/cluster/nodeutils"

	"kiln/e2e/cluster/internal/command"
	"kiln/e2e/cluster/internal/kube"
	"kiln/e2e/cluster/internal/nodeimage"
	"kiln/e2e/cluster/internal/parts"
	"kiln/e2e/cluster/internal/registries"
)

// Up makes sure that the cluster runs. It returns false when it found it
// running, true when it started it. A cluster that is there but does not
// answer is made anew. When Up fails, what it started is gone again.
func (c *Cluster) Up(ctx context.Context) (started bool, err error) {
	unlock, err := c.lock(ctx)
	if err != nil {
		return false, err
	}
	defer unlock()
	if c.Check(ctx) == nil {
		return false, nil
	}
	running, _ := c.useEngine(ctx)
	p, err := c.require(ctx, running)
	if err != nil {
		return false, err
	}
	m, err := c.make(ctx, p)
	if err != nil {
		return false, err
	}
	if p.startEngine {
		if err := c.startEngine(ctx, m.runcFilter); err != nil {
			return false, errors.Join(err, c.abandonEngine())
		}
	}
	if err := c.create(ctx, p, m); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("interrupted: %w", err)
		}
		return false, errors.Join(err, c.undo(p))
	}
	return true, nil
}

// undo removes a cluster that did not come up.
func (c *Cluster) undo(p plan) error {
	if c.Retain {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute) // the caller's may have ended
	defer cancel()
	err := c.remove(ctx)
	if p.startEngine {
		err = errors.Join(err, c.stopEngine(ctx))
	}
	return err
}

// abandonEngine ends an engine of ours that did not come up.
func (c *Cluster) abandonEngine() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // the caller's may have ended
	defer cancel()
	return c.own.Stop(ctx)
}

func (c *Cluster) startEngine(ctx context.Context, filter string) error {
	end := c.Progress.During("starting a Docker engine in "+c.own.Dir, "", 20*time.Second)
	err := c.own.Start(ctx, filter)
	end(err)
	if err != nil {
		return err
	}
	if running, own := c.useEngine(ctx); !running || !own {
		return errors.New("the Docker engine stopped answering right after it started")
	}
	return c.removeStrangers(ctx)
}

// removeStrangers removes the containers that an engine which was killed
// remembers: nothing of them runs any more.
func (c *Cluster) removeStrangers(ctx context.Context) error {
	out, err := command.Output(ctx, "docker", "ps", "--all", "--quiet")
	if err != nil || out == "" {
		return err
	}
	args := append([]string{"rm", "--force", "--volumes"}, strings.Fields(out)...)
	return command.Run(ctx, command.Options{}, "docker", args...)
}

// create makes the cluster on a running engine.
func (c *Cluster) create(ctx context.Context, p plan, m made) error {
	if err := c.remove(ctx); err != nil {
		return err
	}
	if err := os.MkdirAll(c.dir(), 0o755); err != nil {
		return fmt.Errorf("create cluster directory: %w", err)
	}
	if err := c.makeStore(); err != nil {
		return err
	}
	state := State{User: "kiln", Password: newPassword(), Reader: "kiln@%s"}
	if c.store() != "" {
		state.Shared = sharedPath
	}
	image, err := c.importNode(ctx, p, m)
	if err != nil {
		return err
	}
	if err := c.startRegistries(ctx, m, &state); err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.fill(groupCtx, m.bases, state.Push) })
	group.Go(func() error { return c.createNodes(image) })
	if err := group.Wait(); err != nil {
		return err
	}
	if err := c.configureNodes(); err != nil {
		return err
	}
	if err := c.share(ctx, m.sharedFS); err != nil {
		return err
	}
	if err := c.awaitReady(ctx); err != nil {
		return err
	}
	return c.saveState(state)
}

// importNode makes sure that the engine has the node image.
func (c *Cluster) importNode(ctx context.Context, p plan, m made) (string, error) {
	if !p.buildNode {
		return p.nodeImage, nil
	}
	tag := "kiln-cluster/node:" + m.nodeKey
	if _, err := command.Output(ctx, "docker", "image", "inspect", "--format", "{{.Id}}", tag); err == nil {
		return tag, nil
	}
	end := c.Progress.During("importing the node image", "15 to 30 seconds", 20*time.Second)
	args := append([]string{"import"}, nodeimage.Changes()...)
	err := command.Run(ctx, command.Options{}, "docker", append(args, m.nodeTar, tag)...)
	end(err)
	return tag, err
}

func (c *Cluster) startRegistries(ctx context.Context, m made, state *State) error {
	tag := "kiln-cluster/registry:" + m.registryKey
	if _, err := command.Output(ctx, "docker", "image", "inspect", "--format", "{{.Id}}", tag); err != nil {
		img, err := parts.Base{Archive: m.registryTar}.Image()
		if err != nil {
			return err
		}
		scratch, err := os.MkdirTemp("", "kiln-cluster-")
		if err != nil {
			return fmt.Errorf("create work directory: %w", err)
		}
		defer os.RemoveAll(scratch)
		if err := registries.Load(ctx, img, tag, scratch); err != nil {
			return err
		}
	}
	if err := registries.EnsureNetwork(ctx); err != nil {
		return err
	}
	for registry, address := range map[registries.Registry]*string{
		c.open(): &state.Push, c.guarded(state.User, state.Password): &state.AuthPush,
	} {
		if err := registry.Start(ctx, tag); err != nil {
			return err
		}
		published, err := registry.Published(ctx)
		if err != nil {
			return err
		}
		if err := registries.Await(ctx, published); err != nil {
			return err
		}
		*address = published
	}
	return nil
}

// fill puts the base images and Kaniko into the registry without auth.
func (c *Cluster) fill(ctx context.Context, bases []parts.Base, address string) (err error) {
	end := c.Progress.During("filling the registry", "", 20*time.Second)
	defer func() { end(err) }()
	for _, base := range bases {
		for _, tag := range base.Tags {
			if err := c.put(ctx, base, address, tag); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Cluster) put(ctx context.Context, base parts.Base, address, tag string) error {
	if base.Origin != "" {
		return registries.Copy(ctx, base.Origin, address, tag, v1.Platform{OS: "linux", Architecture: architecture})
	}
	img, err := base.Image()
	if err != nil {
		return err
	}
	return registries.Push(ctx, address, tag, img)
}

// createNodes makes the kind cluster, and returns when its nodes are ready.
// kind's library panics when a node stops answering while it waits for it,
// which an interrupt does; that must not keep Up from removing what it made.
func (c *Cluster) createNodes(image string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("create kind cluster %s: kind gave up: %v", c.Name, r)
		}
	}()
	err = c.provider().Create(c.Name,
		kind.CreateWithRawConfig([]byte(kindConfig(c.Nodes, c.store()))),
		kind.CreateWithNodeImage(image),
		kind.CreateWithKubeconfigPath(c.Kubeconfig()),
		kind.CreateWithWaitForReady(3*time.Minute),
		kind.CreateWithRetain(c.Retain),
		kind.CreateWithDisplayUsage(false),
		kind.CreateWithDisplaySalutation(false),
	)
	if err != nil {
		return fmt.Errorf("create kind cluster %s: %w", c.Name, err)
	}
	return nil
}

// kindConfig is kind's configuration
// (https://kind.sigs.k8s.io/docs/user/configuration/). etcd does not wait for
// the disk: nothing in it outlives the containers. Its arguments are a map in
// one version of kubeadm's configuration and a list in the next, and a patch
// counts only for the version that it names. The last patch makes containerd
// read the registries' hosts.toml files; newer node images do so by themselves.
// Every node has the directory store, unless it is "".
func kindConfig(nodes int, store string) string {
	mounts := ""
	if store != "" {
		mounts = fmt.Sprintf("  extraMounts: [{hostPath: %q, containerPath: %s}]\n", store, storePath)
	}
	workers := strings.Repeat("- role: worker\n"+mounts, max(nodes-1, 0))
	return `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
` + mounts + workers + `kubeadmConfigPatches:
- |
  kind: ClusterConfiguration
  apiVersion: kubeadm.k8s.io/v1beta3
  etcd: {local: {extraArgs: {unsafe-no-fsync: "true"}}}
- |
  kind: ClusterConfiguration
  apiVersion: kubeadm.k8s.io/v1beta4
  etcd: {local: {extraArgs: [{name: unsafe-no-fsync, value: "true"}]}}
containerdConfigPatches:
- |-
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/containerd/certs.d"
`
}

// configureNodes tells every node's containerd about the registries.
func (c *Cluster) configureNodes() error {
	nodes, err := c.provider().ListInternalNodes(c.Name)
	if err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	for _, node := range nodes {
		for host, text := range c.hosts() {
			path := filepath.Join("/etc/containerd/certs.d", host, "hosts.toml")
			if err := nodeutils.WriteFile(node, path, text); err != nil {
				return fmt.Errorf("configure containerd on %s: %w", node, err)
			}
		}
	}
	return nil
}

func (c *Cluster) awaitReady(ctx context.Context) (err error) {
	end := c.Progress.During("waiting for cluster DNS and storage", "", 20*time.Second)
	defer func() { end(err) }()
	client, err := kube.FromFile(c.Kubeconfig())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	return client.AwaitReady(ctx)
}
