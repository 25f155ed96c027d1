package harness

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"kiln/internal/scaleset"
)

func TestChartValues(t *testing.T) {
	data, err := testCluster().chartValues(PodOptions{
		Images: Images{Kiln: "r:5000/kiln:1", Runner: "r:5000/runner:1"}, Mode: scaleset.Kubernetes, Delegate: "/hook.js",
		RegistryHost: "r:5000/actions", PullSecret: PullSecret,
		DaemonEnv: map[string]string{"KILN_TAG": "random", "KILN_PLACEMENT": ""}, HookTemplate: "spec: {hostname: h}", BuildTemplate: "spec: {}",
	})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := yaml.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"image": "r:5000/kiln:1", "mode": "kubernetes", "scaleSets": []any{"my-set"},
		"registry": map[string]any{"host": "r:5000/actions", "secretName": PullSecret},
		"settings": map[string]any{
			"KILN_KANIKO_IMAGE": "r:5000/kaniko:v1", "KILN_KANIKO_FLAVOR": "chainguard@1.25.16",
			"KILN_REGISTRY_MIRRORS": "docker.io=r:5000", "KILN_ASSEMBLE": "off", "KILN_INSECURE_REGISTRIES": "r:5000", "KILN_TAG": "random",
		},
		"hookTemplate":  map[string]any{"spec": map[string]any{"hostname": "h"}},
		"buildTemplate": map[string]any{"spec": map[string]any{}},
		"runner":        map[string]any{"image": "r:5000/runner:1", "delegate": "/hook.js", "workSize": "1Gi", "storageClass": "standard", "accessMode": "ReadWriteOnce"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

// TestInstalledPod has a pod with the settings of its namespace and one that differs.
func TestInstalledPod(t *testing.T) {
	c := testCluster()
	o := PodOptions{Name: "runner", Images: Images{Kiln: "r:5000/kiln:1", Runner: "r:5000/runner:1"}, RegistryHost: "r:5000/actions"}
	values, err := scaleset.Values(scaleset.Settings{Mode: scaleset.Kubernetes, Image: o.Images.Kiln})
	if err != nil {
		t.Fatal(err)
	}
	o.Installed = &Installation{Settings: c.settings(o), mode: scaleset.Kubernetes}
	if o.Installed.template, err = scaleSetTemplate(values); err != nil {
		t.Fatal(err)
	}
	pod, err := c.RunnerPod(o)
	if err != nil {
		t.Fatal(err)
	}
	if pod.Spec.ServiceAccountName != ScaleSetAccount || pod.Spec.RestartPolicy != corev1.RestartPolicyNever {
		t.Errorf("service account %q, restart policy %q", pod.Spec.ServiceAccountName, pod.Spec.RestartPolicy)
	}
	own := len(pod.Spec.InitContainers[0].Env)

	o.PullSecret, o.DaemonEnv = "other", map[string]string{"KILN_TAG": "random"}
	if pod, err = c.RunnerPod(o); err != nil {
		t.Fatal(err)
	}
	env := pod.Spec.InitContainers[0].Env
	for _, want := range []corev1.EnvVar{{Name: registrySecretName, Value: "other"}, {Name: "KILN_TAG", Value: "random"}} {
		if !slices.Contains(env, want) {
			t.Errorf("the daemon's environment has no %v", want)
		}
	}
	// Those two, and the overlay's own for a registry with credentials.
	if len(env) != own+3 {
		t.Errorf("%d variables, want %d: %v", len(env), own+3, env)
	}
	if !slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Secret != nil && v.Secret.SecretName == "other" }) {
		t.Error("the Secret is not mounted")
	}
}
