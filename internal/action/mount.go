package action

import (
	"fmt"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/hook"
)

// volumeWork is the volume with the runner's work folder.
const volumeWork = "work"

// Paths of the runner's protocol.
const (
	dockerSocket = "/var/run/docker.sock" // sent with every step
	workTarget   = "/__w"                 // paths of a job's container that reach arguments begin so
)

// mounts returns the mounts that the runner asks for, as parts of the work
// volume, and the whole volume at /__w.
func mounts(s Step) ([]corev1.VolumeMount, error) {
	list := []corev1.VolumeMount{{Name: volumeWork, MountPath: workTarget}}
	for _, mount := range s.Container.SystemMountVolumes {
		if path.Clean(mount.SourceVolumePath) == dockerSocket {
			continue
		}
		m, err := workMount(mount, s.WorkMount)
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

// workMount turns a host path below the work folder into a part of its
// volume.
func workMount(mount hook.Mount, work string) (corev1.VolumeMount, error) {
	source := path.Clean(mount.SourceVolumePath)
	part, below := strings.CutPrefix(source, strings.TrimSuffix(path.Clean(work), "/")+"/")
	if !below {
		return corev1.VolumeMount{}, fmt.Errorf("the step wants %s of the runner at %s, and only what lies below the work folder %s can be shared with an action", mount.SourceVolumePath, mount.TargetVolumePath, work)
	}
	if !path.IsAbs(mount.TargetVolumePath) || strings.Contains(mount.TargetVolumePath, ":") {
		return corev1.VolumeMount{}, fmt.Errorf("the step wants %s of the runner at %q, which is not an absolute path without a colon", mount.SourceVolumePath, mount.TargetVolumePath)
	}
	return corev1.VolumeMount{
		Name:      volumeWork,
		MountPath: path.Clean(mount.TargetVolumePath),
		SubPath:   part,
		ReadOnly:  mount.ReadOnly,
	}, nil
}
