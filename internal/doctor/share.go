package doctor

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// exchangeFindings looks at how the runner and kiln share the exchange.
func exchangeFindings(pod *corev1.Pod, daemonDir string) []Finding {
	kiln, _ := container(pod, containerKiln)
	runner, _ := container(pod, containerRunner)
	value, _ := variable(runner, "KILN_EXCHANGE")
	shimDir := cmp.Or(value, defaultExchange)
	ours, mine := mounted(kiln, daemonDir)
	theirs, yours := mounted(runner, shimDir)
	switch {
	case !mine:
		return fail("the container kiln mounts no volume at the exchange "+daemonDir, overlayAgain)
	case !yours:
		return fail("the runner container mounts no volume at the exchange "+shimDir, overlayAgain)
	case ours.Name != theirs.Name || inside(ours, daemonDir) != inside(theirs, shimDir):
		return fail(fmt.Sprintf("the exchange is not shared: the container kiln has the volume %s at %s and the runner container %s at %s", ours.Name, daemonDir, theirs.Name, shimDir),
			"mount one emptyDir in both, or set KILN_EXCHANGE of both containers to where it is")
	case ours.ReadOnly || theirs.ReadOnly:
		return fail("the exchange is mounted read-only", "remove readOnly from the mount of "+ours.Name+" in both containers")
	}
	if empty := volume(pod, ours.Name).EmptyDir; empty != nil && (empty.Medium == corev1.StorageMediumMemory || empty.SizeLimit != nil) {
		return warn("the exchange is in memory or has a sizeLimit: a large context or log is charged to the container's memory, or evicts the runner pod", "use emptyDir: {}")
	}
	return nil
}

// inside is what of a volume lies at dir below a mount.
func inside(mount corev1.VolumeMount, dir string) string {
	return path.Join(mount.SubPath, strings.TrimPrefix(path.Clean(dir), path.Clean(mount.MountPath)))
}

// stateFindings looks at who shares the daemon's state.
func stateFindings(pod *corev1.Pod, dir string) []Finding {
	kiln, _ := container(pod, containerKiln)
	own, found := mounted(kiln, dir)
	if !found {
		return fail("the container kiln mounts no volume for the daemon's state at "+dir, overlayAgain)
	}
	for _, c := range pod.Spec.Containers {
		if slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return c.Name != containerKiln && m.Name == own.Name }) {
			return fail(fmt.Sprintf("the container %s mounts the daemon's state, the volume %s: code of a job could change what kiln acts on", c.Name, own.Name),
				"mount it in the container kiln alone")
		}
	}
	return nil
}
