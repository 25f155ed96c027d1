package candidate

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// bundle makes what runc needs for the kaniko container of a build pod: its
// root file system and its configuration.
func (k *Kiln) bundle(dir string, container corev1.Container) error {
	if err := k.overlay(dir); err != nil {
		return err
	}
	file, err := k.Executor.ConfigFile()
	if err != nil {
		return fmt.Errorf("read the executor's image: %w", err)
	}
	// What the kubelet mounts into every container.
	for _, name := range []string{"hosts", "hostname", "resolv.conf", "termination-log"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(kubelet(name)), 0o644); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	for _, mount := range container.VolumeMounts {
		if err := k.initVolume(filepath.Join(dir, mount.Name)); err != nil {
			return err
		}
	}
	spec, err := json.Marshal(specification(dir, k.Cgroup, container, file.Config))
	if err != nil {
		return fmt.Errorf("write the container's configuration: %w", err)
	}
	return os.WriteFile(filepath.Join(dir, "config.json"), spec, 0o600)
}

// initVolume makes what the gate's container puts on the volume of the executor's
// first process, the one volume that the executor has.
func (k *Kiln) initVolume(dir string) error {
	program, err := os.ReadFile(k.Init)
	if err != nil {
		return fmt.Errorf("read the executor's first process: %w", err)
	}
	if err := os.Mkdir(dir, 0o777); err != nil {
		return fmt.Errorf("make a volume: %w", err)
	}
	return os.WriteFile(filepath.Join(dir, "init"), program, 0o555)
}

// overlay mounts the root file system of one build: the executor's image below,
// what the build writes above, as containerd has it.
func (k *Kiln) overlay(dir string) error {
	image := filepath.Join(k.Dir, "image")
	if _, err := os.Stat(image); errors.Is(err, fs.ErrNotExist) {
		if err := unpack(image, k.Executor); err != nil {
			return fmt.Errorf("unpack the executor's image: %w", err)
		}
	}
	for _, name := range []string{"rootfs", "upper", "work"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			return fmt.Errorf("make a directory: %w", err)
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", image, filepath.Join(dir, "upper"), filepath.Join(dir, "work"))
	if err := unix.Mount("overlay", filepath.Join(dir, "rootfs"), "overlay", 0, options); err != nil {
		return fmt.Errorf("mount the executor's root: %w", err)
	}
	return nil
}

// kubelet is the content of a file that the kubelet writes.
func kubelet(name string) string {
	switch name {
	case "hosts":
		return "127.0.0.1\tlocalhost\n"
	case "hostname":
		return "parity\n"
	case "resolv.conf":
		return "nameserver 192.0.2.1\n"
	}
	return ""
}

// specification is the container as containerd would have runc run it.
func specification(dir, cgroup string, container corev1.Container, image v1.Config) specs.Spec {
	env := append([]string{}, image.Env...)
	for _, variable := range container.Env {
		env = append(env, variable.Name+"="+variable.Value)
	}
	var capabilities []string
	for _, capability := range container.SecurityContext.Capabilities.Add {
		capabilities = append(capabilities, "CAP_"+string(capability))
	}
	return specs.Spec{
		Version:  "1.0.2",
		Hostname: "parity",
		Root:     &specs.Root{Path: "rootfs"},
		Process: &specs.Process{
			Args: append(append([]string{}, container.Command...), container.Args...),
			Env:  env, Cwd: path.Join("/", image.WorkingDir),
			User:            specs.User{UID: uint32(*container.SecurityContext.RunAsUser)}, //nolint:gosec // a uid
			NoNewPrivileges: !*container.SecurityContext.AllowPrivilegeEscalation,
			Capabilities:    &specs.LinuxCapabilities{Bounding: capabilities, Effective: capabilities, Permitted: capabilities},
		},
		Mounts: append(mounts(dir), volumeMounts(dir, container.VolumeMounts)...),
		Linux: &specs.Linux{
			CgroupsPath: "/" + cgroup + "/kaniko",
			Namespaces: []specs.LinuxNamespace{ // the network is shared with the gate
				{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace},
			},
			MaskedPaths:   []string{"/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi", "/sys/firmware"},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
}

// mounts are containerd's and the kubelet's.
func mounts(dir string) []specs.Mount {
	system := func(kind, at string, options ...string) specs.Mount {
		return specs.Mount{Destination: at, Type: kind, Source: kind, Options: options}
	}
	all := []specs.Mount{
		system("proc", "/proc", "nosuid", "noexec", "nodev"),
		system("tmpfs", "/dev", "nosuid", "strictatime", "mode=755", "size=65536k"),
		system("devpts", "/dev/pts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"),
		system("tmpfs", "/dev/shm", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
		system("mqueue", "/dev/mqueue", "nosuid", "noexec", "nodev"),
		system("sysfs", "/sys", "nosuid", "noexec", "nodev", "ro"),
	}
	for at, name := range map[string]string{
		"/etc/hosts": "hosts", "/etc/hostname": "hostname", "/etc/resolv.conf": "resolv.conf", "/dev/termination-log": "termination-log",
	} {
		all = append(all, specs.Mount{Destination: at, Type: "bind", Source: filepath.Join(dir, name), Options: []string{"rbind", "rprivate"}})
	}
	return all
}

// volumeMounts are those of the container's volumes, as the kubelet has them
// mounted.
func volumeMounts(dir string, volumes []corev1.VolumeMount) []specs.Mount {
	var all []specs.Mount
	for _, v := range volumes {
		access := "rw"
		if v.ReadOnly {
			access = "ro"
		}
		all = append(all, specs.Mount{
			Destination: v.MountPath, Type: "bind", Source: filepath.Join(dir, v.Name), Options: []string{"rbind", "rprivate", access},
		})
	}
	return all
}

// unpack writes the files of the executor's image, which are root's.
func unpack(dir string, img v1.Image) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	flat := mutate.Extract(img)
	defer flat.Close()
	for in := tar.NewReader(flat); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = unpackEntry(root, header, in)
		}
		if err != nil {
			return err
		}
	}
}

// unpackEntry writes one entry of an image.
func unpackEntry(root *os.Root, header *tar.Header, content io.Reader) error {
	at := filepath.Clean("./" + header.Name)
	mode := os.FileMode(header.Mode).Perm() //nolint:gosec // permission bits
	if err := root.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	switch header.Typeflag {
	case tar.TypeDir:
		return errors.Join(root.MkdirAll(at, 0o755), root.Chmod(at, mode))
	case tar.TypeSymlink:
		return root.Symlink(header.Linkname, at)
	case tar.TypeLink:
		return root.Link(filepath.Clean("./"+header.Linkname), at)
	case tar.TypeReg:
		file, err := root.OpenFile(at, os.O_CREATE|os.O_WRONLY|os.O_EXCL, mode)
		if err != nil {
			return err
		}
		_, err = io.Copy(file, content)
		return errors.Join(err, file.Chmod(mode), file.Close())
	}
	return fmt.Errorf("%s: entries of type %q are not expected", header.Name, header.Typeflag)
}
