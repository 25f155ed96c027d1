package harness

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"kiln/internal/scaleset"
)

// Programs that "make e2e" builds in bin/.
const (
	Helm4 = "helm"
	Helm3 = "helm3"
)

// Release is the name of the release that [Cluster.Install] makes.
const Release = "kiln"

// ScaleSetAccount is the service account that the controller's chart makes for
// a scale set called my-set with containerMode kubernetes.
const ScaleSetAccount = scaleSet + "-gha-rs-kube-mode"

const scaleSet = "my-set"

// An Installation is kiln in a namespace, as the chart put it there.
type Installation struct {
	// Settings are those that every kiln container of the namespace reads.
	Settings map[string]string
	// mode and secret are the overlay's, and template is the pod template that
	// a runner scale set with it has.
	mode, secret string
	template     corev1.PodTemplateSpec
}

// Install installs the chart in the namespace with one of the Helm programs and
// the settings among the options. Runner pods with the installation in their
// options are made from the overlay that the cluster then shows.
func (c *Cluster) Install(ctx context.Context, program, namespace string, o PodOptions) (*Installation, error) {
	if o.Mode == scaleset.Kubernetes {
		// The scale set is there before kiln.
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: ScaleSetAccount}}
		if _, err := c.Kube.CoreV1().ServiceAccounts(namespace).Create(ctx, account, metav1.CreateOptions{}); err != nil {
			return nil, fmt.Errorf("create service account of the scale set: %w", err)
		}
	}
	values, err := c.chartValues(o)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "kiln-values-")
	if err != nil {
		return nil, fmt.Errorf("write values of the chart: %w", err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "values.yaml")
	if err := os.WriteFile(file, values, 0o600); err != nil {
		return nil, fmt.Errorf("write values of the chart: %w", err)
	}
	chart := filepath.Join(c.Root, "charts", "kiln")
	if err := c.Helm(ctx, program, "install", Release, chart, "--namespace", namespace, "--values", file); err != nil {
		return nil, err
	}
	return c.installed(ctx, namespace, o)
}

// Helm runs one of the Helm programs, away from the settings of whoever runs
// the tests.
func (c *Cluster) Helm(ctx context.Context, program string, args ...string) error {
	path := filepath.Join(c.Root, "bin", program)
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("find Helm: %w: \"make bin/%s\" builds it", err, program)
	}
	home, err := os.MkdirTemp("", "kiln-helm-")
	if err != nil {
		return fmt.Errorf("run Helm: %w", err)
	}
	defer os.RemoveAll(home)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", program, args[0], err, out)
	}
	return nil
}

// chartValues are the values of an installation on this cluster.
func (c *Cluster) chartValues(o PodOptions) ([]byte, error) {
	settings := map[string]string{}
	for name, value := range c.settings(o) {
		// The chart has values of its own for the registry.
		if value != "" && name != registryHost && name != registrySecretName {
			settings[name] = value
		}
	}
	values := map[string]any{
		"image": o.Images.Kiln, "mode": cmp.Or(o.Mode, scaleset.Sealed), "settings": settings,
		"registry": map[string]any{"host": o.RegistryHost, "secretName": o.PullSecret},
		"runner": map[string]any{
			"image": o.Images.Runner, "delegate": cmp.Or(o.Delegate, scaleset.DefaultDelegate),
			"workSize": workSize, "storageClass": c.StorageClass, "accessMode": accessMode(settings["KILN_PLACEMENT"]),
		},
	}
	for name, text := range map[string]string{"hookTemplate": o.HookTemplate, "buildTemplate": o.BuildTemplate} {
		var template map[string]any
		if err := yaml.Unmarshal([]byte(text), &template); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		if template != nil {
			values[name] = template
		}
	}
	if o.Mode == scaleset.Kubernetes {
		values["scaleSets"] = []string{scaleSet}
	}
	data, err := yaml.Marshal(values)
	if err != nil {
		return nil, fmt.Errorf("write values of the chart: %w", err)
	}
	return data, nil
}

// accessMode is that of the work volume for a placement of actions.
func accessMode(placement string) string {
	if placement == "anywhere" {
		return "ReadWriteMany"
	}
	return scaleset.DefaultAccessMode
}

// installed reads what the chart put into the namespace, where its notes tell
// people to look.
func (c *Cluster) installed(ctx context.Context, namespace string, o PodOptions) (*Installation, error) {
	maps := c.Kube.CoreV1().ConfigMaps(namespace)
	settings, err := maps.Get(ctx, "kiln", metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read settings of the chart: %w", err)
	}
	overlays, err := maps.Get(ctx, "kiln-overlays", metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read overlays of the chart: %w", err)
	}
	i := &Installation{Settings: settings.Data, mode: cmp.Or(o.Mode, scaleset.Sealed), secret: o.PullSecret}
	i.template, err = scaleSetTemplate(overlays.Data[i.mode])
	return i, err
}

// templateFor is the pod template of a scale set whose registry's Secret is
// that one: the overlay that was installed, or one of its own.
func (c *Cluster) templateFor(i *Installation, o PodOptions) (corev1.PodTemplateSpec, error) {
	if o.PullSecret == i.secret {
		return *i.template.DeepCopy(), nil
	}
	values, err := scaleset.Values(scaleset.Settings{
		Mode: i.mode, Image: o.Images.Kiln, RunnerImage: o.Images.Runner, Delegate: o.Delegate,
		RegistrySecret: o.PullSecret, StorageClass: c.StorageClass, WorkSize: workSize,
	})
	if err != nil {
		return corev1.PodTemplateSpec{}, fmt.Errorf("render overlay: %w", err)
	}
	return scaleSetTemplate(values)
}

// scaleSetTemplate is the pod template that the controller's chart makes of an
// overlay.
func scaleSetTemplate(values string) (corev1.PodTemplateSpec, error) {
	var v struct {
		ContainerMode struct {
			Type  string                           `json:"type"`
			Claim corev1.PersistentVolumeClaimSpec `json:"kubernetesModeWorkVolumeClaim"`
		} `json:"containerMode"`
		Template corev1.PodTemplateSpec `json:"template"`
	}
	if err := yaml.UnmarshalStrict([]byte(values), &v); err != nil {
		return corev1.PodTemplateSpec{}, fmt.Errorf("read overlay: %w", err)
	}
	spec := &v.Template.Spec
	spec.RestartPolicy = corev1.RestartPolicyNever
	if v.ContainerMode.Type == scaleset.Kubernetes && len(spec.Containers) > 0 {
		addContainerMode(spec, v.ContainerMode.Claim)
	}
	return v.Template, nil
}

// addContainerMode adds what the controller's chart renders for containerMode
// kubernetes, as internal/scaleset/testdata/arc-kubernetes.yaml has it.
func addContainerMode(spec *corev1.PodSpec, claim corev1.PersistentVolumeClaimSpec) {
	spec.ServiceAccountName = ScaleSetAccount
	spec.Volumes = append(spec.Volumes, corev1.Volume{Name: workVolume, VolumeSource: corev1.VolumeSource{
		Ephemeral: &corev1.EphemeralVolumeSource{VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{Spec: claim}},
	}})
	c := &spec.Containers[0]
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: workVolume, MountPath: "/home/runner/_work"})
	c.Env = append(c.Env,
		corev1.EnvVar{Name: "ACTIONS_RUNNER_POD_NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}},
		corev1.EnvVar{Name: "ACTIONS_RUNNER_REQUIRE_JOB_CONTAINER", Value: "true"})
}
