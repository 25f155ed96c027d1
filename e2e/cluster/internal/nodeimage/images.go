package nodeimage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/compression"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"kiln/e2e/cluster/internal/command"
	"kiln/e2e/cluster/internal/image"
)

// The control plane's images are one file system under several names: each
// name with its own entrypoint. kubeadm asks for exactly these tags.
func imageNames() map[string][]string {
	const registry = "registry.k8s.io/"
	return map[string][]string{
		"": {
			registry + "kube-apiserver:" + KubernetesVersion,
			registry + "kube-controller-manager:" + KubernetesVersion,
			registry + "kube-scheduler:" + KubernetesVersion,
			registry + "kube-proxy:" + KubernetesVersion,
			registry + "etcd:3.6.5-0",
		},
		"/usr/local/bin/pause":     {registry + "pause:3.10", registry + "pause:3.10.1"},
		"/usr/local/bin/coredns":   {registry + "coredns/coredns:v1.12.1"},
		"/usr/local/bin/nodeagent": {"kiln.build/nodeagent:local"},
	}
}

// preload puts the images into the containerd of the node's file system, by
// running that file system's own containerd for a moment.
func (b builder) preload(ctx context.Context) error {
	archive := filepath.Join(b.work, "images.tar")
	if err := b.writeImages(ctx, archive); err != nil {
		return err
	}
	stop, err := b.startContainerd(ctx)
	if err != nil {
		return err
	}
	err = b.importImages(ctx, archive)
	return errors.Join(err, stop(), os.RemoveAll(b.path(preloadState)))
}

func (b builder) importImages(ctx context.Context, archive string) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	return command.Run(ctx, command.Options{Stdin: file}, "chroot", b.root, "ctr", "--address", "/"+preloadSocket,
		"--namespace", "k8s.io", "images", "import", "--all-platforms", "--snapshotter", "overlayfs", "-")
}

// Paths of the containerd that preloads, in the node's file system.
const (
	preloadState  = "run/kiln-preload"
	preloadSocket = preloadState + "/containerd.sock"
)

// startContainerd runs the node's containerd until stop is called. It has
// namespaces of its own for mounts and processes, so whatever happens to this
// program, nothing of it stays.
func (b builder) startContainerd(ctx context.Context) (stop func() error, err error) {
	config := fmt.Sprintf("version = 2\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n",
		"/"+preloadState, "/"+preloadSocket)
	if err := b.write(preloadState+"/config.toml", []byte(config), 0o644); err != nil {
		return nil, err
	}
	var log bytes.Buffer
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--pid", "--fork", "--kill-child=SIGTERM", "--mount-proc="+b.path("proc"),
		"chroot", b.root, "containerd", "--config", "/"+preloadState+"/config.toml")
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // never without this program
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start containerd: %w", err)
	}
	stop = func() error {
		_ = cmd.Process.Kill() // unshare passes it on as SIGTERM
		_ = cmd.Wait()         // returns when containerd has closed its output
		return nil
	}
	const tries, pause = 100, 100 * time.Millisecond
	for range tries {
		if _, err := command.Output(ctx, "chroot", b.root, "ctr", "--address", "/"+preloadSocket, "version"); err == nil {
			return stop, nil
		}
		time.Sleep(pause) // containerd announces readiness to systemd only
	}
	return nil, errors.Join(errors.New("containerd does not answer: "+log.String()), stop())
}

// writeImages writes the images as a docker archive with one shared layer.
func (b builder) writeImages(ctx context.Context, archive string) error {
	files, err := b.imageFiles(ctx)
	if err != nil {
		return err
	}
	layer, err := files.Layer(filepath.Join(b.work, "layer.tar"), tarball.WithCompression(compression.None))
	if err != nil {
		return err
	}
	images := map[name.Reference]v1.Image{}
	for entrypoint, tags := range imageNames() {
		config := v1.Config{Env: []string{"PATH=/usr/local/bin:" + strings.TrimPrefix(image.SearchPath, "PATH=")}, WorkingDir: "/"}
		if entrypoint != "" {
			config.Entrypoint = []string{entrypoint}
		}
		img, err := image.New(config, runtime.GOARCH, layer)
		if err != nil {
			return err
		}
		for _, tag := range tags {
			ref, err := name.NewTag(tag)
			if err != nil {
				return err
			}
			images[ref] = img
		}
	}
	return tarball.MultiRefWriteToFile(archive, images)
}

