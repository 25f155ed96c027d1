package harness

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// Names in the overlays and in manifests/runner-pod.yaml.
const (
	RunnerContainer = "runner"
	DaemonContainer = "kiln"
	exchangeVolume  = "kiln-exchange"
	registryVolume  = "kiln-registry"
	workVolume      = "work"
)

// Settings that the chart has values of its own for.
const (
	registryHost       = "ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_HOST"
	registrySecretName = "ACTIONS_RUNNER_CONTAINER_HOOKS_K8S_REGISTRY_SECRET_NAME"
)

// workSize is the size of the work volume.
const workSize = "1Gi"

// PodOptions are what an installation of kiln and a runner pod may differ in.
// The zero value of a field is what its comment says; Name and Images are
// required.
type PodOptions struct {
	Name   string
	Images Images
	// Installed is what the pod is made from; nil is manifests/runner-pod.yaml,
	// for a namespace of [Cluster.Namespace].
	Installed *Installation
	// Mode is the overlay's, scaleset.Sealed or scaleset.Kubernetes, and Delegate
	// the path of the stock hook in the latter. They go by what is installed.
	Mode, Delegate string
	// RegistryHost is where kiln pushes action images and nodes pull them.
	RegistryHost string
	// PullSecret names the registry's Secret; empty for a registry without auth.
	PullSecret string
	// DaemonEnv are further settings. Those that differ from the installation's
	// are in the pod's own environment, as for a scale set that differs from
	// the others of its namespace; those that are not here are the
	// installation's.
	DaemonEnv map[string]string
	// Assemble leaves it to kiln which images take no build pod. Without it each takes
	// one: most tests are about build pods, of Dockerfiles that would need none.
	Assemble bool
	// RunnerEnv is added to the runner container's environment.
	RunnerEnv map[string]string
	// Adjust, when not nil, changes the pod last of all.
	Adjust func(*corev1.Pod)
	// WithoutDaemon leaves the sidecar out, as a broken roll-out would.
	WithoutDaemon bool
	// ExchangeLimit, when not zero, puts the exchange on a tmpfs of that size,
	// to have a disk that fills up.
	ExchangeLimit resource.Quantity
	// ShareProcesses lets the stand-in see the daemon's process.
	ShareProcesses bool
	// HookTemplate and BuildTemplate, when not empty, are an installation's pod
	// templates as YAML: the hook extension, and that of build pods.
	HookTemplate, BuildTemplate string
	// WorkFolder is where the work volume is mounted in the runner container;
	// empty leaves the runner's usual one.
	WorkFolder string
}

// RunnerPod returns the pod of the installation's overlay, or that of
// manifests/runner-pod.yaml, with the stand-in in place of the runner and the
// options filled in.
func (c *Cluster) RunnerPod(o PodOptions) (*corev1.Pod, error) {
	pod, err := c.plainPod(o)
	if err != nil {
		return nil, err
	}
	pod.Name = o.Name
	pod.Labels[ownLabel] = "true"
	if o.ShareProcesses {
		pod.Spec.ShareProcessNamespace = new(true)
	}
	if err := c.fillInit(pod, o); err != nil {
		return nil, err
	}
	if err := fillRunner(pod, o); err != nil {
		return nil, err
	}
	c.fillVolumes(pod, o)
	if o.Adjust != nil {
		o.Adjust(pod)
	}
	spec, err := json.Marshal(pod.Spec)
	if err != nil {
		return nil, fmt.Errorf("encode runner pod: %w", err)
	}
	sum := sha256.Sum256(spec)
	pod.Annotations = map[string]string{specAnnotation: hex.EncodeToString(sum[:])}
	return pod, nil
}

// plainPod is the pod that people are told to use.
func (c *Cluster) plainPod(o PodOptions) (*corev1.Pod, error) {
	if o.Installed != nil {
		template, err := c.templateFor(o.Installed, o)
		if err != nil {
			return nil, err
		}
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: template.Labels}, Spec: template.Spec}, nil
	}
	data, err := os.ReadFile(filepath.Join(c.Root, "manifests", "runner-pod.yaml"))
	if err != nil {
		return nil, fmt.Errorf("read runner pod: %w", err)
	}
	pod := &corev1.Pod{}
	if err := yaml.UnmarshalStrict(data, pod); err != nil {
		return nil, fmt.Errorf("read runner pod: %w", err)
	}
	return pod, nil
}

