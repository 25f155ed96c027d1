package kaniko

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// identity is what two build pods have in common if one may stand in for the
// other: all that runs in them and all that it can reach. Labels, owners and
// where a pod runs are left out: they differ between runners.
type identity struct {
	Containers     []part
	Init           []part
	Ephemeral      int
	Volumes        []corev1.Volume
	ServiceAccount string
	Token          bool
	Security       *corev1.PodSecurityContext
	HostNamespaces [3]bool
	ShareProcesses bool
	HostUsers      bool
	RuntimeClass   string
}

// part is what counts of a container.
type part struct {
	Name, Image  string
	Command      []string
	Args         []string
	Env          []corev1.EnvVar
	EnvFrom      []corev1.EnvFromSource
	Mounts       []corev1.VolumeMount
	Devices      []corev1.VolumeDevice
	Security     *corev1.SecurityContext
	Stdin, Once  bool
	Lifecycle    *corev1.Lifecycle
	WorkingDir   string
	RestartAlone bool
}

// identify reads the identity of a pod; what the API server fills in counts as
// unset.
func identify(pod *corev1.Pod) identity {
	spec := &pod.Spec
	id := identity{
		Containers:     partsOf(spec.Containers),
		Init:           partsOf(spec.InitContainers),
		Ephemeral:      len(spec.EphemeralContainers),
		Volumes:        spec.Volumes,
		ServiceAccount: spec.ServiceAccountName,
		Token:          spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken,
		Security:       spec.SecurityContext,
		HostNamespaces: [3]bool{spec.HostNetwork, spec.HostPID, spec.HostIPC},
		ShareProcesses: spec.ShareProcessNamespace != nil && *spec.ShareProcessNamespace,
		HostUsers:      spec.HostUsers == nil || *spec.HostUsers,
	}
	if id.ServiceAccount == "" {
		id.ServiceAccount = "default"
	}
	if spec.RuntimeClassName != nil {
		id.RuntimeClass = *spec.RuntimeClassName
	}
	return id
}

// partsOf reads what counts of containers.
func partsOf(containers []corev1.Container) []part {
	var parts []part
	for i := range containers {
		c := &containers[i]
		parts = append(parts, part{
			Name: c.Name, Image: c.Image,
			Command: c.Command, Args: c.Args, WorkingDir: c.WorkingDir,
			Env: c.Env, EnvFrom: c.EnvFrom,
			Mounts: c.VolumeMounts, Devices: c.VolumeDevices,
			Security: c.SecurityContext, Lifecycle: c.Lifecycle,
			Stdin: c.Stdin, Once: c.StdinOnce,
			RestartAlone: c.RestartPolicy != nil,
		})
	}
	return parts
}

// Same reports whether two build pods run the same with the same reach, so that
// who wants the one may take the outcome of the other.
func Same(a, b *corev1.Pod) bool {
	return equality.Semantic.DeepEqual(identify(a), identify(b))
}

// Name returns the name that a build pod has in every runner that wants the
// same build: it follows from all that [Same] compares, the push reference
// included. Two versions or settings of kiln have different names for the same
// image, and do not take one another's pods for foreign ones.
func Name(pod *corev1.Pod) (string, error) {
	data, err := json.Marshal(identify(pod))
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:])
	return "kiln-build-" + strings.ToLower(text[:32]), nil
}
