// Package nodeimage makes a kind node image where no container registry is in
// reach: from a Debian root file system, kind's own node files (read from the
// Go module cache) and Kubernetes programs compiled here.
//
// The result is one tar, the whole file system of a node with the images of
// the control plane already in its containerd, ready for `docker import` with
// the changes that Changes lists. It stands in for kindest/node for kind's
// library; crictl, and with it kind's own `kind load docker-image`, is not in
// it.
//
// It needs root, tar, chroot and unshare, and works in a directory that it
// is given.
package nodeimage

import (
	"context"
	_ "embed" // manifests
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"kiln/e2e/cluster/internal/command"
)

// KubernetesVersion is the release that the node runs. Kubelets from 1.35 on
// refuse cgroup v1.
const KubernetesVersion = "v1.34.4"

var (
	//go:embed manifests/network.yaml
	networkManifest []byte
	//go:embed manifests/storage.yaml
	storageManifest []byte
)

// Packages are the Debian packages of a node's root file system.
func Packages() []string {
	return strings.Fields(`
		base-files base-passwd bash busybox-static ca-certificates conntrack
		containerd containernetworking-plugins coreutils curl dash dbus
		debianutils diffutils dpkg ethtool findutils gawk grep gzip hostname
		init-system-helpers iproute2 iptables jq kmod libc-bin login mount
		nftables passwd perl-base pigz procps runc sed systemd systemd-sysv
		tar util-linux`)
}

// Changes are the arguments that make `docker import` of the tar a node image.
func Changes() []string {
	return []string{
		"--change", "ENV container=docker",
		"--change", `ENTRYPOINT ["/usr/local/bin/entrypoint","/sbin/init"]`,
	}
}

// Parts are what a node image is made of, all paths on this machine.
type Parts struct {
	// Kubernetes, CoreDNS, Pause and NodeAgent are static programs.
	Kubernetes, CoreDNS, Pause, NodeAgent string
	// RootFS is a tar of a Debian root file system with Packages.
	RootFS string
	// KindFiles is the directory images/base/files of kind's module.
	KindFiles string
}

// Build writes the node's file system to the tar file out, working in the
// empty directory work, which it leaves for the caller to remove.
func Build(ctx context.Context, parts Parts, work, out string) error {
	b := builder{parts: parts, work: work, root: filepath.Join(work, "root")}
	steps := []struct {
		what string
		do   func(context.Context) error
	}{
		{"unpack the root file system", b.unpack},
		{"add kind's files", b.addKindFiles},
		{"set up systemd", b.setUpSystemd},
		{"set up containerd", b.setUpContainerd},
		{"add the Kubernetes programs", b.addPrograms},
		{"preload the control plane's images", b.preload},
	}
	for _, step := range steps {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return command.Run(ctx, command.Options{}, "tar", "-C", b.root, "--xattrs", "--numeric-owner", "-cf", out, ".")
}

type builder struct {
	parts      Parts
	work, root string
}

func (b builder) path(name string) string { return filepath.Join(b.root, name) }

func (b builder) unpack(ctx context.Context) error {
	if err := os.Mkdir(b.root, 0o755); err != nil {
		return err
	}
	err := command.Run(ctx, command.Options{}, "tar", "-C", b.root, "--numeric-owner", "--xattrs", "-xpf", b.parts.RootFS)
	if err != nil {
		return err
	}
	for _, dir := range []string{"usr/share/doc", "usr/share/man", "usr/share/locale", "var/lib/apt/lists"} {
		if err := os.RemoveAll(b.path(dir)); err != nil {
			return err
		}
	}
	return nil
}

// addKindFiles copies kind's files over the root. The module cache holds them
// read-only and without executable bits.
func (b builder) addKindFiles(context.Context) error {
	return filepath.WalkDir(b.parts.KindFiles, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(b.parts.KindFiles, path)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if dir := filepath.Dir(name); dir == "usr/local/bin" || dir == "kind/bin" {
			mode = 0o755
		}
		return b.write(name, content, mode)
	})
}

// setUpSystemd leaves only what a node needs to start, as kind's own base
// image does (images/base/Dockerfile of the kind module).
func (b builder) setUpSystemd(context.Context) error {
	for _, pattern := range []string{
		"lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service",
		"lib/systemd/system/multi-user.target.wants/*",
		"lib/systemd/system/local-fs.target.wants/*",
		"lib/systemd/system/basic.target.wants/*",
		"lib/systemd/system/sockets.target.wants/*udev*",
		"lib/systemd/system/sockets.target.wants/*initctl*",
		"etc/systemd/system/*.wants/*",
	} {
		if err := b.remove(pattern); err != nil {
			return err
		}
	}
	for _, unit := range []string{"kubelet.service", "containerd.service", "undo-mount-hacks.service"} {
		if err := b.link("etc/systemd/system/multi-user.target.wants/"+unit, "/etc/systemd/system/"+unit); err != nil {
			return err
		}
	}
	for _, unit := range []string{"systemd-binfmt.service", "systemd-udevd.service"} {
		if err := b.link("etc/systemd/system/"+unit, "/dev/null"); err != nil {
			return err
		}
	}
	if err := b.append("etc/systemd/journald.conf", "ReadKMsg=no\n"); err != nil {
		return err
	}
	return b.link("sbin/init", "/usr/lib/systemd/systemd")
}