// settings are the options' and the cluster's own. An empty one is unset.
func (c *Cluster) settings(o PodOptions) map[string]string {
	settings := map[string]string{
		registryHost:               o.RegistryHost,
		registrySecretName:         o.PullSecret,
		"KILN_KANIKO_IMAGE":        c.KanikoImage,
		"KILN_KANIKO_FLAVOR":       c.KanikoFlavor,
		"KILN_REGISTRY_MIRRORS":    c.Mirrors,
		"KILN_INSECURE_REGISTRIES": c.Insecure,
	}
	if !o.Assemble {
		settings["KILN_ASSEMBLE"] = "off"
	}
	if c.AuthRegistry != "" && strings.HasPrefix(o.RegistryHost, c.AuthRegistry+"/") {
		settings["KILN_PLAIN_LOGIN"] = c.AuthRegistry // it has no TLS
	}
	maps.Copy(settings, o.DaemonEnv)
	return settings
}

// installOnly leaves of the sidecar what brings the hook.
func installOnly(ct *corev1.Container) {
	*ct = corev1.Container{
		Name: ct.Name, Image: ct.Image, SecurityContext: ct.SecurityContext, Resources: ct.Resources,
		Args:         []string{"install", "--dest=/opt/kiln"},
		VolumeMounts: slices.DeleteFunc(ct.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name != "kiln-bin" }),
	}
}

// fillInit sets the sidecar.
func (c *Cluster) fillInit(pod *corev1.Pod, o PodOptions) error {
	for i := range pod.Spec.InitContainers {
		pod.Spec.InitContainers[i].Image = o.Images.Kiln
	}
	i := slices.IndexFunc(pod.Spec.InitContainers, func(ct corev1.Container) bool { return ct.Name == DaemonContainer })
	if i < 0 {
		return fmt.Errorf("the runner pod has no init container %q", DaemonContainer)
	}
	if o.WithoutDaemon {
		installOnly(&pod.Spec.InitContainers[i])
		return nil
	}
	settings := c.settings(o)
	if o.Installed != nil {
		maps.DeleteFunc(settings, func(name, value string) bool { return o.Installed.Settings[name] == value })
	}
	setEnv(&pod.Spec.InitContainers[i], settings)
	return nil
}

// fillRunner sets the runner container: the stand-in in place of the runner.
func fillRunner(pod *corev1.Pod, o PodOptions) error {
	i := slices.IndexFunc(pod.Spec.Containers, func(ct corev1.Container) bool { return ct.Name == RunnerContainer })
	if i < 0 {
		return fmt.Errorf("the runner pod has no container %q", RunnerContainer)
	}
	runner := &pod.Spec.Containers[i]
	runner.Image = o.Images.Runner
	runner.Command = nil // the image's own
	setEnv(runner, o.RunnerEnv)
	if o.WorkFolder == "" {
		return nil
	}
	setEnv(runner, map[string]string{"STANDIN_WORK_FOLDER": o.WorkFolder})
	for i := range runner.VolumeMounts {
		if m := &runner.VolumeMounts[i]; m.Name == workVolume {
			m.MountPath = o.WorkFolder
		}
	}
	return nil
}

func (c *Cluster) fillVolumes(pod *corev1.Pod, o PodOptions) {
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		switch {
		case v.Name == workVolume && v.Ephemeral != nil:
			claim := &v.Ephemeral.VolumeClaimTemplate.Spec
			if c.StorageClass != "" {
				claim.StorageClassName = &c.StorageClass
			}
			claim.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(workSize)}
		case v.Secret != nil && v.Name == registryVolume:
			v.Secret.SecretName = cmp.Or(o.PullSecret, "kiln-no-secret") // optional
		case v.Name == exchangeVolume && !o.ExchangeLimit.IsZero():
			v.EmptyDir = &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory, SizeLimit: &o.ExchangeLimit}
		}
	}
}

// setEnv sets variables, in the order of their names where they are new. An
// empty value removes the variable: the setting is then unset.
func setEnv(ct *corev1.Container, env map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(env)) {
		ct.Env = slices.DeleteFunc(ct.Env, func(e corev1.EnvVar) bool { return e.Name == name })
		if env[name] != "" {
			ct.Env = append(ct.Env, corev1.EnvVar{Name: name, Value: env[name]})
		}
	}
}
