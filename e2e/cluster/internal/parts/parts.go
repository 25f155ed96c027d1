// Package parts makes everything that a cluster is put together from: the
// programs, the root file systems, the node image and the images that the
// registry serves. Each part is made once and kept in the cache under the hash
// of its inputs; with a full cache nothing is compiled or downloaded.
package parts

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"kiln/e2e/cluster/internal/cache"
	"kiln/e2e/cluster/internal/command"
	"kiln/e2e/cluster/internal/debian"
	"kiln/e2e/cluster/internal/gobuild"
	"kiln/e2e/cluster/internal/image"
	"kiln/e2e/cluster/internal/nodeimage"
	"kiln/e2e/cluster/internal/progress"
	"kiln/e2e/cluster/internal/source"
)

// Layouts of parts that are made by this program itself, not by one of the
// hashed sources. Raise them when the code that makes the part changes.
const (
	nodeLayout     = "2"
	basesLayout    = "1"
	compilerLayout = "2"
)

// KanikoVersion is the release of the executor.
const KanikoVersion = "v1.25.16"

// Maker makes parts. Its methods may run beside each other for different
// parts.
type Maker struct {
	Tree     source.Tree
	Store    cache.Store
	Work     string // directory for what is being made; on the cache's file system
	Progress *progress.Printer
}

func (m Maker) builder() gobuild.Builder {
	return gobuild.Builder{Tree: m.Tree, Store: m.Store, Progress: m.Progress}
}

// Registry is the test registry's program.
func (m Maker) Registry(ctx context.Context) (string, error) {
	return m.builder().Build(ctx, gobuild.Program{
		Name: "registry", Module: "e2e/cluster", Package: "./registry", Inputs: []string{"registry/*.go"},
	})
}

// RuncFilter is the program in front of runc.
func (m Maker) RuncFilter(ctx context.Context) (string, error) {
	return m.builder().Build(ctx, gobuild.Program{
		Name: "runcfilter", Module: "e2e/cluster", Package: "./runcfilter",
		Inputs: []string{"runcfilter/*.go", "internal/runcspec/*.go"},
	})
}

// SharedFS is the program that gives the nodes a directory that they share.
func (m Maker) SharedFS(ctx context.Context) (string, error) {
	return m.builder().Build(ctx, gobuild.Program{
		Name: "sharedfs", Module: "e2e/cluster", Package: "./sharedfs", Inputs: []string{"sharedfs/*.go"},
	})
}

// Kaniko is the executor.
func (m Maker) Kaniko(ctx context.Context) (string, error) {
	return m.builder().Build(ctx, gobuild.Program{
		Name: "executor", Module: "e2e/kaniko", Package: "github.com/chainguard-dev/kaniko/cmd/executor",
		LDFlags: "-X github.com/chainguard-dev/kaniko/pkg/version.version=" + KanikoVersion,
		Hint:    "about 2 minutes on 2 cores the first time",
	})
}

// Kubernetes is the binary that is every Kubernetes program.
func (m Maker) Kubernetes(ctx context.Context) (string, error) {
	return m.builder().Build(ctx, kubernetes())
}

// KubernetesCached says whether the binary is there, and where.
func (m Maker) KubernetesCached(ctx context.Context) (string, bool) {
	if m.Tree.Root == "" || !m.builder().Cached(ctx, kubernetes()) {
		return "", false
	}
	path, err := m.Kubernetes(ctx)
	return path, err == nil
}

// kubernetes carries the version in two packages: without it the API server
// calls itself v0.0.0 and kubeadm refuses it.
func kubernetes() gobuild.Program {
	major, rest, _ := strings.Cut(strings.TrimPrefix(nodeimage.KubernetesVersion, "v"), ".")
	minor, _, _ := strings.Cut(rest, ".")
	var flags []string
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for _, value := range []string{
			"gitVersion=" + nodeimage.KubernetesVersion, "gitMajor=" + major, "gitMinor=" + minor, "gitTreeState=clean",
			"gitCommit=0000000000000000000000000000000000000000", "buildDate=2026-01-01T00:00:00Z",
		} {
			flags = append(flags, "-X "+pkg+"."+value)
		}
	}
	return gobuild.Program{
		Name: "kubernetes", Module: "e2e/nodeimage", Package: ".", Inputs: []string{"*.go"},
		LDFlags: strings.Join(flags, " "), Hint: "8 to 15 minutes on 2 cores the first time",
	}
}

func (m Maker) coreDNS(ctx context.Context) (string, error) {
	return m.builder().Build(ctx, gobuild.Program{
		Name: "coredns", Module: "e2e/nodeimage/coredns", Package: ".", Inputs: []string{"*.go"},
		Hint: "1 to 4 minutes on 2 cores the first time",
	})
}

func (m Maker) nodeProgram(ctx context.Context, name string) (string, error) {
	return m.builder().Build(ctx, gobuild.Program{
		Name: name, Module: "e2e/nodeimage", Package: "./" + name, Inputs: []string{name + "/*.go"},
	})
}

