package podoptions

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/createoptions"
	"kiln/internal/hook"
	"kiln/internal/workpod"
)

// mounts collects volumes of one container.
type mounts struct {
	place   Place
	volumes []corev1.Volume
	list    []corev1.VolumeMount
	targets map[string]bool
	names   map[string]bool // of volumes
}

// shm is where programs have their shared memory.
const shm = "/dev/shm"

// all adds what options and the runner ask for; a path that the author names twice
// is an error.
func (m *mounts) all(o createoptions.Options, volumes []hook.Mount) error {
	for _, v := range volumes {
		if err := m.add("volumes", createoptions.Volume{Source: v.SourceVolumePath, Target: v.TargetVolumePath, ReadOnly: v.ReadOnly}); err != nil {
			return err
		}
	}
	for _, v := range o.Volumes {
		if err := m.add("options: --volume", v); err != nil {
			return err
		}
	}
	for _, t := range o.Tmpfs {
		if err := m.memory("options: --tmpfs", t.Path, t.Bytes); err != nil {
			return err
		}
	}
	if (o.ShmSize > 0 || o.HostIPC) && !m.targets[shm] {
		return m.memory("options: --shm-size", shm, o.ShmSize)
	}
	return nil
}

// add mounts one volume; from says where the author wrote it.
func (m *mounts) add(from string, v createoptions.Volume) error {
	part, inWork := m.inWork(v.Source)
	switch {
	case workpod.IsDockerSocket(v.Source):
		return refuse("%s: %s: there is no Docker daemon here; build images with a Dockerfile action, or ask who runs these runners for another way", from, v.Source)
	case path.Clean(v.Source) == shm: // the machine's own, for its size
		return m.memory(from, v.Target, 0)
	case strings.HasPrefix(v.Source, "/") && !inWork:
		return refuse("%s: %s is a path of the runner's machine: here only what lies in the work folder %s can be mounted", from, v.Source, m.place.Work)
	}
	target, err := m.target(from, v.Target)
	if err != nil {
		return err
	}
	mount := corev1.VolumeMount{Name: workpod.Volume, MountPath: target, SubPath: part, ReadOnly: v.ReadOnly}
	if !inWork {
		mount.Name = m.empty(v.Source, corev1.EmptyDirVolumeSource{})
	}
	m.list = append(m.list, mount)
	return nil
}

// inWork returns the part of the work volume that a source is, named as in the
// runner container or as in a job container.
func (m *mounts) inWork(source string) (part string, ok bool) {
	if !strings.HasPrefix(source, "/") {
		return "", false
	}
	if part, ok = workpod.Below(source, m.place.Work); ok {
		return part, true
	}
	return workpod.Below(source, workpod.Target)
}

// target checks a path in the container, and takes it.
func (m *mounts) target(from, target string) (string, error) {
	if !workpod.IsTarget(target) || path.Clean(target) == "/" {
		return "", refuse("%s: %q is not an absolute path of a container", from, target)
	}
	target = path.Clean(target)
	if m.targets[target] {
		return "", refuse("%s: two volumes are to be mounted at %s", from, target)
	}
	m.targets[target] = true
	return target, nil
}

// memory mounts memory, bounded where bytes is not 0.
func (m *mounts) memory(from, target string, size int64) error {
	target, err := m.target(from, target)
	if err != nil {
		return err
	}
	source := corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}
	if size > 0 {
		source.SizeLimit = bytes(size)
	}
	m.list = append(m.list, corev1.VolumeMount{Name: m.empty("", source), MountPath: target})
	return nil
}

// namedPrefix begins the names of named volumes in a pod, before 20 hexadecimal digits.
const namedPrefix = "named-"

// Named reports whether a volume is a named one, which all containers of a pod that name
// it share.
func Named(v corev1.Volume) bool {
	return strings.HasPrefix(v.Name, namedPrefix) && len(v.Name) == len(namedPrefix)+20
}

// empty adds an empty volume, and returns its name in the pod: that of a named one
// is the same for all containers, and no other is named so.
func (m *mounts) empty(name string, source corev1.EmptyDirVolumeSource) string {
	in := fmt.Sprintf("%s-%d", m.place.Name, len(m.volumes))
	if name != "" {
		sum := sha256.Sum256([]byte(name))
		in = namedPrefix + hex.EncodeToString(sum[:10])
	}
	if !m.names[in] {
		m.names[in] = true
		m.volumes = append(m.volumes, corev1.Volume{Name: in, VolumeSource: corev1.VolumeSource{EmptyDir: &source}})
	}
	return in
}
