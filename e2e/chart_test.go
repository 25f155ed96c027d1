//go:build e2e

package e2e_test

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"sigs.k8s.io/yaml"

	"kiln/e2e/harness"
	"kiln/e2e/runner"
)

// An installation is the chart in a namespace that had nothing of kiln before.
type installation struct {
	stage
	helm, mode, namespace string
	// registry is where its images go, and secret the Secret for it, if any.
	registry, secret string
}

// scaleSetAccount is the service account that the controller's chart makes for a scale
// set called my-set with containerMode kubernetes.
const scaleSetAccount = "my-set-gha-rs-kube-mode"

// TestChart installs the chart with the real Helm, starts a runner pod from the overlay
// that it shows, builds and runs an action in it, and takes everything away again.
func TestChart(t *testing.T) {
	t.Parallel()
	for mode, program := range map[string]string{"sealed": "helm", "kubernetes": "helm3"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s, err := open()
			if err != nil {
				t.Fatal(err)
			}
			i := &installation{stage: s, helm: program, mode: mode, namespace: "kiln-e2e-chart-" + strings.ToLower(rand.Text()[:6])}
			t.Cleanup(func() { s.close(t, i.namespace) })
			i.prepare(t)
			i.run(t, "install", "kiln", filepath.Join(s.Root, "charts", "kiln"), "--values", i.values(t))
			i.use(t)
			i.run(t, "uninstall", "kiln", "--wait")
			i.wantNothingLeft(t)
		})
	}
}

// prepare makes the namespace with what an operator has there before kiln: the registry's
// Secret, and for mode kubernetes the service account of the scale set.
func (i *installation) prepare(t *testing.T) {
	t.Helper()
	if err := i.BareNamespace(t.Context(), i.namespace); err != nil {
		t.Fatal(err)
	}
	i.registry = i.Registry
	if i.mode == "sealed" && i.AuthRegistry != "" {
		i.registry, i.secret = i.AuthRegistry, harness.PullSecret
	}
	if i.mode == "kubernetes" {
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: scaleSetAccount}}
		if _, err := i.Kube.CoreV1().ServiceAccounts(i.namespace).Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// values writes the values of this cluster to a file.
func (i *installation) values(t *testing.T) string {
	t.Helper()
	settings := map[string]any{}
	for name, value := range map[string]string{
		"KILN_KANIKO_IMAGE": i.KanikoImage, "KILN_KANIKO_FLAVOR": i.KanikoFlavor,
		"KILN_REGISTRY_MIRRORS": i.Mirrors, "KILN_INSECURE_REGISTRIES": i.Insecure,
	} {
		if value != "" {
			settings[name] = value
		}
	}
	values := map[string]any{
		"image": i.images.Kiln, "mode": i.mode, "settings": settings,
		"registry": map[string]any{"host": i.registry + "/" + i.namespace, "secretName": i.secret},
		"runner": map[string]any{
			"image": i.images.Runner, "delegate": delegateRoot + "/k8s/index.js",
			"workSize": "1Gi", "storageClass": i.StorageClass,
		},
	}
	if i.mode == "kubernetes" {
		values["scaleSets"] = []string{"my-set"}
	}
	data, err := yaml.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// run runs Helm in the namespace, away from the settings of whoever runs the test.
func (i *installation) run(t *testing.T, args ...string) {
	t.Helper()
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), filepath.Join(i.Root, "bin", i.helm), append(args, "--namespace", i.namespace)...)
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", i.helm, args[0], err, out)
	}
	t.Logf("%s %s:\n%s", i.helm, args[0], out)
}