// imageFiles collects what the control plane's containers need: the programs,
// busybox for probes and scripts, and for kube-proxy the packet filter's tools
// with their libraries and extensions.
func (b builder) imageFiles(ctx context.Context) (*image.Files, error) {
	files := &image.Files{}
	files.Copy("usr/local/bin/kubernetes", b.parts.Kubernetes, 0o755)
	for _, program := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubectl"} {
		files.Link("usr/local/bin/"+program, "kubernetes")
	}
	files.Copy("usr/local/bin/coredns", b.parts.CoreDNS, 0o755)
	files.Copy("usr/local/bin/pause", b.parts.Pause, 0o755)
	files.Copy("usr/local/bin/nodeagent", b.parts.NodeAgent, 0o755)
	files.Copy("bin/busybox", b.path("bin/busybox"), 0o755)
	for _, applet := range []string{"cat", "echo", "grep", "id", "ip", "ls", "mkdir", "mv", "rm", "sh", "sleep", "wget"} {
		files.Link("bin/"+applet, "busybox")
	}
	files.Copy("etc/ssl/certs/ca-certificates.crt", b.path("etc/ssl/certs/ca-certificates.crt"), 0o644)
	files.Content("etc/passwd", []byte("root:x:0:0:root:/:/bin/sh\n"), 0o644)
	files.Content("etc/group", []byte("root:x:0:\n"), 0o644)
	files.Dir("tmp", 0o1777)
	for _, dir := range []string{"dev", "proc", "run", "sys"} {
		files.Dir(dir, 0o755)
	}
	return files, b.addPacketFilter(ctx, files)
}

func (b builder) addPacketFilter(ctx context.Context, files *image.Files) error {
	programs := []string{"/usr/sbin/xtables-nft-multi", "/usr/sbin/nft", "/usr/sbin/conntrack"}
	for _, program := range programs {
		files.Copy(program, b.path(program), 0o755)
	}
	for _, tool := range []string{"iptables", "ip6tables"} {
		for _, suffix := range []string{"", "-save", "-restore"} {
			files.Link("usr/sbin/"+tool+suffix, "xtables-nft-multi")
		}
	}
	extensions, err := filepath.Glob(b.path("usr/lib/*/xtables/*.so"))
	if err != nil {
		return err
	}
	for _, extension := range extensions {
		name := strings.TrimPrefix(extension, b.root)
		files.Copy(name, extension, 0o644)
		programs = append(programs, name)
	}
	libraries, err := b.libraries(ctx, programs)
	if err != nil {
		return err
	}
	for _, library := range libraries {
		source, err := b.resolve(library)
		if err != nil {
			return err
		}
		files.Copy(library, source, 0o755)
	}
	return nil
}

// libraries lists the shared objects that the programs are linked with.
func (b builder) libraries(ctx context.Context, programs []string) ([]string, error) {
	args := append([]string{b.root, "ldd"}, programs...)
	out, err := command.Output(ctx, "chroot", args...)
	if err != nil {
		return nil, err
	}
	return parseLDD(out), nil
}

// parseLDD picks the paths out of what ldd prints, sorted and each once.
func parseLDD(out string) []string {
	var paths []string
	for line := range strings.Lines(out) {
		for field := range strings.FieldsSeq(line) {
			if strings.HasPrefix(field, "/") && !strings.HasSuffix(field, ":") && strings.Contains(path.Base(field), ".so") {
				paths = append(paths, field)
			}
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// resolve follows the links of a path inside the node's root, where absolute
// links count from that root.
func (b builder) resolve(name string) (string, error) {
	const deepest = 20
	for range deepest {
		info, err := os.Lstat(b.path(name))
		if err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			return b.path(name), nil
		}
		target, err := os.Readlink(b.path(name))
		if err != nil {
			return "", err
		}
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(name), target)
		}
		name = target
	}
	return "", fmt.Errorf("%s: too many links", name)
}
