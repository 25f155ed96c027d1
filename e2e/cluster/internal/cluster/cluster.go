// Package cluster brings the local test cluster up and takes it down: a kind
// cluster, two registries beside it, and, where the machine has none, a Docker
// engine below them.
//
// All state of the machine is in one directory with a lock: any checkout of
// the repository reuses or takes down what another one made. Up is idempotent
// and repairs what a crash left by making the cluster anew; Down leaves nothing
// but the cache.
//
// One process at a time works on the directory. The package sets DOCKER_HOST
// for its own process, because kind's library takes the engine from there.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
	kind "sigs.k8s.io/kind/pkg/cluster"

	"kiln/e2e/cluster/internal/cache"
	"kiln/e2e/cluster/internal/engine"
	"kiln/e2e/cluster/internal/parts"
	"kiln/e2e/cluster/internal/progress"
	"kiln/e2e/cluster/internal/registries"
	"kiln/e2e/cluster/internal/source"
)

// DefaultDir is the machine-wide state directory.
const DefaultDir = "/var/lib/kiln-cluster"

// DefaultName is the name of the cluster that tests use.
const DefaultName = "kiln"

// Config says which cluster is meant. All fields but Retain and Install are
// required.
type Config struct {
	// Dir is the state directory.
	Dir string
	// Name is the cluster's name; its registries are called <Name>-registry
	// and <Name>-registry-auth.
	Name string
	// Nodes is the number of nodes: one control plane that takes pods, and
	// workers beside it.
	Nodes int
	// NodeImage overrides the node image.
	NodeImage string
	// Install allows installing missing Debian packages.
	Install bool
	// Retain keeps the nodes of a cluster that failed to come up.
	Retain   bool
	Tree     source.Tree
	Progress *progress.Printer
}

// Cluster is one cluster of a machine. Its methods are meant for one goroutine.
type Cluster struct {
	Config
	own engine.Own
}

// New returns the cluster that a configuration means, whether it is there or
// not.
func New(c Config) *Cluster {
	return &Cluster{Config: c, own: engine.Own{Dir: filepath.Join(c.Dir, "engine"), Progress: c.Progress}}
}

// Kubeconfig is the path of the cluster's kubeconfig.
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.dir(), "kubeconfig") }

func (c *Cluster) dir() string { return filepath.Join(c.Dir, "clusters", c.Name) }

func (c *Cluster) work() string { return filepath.Join(c.Dir, "work") }

// controlPlane is the name that kind gives the first node.
func (c *Cluster) controlPlane() string { return c.Name + "-control-plane" }

func (c *Cluster) maker() parts.Maker {
	return parts.Maker{
		Tree: c.Tree, Progress: c.Progress,
		Store: cache.Store{Dir: filepath.Join(c.Dir, "cache")},
		Work:  c.work(),
	}
}

func (c *Cluster) provider() *kind.Provider {
	return kind.NewProvider(kind.ProviderWithDocker(), kind.ProviderWithLogger(progress.KindLogger{Printer: c.Progress}))
}

// open returns the registry without auth.
func (c *Cluster) open() registries.Registry {
	return registries.Registry{Name: c.Name + "-registry", Cluster: c.Name}
}

// guarded returns the registry with auth.
func (c *Cluster) guarded(user, password string) registries.Registry {
	return registries.Registry{Name: c.Name + "-registry-auth", Cluster: c.Name, User: user, Password: password}
}

// useEngine points this process at the engine that runs: ours before the
// machine's. It says whether there is one and whether it is ours.
func (c *Cluster) useEngine(ctx context.Context) (running, own bool) {
	if c.own.Running(ctx) {
		os.Setenv("DOCKER_HOST", c.own.Host()) //nolint:errcheck // the name is valid
		return true, true
	}
	return engine.Reachable(ctx, ""), false
}

// lock takes the machine-wide lock, waiting for whoever has it, and removes
// what a killed process was working on. The lock is released when the process
// ends, however it ends.
func (c *Cluster) lock(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("create state directory: %w; run as root, or set KILN_CLUSTER_DIR to a directory of yours", err)
	}
	file, err := os.OpenFile(filepath.Join(c.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	const interval = 100 * time.Millisecond
	for said := false; ; said = true {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			if err := os.RemoveAll(c.work()); err != nil {
				return nil, errors.Join(fmt.Errorf("remove an earlier build's files: %w", err), file.Close())
			}
			return func() { _ = file.Close() }, nil
		}
		if !said {
			c.Progress.Printf("waiting for another kiln-cluster to finish")
		}
		select {
		case <-ctx.Done():
			_ = file.Close()
			return nil, fmt.Errorf("wait for the lock: %w", ctx.Err())
		case <-time.After(interval): // a blocking flock cannot be interrupted
		}
	}
}

// architecture is that of this machine, which is the nodes' too.
const architecture = runtime.GOARCH