// use plays steps in a runner pod made from the overlay, and ends the runner.
func (i *installation) use(t *testing.T) {
	t.Helper()
	spec := i.runnerSpec(t)
	pod, err := i.StartRunner(t.Context(), i.namespace, harness.PodOptions{
		Name: "my-set-abcde-runner-fghij", Images: i.images,
		Adjust: func(pod *corev1.Pod) { pod.Spec = spec },
	})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{stage: i.stage, Runner: pod}
	results := f.use(t, i.example("hello-shell"), harness.Use{With: map[string]string{"who-to-greet": "Mona Lisa"}}, delegateFiles())
	wantLog(t, results[0], "Mona Lisa")
	if results[0].ExitCode != 0 {
		t.Errorf("exit code = %d, want 0", results[0].ExitCode)
	}
	prepare := runner.Step{Raw: []byte(`{"command":"prepare_job","args":{"container":{"image":"node:22"},"services":[]},"state":null}` + "\n")}
	if i.mode == "kubernetes" {
		f.wantDelegated(t, prepare, nil)
	} else {
		prepare.Repository = "acme/app"
		result, err := f.Step(t.Context(), prepare, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, result, "container")
	}
	if err := i.Kube.CoreV1().Pods(i.namespace).Delete(t.Context(), pod.Pod, metav1.DeleteOptions{GracePeriodSeconds: new(int64(1))}); err != nil {
		t.Fatal(err)
	}
}

// runnerSpec is the pod that the controller makes of the overlay in the cluster, with
// the stand-in in place of the runner.
func (i *installation) runnerSpec(t *testing.T) corev1.PodSpec {
	t.Helper()
	overlays, err := i.Kube.CoreV1().ConfigMaps(i.namespace).Get(t.Context(), "kiln-overlays", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var values struct {
		ContainerMode struct {
			Type  string                           `json:"type"`
			Claim corev1.PersistentVolumeClaimSpec `json:"kubernetesModeWorkVolumeClaim"`
		} `json:"containerMode"`
		Template corev1.PodTemplateSpec `json:"template"`
	}
	if err := yaml.UnmarshalStrict([]byte(overlays.Data[i.mode]), &values); err != nil {
		t.Fatal(err)
	}
	spec := values.Template.Spec
	spec.RestartPolicy = corev1.RestartPolicyNever
	spec.Containers[0].Command = nil // the stand-in's image has its own
	if values.ContainerMode.Type == "kubernetes" {
		addContainerMode(&spec, values.ContainerMode.Claim)
	}
	return spec
}

// addContainerMode adds what the controller's chart renders for containerMode
// kubernetes, as internal/overlay/testdata/arc-kubernetes.yaml has it.
func addContainerMode(spec *corev1.PodSpec, claim corev1.PersistentVolumeClaimSpec) {
	spec.ServiceAccountName = scaleSetAccount
	spec.Volumes = append(spec.Volumes, corev1.Volume{Name: "work", VolumeSource: corev1.VolumeSource{
		Ephemeral: &corev1.EphemeralVolumeSource{VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{Spec: claim}},
	}})
	c := &spec.Containers[0]
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "work", MountPath: "/home/runner/_work"})
	c.Env = append(c.Env,
		corev1.EnvVar{Name: "ACTIONS_RUNNER_POD_NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}},
		corev1.EnvVar{Name: "ACTIONS_RUNNER_REQUIRE_JOB_CONTAINER", Value: "true"})
}

// wantNothingLeft fails the test if the namespace has more than before.
func (i *installation) wantNothingLeft(t *testing.T) {
	t.Helper()
	client, err := metadata.NewForConfig(i.Config)
	if err != nil {
		t.Fatal(err)
	}
	given := []string{"configmaps/kube-root-ca.crt", "serviceaccounts/default", "serviceaccounts/" + scaleSetAccount, "secrets/" + harness.PullSecret}
	for _, kind := range []schema.GroupVersionResource{
		{Version: "v1", Resource: "configmaps"},
		{Version: "v1", Resource: "secrets"},
		{Version: "v1", Resource: "serviceaccounts"},
		{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"},
		{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"},
		{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
	} {
		list, err := client.Resource(kind).Namespace(i.namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range list.Items {
			if name := kind.Resource + "/" + item.Name; !slices.Contains(given, name) {
				t.Errorf("left in the namespace: %s", name)
			}
		}
	}
	left, err := i.Leftovers(t.Context(), i.namespace, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("left in the namespace: %v", left)
	}
}