// Node is the file system of a node as a tar, for `docker import`, and the key
// of its inputs.
func (m Maker) Node(ctx context.Context) (file, key string, err error) {
	var p nodeimage.Parts
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		p.RootFS, err = m.rootFS(groupCtx, "node-rootfs", "custom", nodeimage.Packages(), nil)
		return err
	})
	group.Go(func() (err error) {
		p.KindFiles, err = m.kindFiles(groupCtx)
		return err
	})
	group.Go(func() error { return m.nodePrograms(groupCtx, &p) })
	if err := group.Wait(); err != nil {
		return "", "", err
	}
	if key, err = m.nodeKey(p); err != nil {
		return "", "", err
	}
	dir, err := m.Store.Get("node-image", key, func(dir string) error {
		end := m.Progress.During("making the node image", "about a minute", 20*time.Second)
		err := m.inScratch(func(work string) error {
			return nodeimage.Build(ctx, p, work, filepath.Join(dir, "node.tar"))
		})
		end(err)
		return err
	})
	return filepath.Join(dir, "node.tar"), key, err
}

// nodePrograms compiles one after the other: each uses all cores.
func (m Maker) nodePrograms(ctx context.Context, p *nodeimage.Parts) (err error) {
	if p.Kubernetes, err = m.Kubernetes(ctx); err != nil {
		return err
	}
	if p.CoreDNS, err = m.coreDNS(ctx); err != nil {
		return err
	}
	if p.Pause, err = m.nodeProgram(ctx, "pause"); err != nil {
		return err
	}
	p.NodeAgent, err = m.nodeProgram(ctx, "nodeagent")
	return err
}

// nodeKey uses the cache's own directory names, which are hashes already.
func (m Maker) nodeKey(p nodeimage.Parts) (string, error) {
	own, err := cache.FilesKey(m.Tree.Dir("e2e/cluster/internal/nodeimage"), "manifests/*.yaml")
	if err != nil {
		return "", err
	}
	entry := func(path string) string { return filepath.Base(filepath.Dir(path)) }
	return cache.Key(nodeLayout, own, entry(p.Kubernetes), entry(p.CoreDNS), entry(p.Pause),
		entry(p.NodeAgent), entry(p.RootFS), filepath.Base(filepath.Dir(filepath.Dir(filepath.Dir(p.KindFiles))))), nil
}

// kindFiles is the directory of node files in kind's module.
func (m Maker) kindFiles(ctx context.Context) (string, error) {
	var out strings.Builder
	err := command.Run(ctx, command.Options{Dir: m.Tree.Dir("e2e/cluster"), Env: []string{"GOWORK=off"}, Stdout: &out},
		"go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kind")
	if err != nil {
		return "", fmt.Errorf("find kind's module: %w", err)
	}
	return filepath.Join(strings.TrimSpace(out.String()), "images", "base", "files"), nil
}

// rootFS is a Debian root file system as a tar, without the entries that drop
// names.
func (m Maker) rootFS(ctx context.Context, name, variant string, packages []string, drop func(string, bool) bool) (string, error) {
	key := cache.Key(debian.Release, runtime.GOARCH, variant, strings.Join(packages, ","), layout(name))
	dir, err := m.Store.Get(name, key, func(dir string) error {
		end := m.Progress.During("making "+name+" from Debian packages", "10 seconds to 2 minutes", 20*time.Second)
		err := m.bootstrap(ctx, variant, packages, drop, filepath.Join(dir, "rootfs.tar"))
		end(err)
		return err
	})
	return filepath.Join(dir, "rootfs.tar"), err
}

// layout is the version of the code that makes a root file system.
func layout(name string) string {
	if name == compilerRootFS {
		return compilerLayout
	}
	return basesLayout
}

func (m Maker) bootstrap(ctx context.Context, variant string, packages []string, drop func(string, bool) bool, out string) error {
	return m.inScratch(func(work string) error {
		if drop == nil {
			return debian.Bootstrap(ctx, variant, packages, work, out)
		}
		whole := filepath.Join(work, "whole.tar")
		if err := debian.Bootstrap(ctx, variant, packages, work, whole); err != nil {
			return err
		}
		return image.FilterFile(out, whole, drop)
	})
}

// inScratch runs f with an empty directory that is gone afterwards.
func (m Maker) inScratch(f func(work string) error) error {
	if err := os.MkdirAll(m.Work, 0o755); err != nil {
		return fmt.Errorf("create work directory: %w", err)
	}
	work, err := os.MkdirTemp(m.Work, "making-")
	if err != nil {
		return fmt.Errorf("create work directory: %w", err)
	}
	defer os.RemoveAll(work)
	if err := os.Chmod(work, 0o755); err != nil { // package scripts run as other users too
		return fmt.Errorf("create work directory: %w", err)
	}
	return f(work)
}
