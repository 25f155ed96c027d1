package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"sigs.k8s.io/kind/pkg/apis/config/defaults"

	"kiln/e2e/cluster/internal/debian"
)

// plan is how this machine gets its cluster.
type plan struct {
	// startEngine: no engine is running, one of ours is started.
	startEngine bool
	// buildNode: no node image can be pulled, one is made here.
	buildNode bool
	// nodeImage is the image to pull when buildNode is false.
	nodeImage string
	// buildBases: no registry is in reach, and its base images are made from
	// Debian packages; else they are copied from Docker Hub.
	buildBases bool
}

// machine is what decides about a plan.
type machine struct {
	engine, reach, root, debian bool
	// cgroupV1: kubelets from 1.35 on, which kind's own image has, refuse it.
	cgroupV1  bool
	nodeImage string // the override
}

// decide makes the plan, or says in one line what is missing.
func decide(m machine) (plan, error) {
	canBuild := m.root && m.debian
	p := plan{startEngine: !m.engine, nodeImage: m.nodeImage, buildBases: canBuild && !m.reach}
	if p.nodeImage == "" && m.reach && !m.cgroupV1 {
		p.nodeImage = defaults.Image
	}
	p.buildNode = p.nodeImage == ""
	switch {
	case p.startEngine && !m.root:
		return p, errors.New("no Docker engine is running and this is not root: start Docker, set DOCKER_HOST, or run as root on Debian")
	case p.startEngine && !m.debian:
		return p, errors.New("no Docker engine is running and this is not Debian, where one could be started: start Docker or set DOCKER_HOST")
	case p.buildNode && !canBuild && m.cgroupV1:
		return p, errors.New("this machine has cgroup v1, which kind's own node image refuses, and another can be made as root on Debian only: set KILN_KIND_NODE_IMAGE to one with Kubernetes 1.34 or earlier")
	case p.buildNode && !canBuild:
		return p, errors.New("no container registry is in reach and the node image can be made as root on Debian only: connect to the internet, or set KILN_KIND_NODE_IMAGE to a node image that the Docker engine has")
	case !p.buildBases && !m.reach:
		return p, errors.New("no container registry is in reach and the base images can be made as root on Debian only: connect to the internet, or run as root on Debian")
	}
	return p, nil
}

// require looks at the machine, makes the plan and installs packages when
// that is allowed.
func (c *Cluster) require(ctx context.Context, engineRunning bool) (plan, error) {
	if _, err := exec.LookPath("go"); err != nil {
		return plan{}, errors.New("the Go toolchain is not in PATH: install the version that go.mod names (https://go.dev/dl/)")
	}
	p, err := decide(machine{
		engine: engineRunning, reach: registryInReach(ctx),
		root: os.Geteuid() == 0, debian: debian.Here(), nodeImage: c.NodeImage,
		cgroupV1: cgroupV1(),
	})
	if err != nil {
		return p, err
	}
	if p.startEngine {
		if err := c.own.CheckLength(); err != nil {
			return p, err
		}
	}
	if err := c.requirePackages(ctx, p); err != nil {
		return p, err
	}
	return p, c.requireDisk(p)
}

func (c *Cluster) requirePackages(ctx context.Context, p plan) error {
	var packages []string
	if p.startEngine {
		packages = append(packages, debian.EnginePackages()...)
	}
	if p.buildNode || p.buildBases {
		packages = append(packages, debian.BuildPackages()...)
	}
	return c.requireInstalled(ctx, packages)
}

// requireInstalled installs what is missing of a list, where that is allowed.
func (c *Cluster) requireInstalled(ctx context.Context, packages []string) error {
	missing := debian.Missing(ctx, packages)
	if len(packages) == 0 || len(missing) == 0 {
		return nil
	}
	list := strings.Join(missing, " ")
	if !c.Install {
		return fmt.Errorf("missing Debian packages: %s: install them, or run with --install", list)
	}
	log, err := os.Create(filepath.Join(c.Dir, "apt.log"))
	if err != nil {
		return fmt.Errorf("create log: %w", err)
	}
	defer log.Close()
	end := c.Progress.During("installing Debian packages: "+list, "", 20*time.Second)
	err = debian.Install(ctx, log, missing)
	end(err)
	return err
}

// requireDisk checks the space for what is still to be made.
func (c *Cluster) requireDisk(p plan) error {
	const gigabyte = 1 << 30
	need := uint64(3 * gigabyte)
	if images, err := os.ReadDir(filepath.Join(c.Dir, "cache", "node-image")); p.buildNode && (err != nil || len(images) == 0) {
		need = 10 * gigabyte
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(c.Dir, &disk); err != nil {
		return fmt.Errorf("check disk space: %w", err)
	}
	if free := disk.Bavail * uint64(disk.Bsize); free < need { //nolint:gosec // a block size is positive
		return fmt.Errorf("%s has %.1f GB free and the cluster needs %d GB: free some, or set KILN_CLUSTER_DIR to another disk",
			c.Dir, float64(free)/gigabyte, need/gigabyte)
	}
	return nil
}

// cgroupV1 says whether the unified hierarchy is not the one in use
// (cgroups(7)).
func cgroupV1() bool {
	_, err := os.Stat("/sys/fs/cgroup/cgroup.controllers")
	return runtime.GOOS == "linux" && errors.Is(err, fs.ErrNotExist)
}

// registryInReach asks Docker Hub for its API version. Any answer will do; a
// machine that is not connected fails at once or after the limit.
func registryInReach(ctx context.Context) bool {
	const limit = 3 * time.Second
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://registry-1.docker.io/v2/", nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK || response.StatusCode == http.StatusUnauthorized
}