func (b builder) setUpContainerd(ctx context.Context) error {
	for _, program := range []string{"containerd", "ctr", "containerd-shim-runc-v2"} {
		if err := b.link("usr/local/bin/"+program, "/usr/bin/"+program); err != nil {
			return err
		}
	}
	if err := b.link("opt/cni/bin", "/usr/lib/cni"); err != nil {
		return err
	}
	spec, err := command.Output(ctx, "chroot", b.root, "ctr", "oci", "spec")
	if err != nil {
		return err
	}
	base, err := baseSpec([]byte(spec))
	if err != nil {
		return err
	}
	if err := b.write("etc/containerd/cri-base.json", base, 0o644); err != nil {
		return err
	}
	config, err := os.ReadFile(b.path("etc/containerd/config.toml"))
	if err != nil {
		return err
	}
	relaxed, err := restrictOOMScore(config)
	if err != nil {
		return err
	}
	return b.write("etc/containerd/config.toml", relaxed, 0o644)
}

// restrictOOMScore keeps containerd from asking for an oom_score_adj below its
// own, which takes CAP_SYS_RESOURCE; where the capability is there it makes no
// difference to a test.
func restrictOOMScore(config []byte) ([]byte, error) {
	const off, on = "restrict_oom_score_adj = false", "restrict_oom_score_adj = true"
	if !strings.Contains(string(config), off) {
		return nil, errors.New("kind's containerd configuration has no restrict_oom_score_adj")
	}
	return []byte(strings.Replace(string(config), off, on, 1)), nil
}

// baseSpec is the specification that every container starts from: containerd's
// default, with kind's hook and without limits, as kind's base image makes it.
func baseSpec(spec []byte) ([]byte, error) {
	var doc map[string]any
	if err := json.Unmarshal(spec, &doc); err != nil {
		return nil, fmt.Errorf("read containerd's default specification: %w", err)
	}
	if process, ok := doc["process"].(map[string]any); ok {
		delete(process, "rlimits")
	}
	hooks, ok := doc["hooks"].(map[string]any)
	if !ok {
		hooks = map[string]any{}
		doc["hooks"] = hooks
	}
	created, _ := hooks["createContainer"].([]any)
	hooks["createContainer"] = append(created, map[string]any{"path": "/kind/bin/mount-product-files.sh"})
	return json.Marshal(doc)
}

// addPrograms puts the one Kubernetes binary under each of its names, and the
// manifests that kind applies.
func (b builder) addPrograms(ctx context.Context) error {
	if err := os.MkdirAll(b.path("etc/kubernetes/manifests"), 0o755); err != nil {
		return err
	}
	err := command.Run(ctx, command.Options{}, "install", "-m", "755", b.parts.Kubernetes, b.path("usr/bin/kubelet"))
	if err != nil {
		return err
	}
	for _, name := range []string{"kubeadm", "kubectl"} {
		if err := os.Link(b.path("usr/bin/kubelet"), b.path("usr/bin/"+name)); err != nil {
			return err
		}
	}
	return errors.Join(
		b.write("kind/version", []byte(KubernetesVersion), 0o644),
		b.write("kind/manifests/default-cni.yaml", networkManifest, 0o644),
		b.write("kind/manifests/default-storage.yaml", storageManifest, 0o644),
	)
}

func (b builder) write(name string, content []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(b.path(name)), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(b.path(name), content, mode); err != nil {
		return err
	}
	return os.Chmod(b.path(name), mode)
}

func (b builder) append(name, text string) error {
	content, err := os.ReadFile(b.path(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return b.write(name, append(content, text...), 0o644)
}

// link replaces whatever is at name.
func (b builder) link(name, target string) error {
	if err := os.MkdirAll(filepath.Dir(b.path(name)), 0o755); err != nil {
		return err
	}
	if err := os.RemoveAll(b.path(name)); err != nil {
		return err
	}
	return os.Symlink(target, b.path(name))
}

func (b builder) remove(pattern string) error {
	files, err := filepath.Glob(b.path(pattern))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	return nil
}
